"""What the suites have in common: real servers of llama.cpp, gateways in front of them, and what is recorded.

    LLAMA_SERVER  the server's binary
    PROMPTGATE    the gateway's binary
"""

import atexit
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request

import anthropic
import httpx2 as httpx
import model
import openai

SECONDS = 30
WORK = pathlib.Path(tempfile.mkdtemp(prefix="real-check-"))
MODEL = WORK / "tiny.gguf"
PROMPT = """\
---
model: llama_cpp/tiny
config:
  temperature: 0
  maxOutputTokens: 12
input:
  schema:
    name: string
---
Greet {{name}} politely.
"""
#: An answer that nobody waits for the end of.
ENDLESS = 500_000
_processes = []


def clean():
    for process in _processes:
        process.kill()
    shutil.rmtree(WORK, ignore_errors=True)


atexit.register(clean)
model.write(MODEL)


def until(what, condition):
    """Returns what `condition` returns as soon as it is something; fails when it takes too long."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"in {SECONDS} s it did not come to this: {what}")


class Process:
    """A program that says in one line of its output that it listens."""

    def __init__(self, name, command, sign, environment=None):
        self.log = []
        self.name = name
        clear = {"PATH": os.environ["PATH"], "HOME": str(WORK)}
        self.child = subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=WORK, env=clear | (environment or {}),
        )
        _processes.append(self)
        line = threading.Event()
        self.line = None

        def read():
            for raw in self.child.stdout:
                self.log.append(raw.decode(errors="replace"))
                if self.line is None and sign in self.log[-1]:
                    self.line = self.log[-1]
                    line.set()
            line.set()

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()
        if not line.wait(SECONDS) or self.line is None:
            raise AssertionError(f"{name} did not start:\n{''.join(self.log[-40:])}")

    def signal(self, number):
        self.child.send_signal(number)

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.reader.join(SECONDS)
        self.child.stdout.close()


class Server(Process):
    """llama.cpp's server with the tiny model. One thread and whole numbers in the cache: the same words each time."""

    def __init__(self, name, *options, context=65536, slots=2, key=None):
        words = ["-m", MODEL, "--alias", "tiny", "--host", "127.0.0.1", "--port", 0, "--jinja", "-np", slots]
        words += ["-c", context, "-t", 1, "-tb", 1, "--threads-http", 8, "--cache-ram", 0, "-fa", "off"]
        words += ["-ctk", "f32", "-ctv", "f32", "--no-warmup", "--slots", "--metrics", *options]
        words += ["--api-key", key] if key else []
        super().__init__(name, [os.environ["LLAMA_SERVER"], *words], "listening on http://")
        self.url = self.line.split("listening on ")[1].strip()
        self.openai = openai.OpenAI(base_url=f"{self.url}/v1", api_key=key or "none", timeout=SECONDS, max_retries=0)

    def busy(self):
        """How many slots work for somebody."""
        with urllib.request.urlopen(f"{self.url}/slots", timeout=SECONDS) as answer:
            return sum(slot["is_processing"] for slot in json.load(answer))

    def wait_until_free(self):
        until(f"{self.name} has no busy slot", lambda: self.busy() == 0)


class Gateway(Process):
    """promptgate in front of servers: `providers` are tables of its config by name."""

    def __init__(self, name, providers, environment=None):
        self.directory = WORK / name
        (self.directory / "prompts").mkdir(parents=True, exist_ok=True)
        (self.directory / "prompts" / "greet.prompt").write_text(PROMPT)
        tables = [f"[providers.{key}]\n{table}\n" for key, table in providers.items()]
        (self.directory / "promptgate.toml").write_text("\n".join(tables))
        self.environment = environment
        self.start()

    def start(self):
        command = [os.environ["PROMPTGATE"], "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        name = self.directory.name
        super().__init__(name, command + self.places(), "listening data=", self.environment)
        self.url, self.admin = (part.split("=", 1)[1] for part in self.line.split()[1:3])
        self.token = (self.directory / "data" / "admin.token").read_text().strip()
        client = httpx.Client(timeout=SECONDS)
        atexit.register(client.close)
        self.openai = openai.OpenAI(base_url=f"{self.url}/v1", api_key="any", http_client=client)
        self.anthropic = anthropic.Anthropic(base_url=self.url, api_key="any", http_client=client)

    def places(self):
        at = self.directory
        return ["--config", at / "promptgate.toml", "--data-dir", at / "data", "--prompts", at / "prompts"]

    def command(self, *words):
        """What a command of the gateway's prints."""
        done = subprocess.run(
            [os.environ["PROMPTGATE"], *map(str, words), *map(str, self.places())],
            capture_output=True, text=True, timeout=SECONDS, cwd=self.directory,
            env={"PATH": os.environ["PATH"], "HOME": str(WORK)} | (self.environment or {}), check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def api(self, path):
        request = urllib.request.Request(f"{self.admin}{path}", headers={"authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)

    def record(self, call):
        """The record of a call when it has ended."""

        def ended():
            try:
                record = self.api(f"/api/calls/{call}")
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
                return None
            return record if record.get("outcome") else None

        return until(f"the record of {call} is closed", ended)

    def ask(self, path, body):
        """What a plain client gets: the status, the headers and the body."""
        request = urllib.request.Request(
            f"{self.url}{path}", data=json.dumps(body).encode(), headers={"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return answer.status, answer.headers, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.headers, json.load(error)


def at(server):
    """The table of a provider that is a server of llama.cpp."""
    return f'preset = "llama_cpp"\nbase_url = "{server.url}"'


def user(text="Hello, who are you?"):
    return [{"role": "user", "content": text}]


def said(message):
    """The text of a message of Anthropic's."""
    return "".join(block.text for block in message.content if block.type == "text")


def call_of(response):
    return response.headers["x-request-id"]


class Dialect:
    """One way to ask a gateway for a stream of text: the path, the body, and where a frame has the text."""

    def __init__(self, name, path, limit, **body):
        self.name, self.path, self.limit, self.body = name, path, limit, body

    def request(self, model_name, text="Hello, who are you?", most=ENDLESS, stream=True):
        body = {"model": model_name, self.limit: most, "stream": stream, "temperature": 0, **self.body}
        return body | ({"input": text} if self.name == "responses" else {"messages": user(text)})

    def text(self, frame):
        if self.name == "chat":
            return "".join(choice["delta"].get("content") or "" for choice in frame.get("choices", []))
        if self.name == "responses":
            return frame["delta"] if frame["type"] == "response.output_text.delta" else ""
        return frame.get("delta", {}).get("text", "") if frame["type"] == "content_block_delta" else ""

    def is_error(self, frame):
        return "error" in frame if self.name == "chat" else frame["type"] in ("error", "response.failed")

    def is_end(self, data):
        if self.name == "chat":
            return data == "[DONE]"
        return json.loads(data)["type"] in ("response.completed", "response.incomplete", "message_stop")


DIALECTS = (
    Dialect("chat", "/v1/chat/completions", "max_tokens"),
    Dialect("responses", "/v1/responses", "max_output_tokens"),
    Dialect("messages", "/v1/messages", "max_tokens"),
)


class Stream:
    """A stream as it is on the wire, read as far as somebody wants."""

    def __init__(self, gateway, dialect, model_name):
        self.dialect = dialect
        self.client = httpx.Client(timeout=SECONDS)
        request = self.client.build_request("POST", f"{gateway.url}{dialect.path}", json=dialect.request(model_name))
        self.response = self.client.send(request, stream=True)
        assert self.response.status_code == 200, self.response.read()
        self.call = call_of(self.response)
        self.lines = self.response.iter_lines()
        self.text = ""
        self.errors = []
        self.has_end = False

    def read(self, characters=None):
        """Reads until there is so much text, or to the end."""
        for line in self.lines:
            if not line.startswith("data: "):
                continue
            data = line.removeprefix("data: ")
            if self.dialect.is_end(data):
                self.has_end = True
            if data == "[DONE]":
                continue
            frame = json.loads(data)
            if self.dialect.is_error(frame):
                self.errors.append(frame)
            else:
                self.text += self.dialect.text(frame)
            if characters is not None and len(self.text) >= characters:
                return
        assert characters is None, f"the stream ended at {self.text!r}"

    def leave(self):
        self.response.close()
        self.client.close()


class Case(unittest.TestCase):
    maxDiff = None


#: The server and the gateway that most tests share.
_shared = {}


def shared():
    """A server to chat with, a small one, one that calls tools, one that embeds, and the gateway before them."""
    if not _shared:
        call, end = len(model.vocabulary()) - 1, model.SPECIAL.index("<|im_end|>")
        _shared["chat"] = Server("chat")
        _shared["small"] = Server("small", context=256, slots=1)
        _shared["calling"] = Server("calling", "--logit-bias", f"{call}+100", "--logit-bias", f"{end}+200", slots=1)
        _shared["embedding"] = Server("embedding", "--embeddings", "--pooling", "mean", "-ub", 256, context=4096)
        tables = {name: at(_shared[name]) for name in ("small", "calling", "embedding")}
        tables["llama_cpp"] = f'base_url = "{_shared["chat"].url}"'
        # Nobody listens there.
        tables["gone"] = 'preset = "llama_cpp"\nbase_url = "http://127.0.0.1:9"'
        _shared["gateway"] = Gateway("gateway", tables)
    return _shared


STOP, CONTINUE = signal.SIGSTOP, signal.SIGCONT
