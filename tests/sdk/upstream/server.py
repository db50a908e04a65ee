"""The providers' APIs on loopback, for tests: answers natively, and refuses what the real ones would.

    python3 server.py        prints its URL, and serves until it is killed

The first word of the user's last text chooses what is said (`scenarios.py`); `corpus:CASE` answers with a file of
tests/fixtures/dialects. A second word is a name under which `GET /seen/NAME` shows what was sent.
"""

import http.server
import json
import pathlib
import re
import threading
import urllib.parse

import anthropic_messages
import bedrock
import checks
import gemini
import openai_chat
import openai_responses
import sigv4
from scenarios import ERRORS, SCENARIOS

CORPUS = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "dialects"
#: Events come in pieces of this many bytes, so that no reader can count on whole ones.
PIECE = 61
GEMINI = re.compile(r"/v1beta/models/([^/:]+):(generateContent|streamGenerateContent|batchEmbedContents)")
BEDROCK = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke)")


class Dialect:
    """What one API is asked and answers with: `check` tells what was asked."""

    def __init__(self, name, module, check, event_type="text/event-stream"):
        self.name = name
        self.module = module
        self.check = check
        self.event_type = event_type


def dialect_of(path, headers, target, raw):
    """Returns whose API `path` belongs to, once the caller has proved who it is; or how embeddings are made."""
    if path in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
        openai_chat.authenticate(headers)
        if path.endswith("embeddings"):
            return lambda body: ({}, openai_chat.embed(body))
        if path.endswith("responses"):
            return Dialect("responses", openai_responses, openai_responses.check)
        return Dialect("chat", openai_chat, openai_chat.check)
    if path == "/v1/messages":
        version = anthropic_messages.authenticate(headers)
        return Dialect("messages", anthropic_messages, lambda body: anthropic_messages.check(body, version))
    if found := GEMINI.fullmatch(path):
        gemini.authenticate(headers)
        model, verb = urllib.parse.unquote(found[1]), found[2]
        if verb == "batchEmbedContents":
            return lambda body: ({}, gemini.embed(body, model))
        is_stream = verb.startswith("stream")
        checks.need(not is_stream or target.endswith("?alt=sse"), "a stream without alt=sse is one array")
        return Dialect("gemini", gemini, lambda body: gemini.check(body, model, is_stream))
    if found := BEDROCK.fullmatch(path):
        sigv4.authenticate("POST", target, headers, raw)
        model, verb = urllib.parse.unquote(found[1]), found[2]
        if verb == "invoke":
            return lambda body: bedrock.embed(body, model)
        is_stream = verb.endswith("stream")
        check = lambda body: bedrock.check(body, model, is_stream)
        return Dialect("converse", bedrock, check, "application/vnd.amazon.eventstream")
    raise checks.Refused(f"404 no such path: {path}")


def fault_module(path):
    if path == "/v1/messages":
        return anthropic_messages
    if path.startswith("/v1beta/"):
        return gemini
    return bedrock if path.startswith("/model/") else openai_chat


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    seen = {}
    seen_lock = threading.Lock()

    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.removeprefix("/seen/")
        with self.seen_lock:
            found = list(self.seen.get(name, []))
        self.whole(200, {}, json.dumps(found).encode())

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = self.path.partition("?")[0]
        try:
            found = dialect_of(path, headers, self.path, raw)
            body = json.loads(raw)
            if callable(found):
                self.remember(path, headers, body, body_text(body).split())
                more, answer = found(body)
                return self.whole(200, more, json.dumps(answer).encode())
            asked = found.check(body)
            self.remember(path, headers, body, asked.words)
            checks.need(asked.text, "there is no text of the user")
            self.answer(found, asked)
        except checks.Refused as refused:
            self.refuse(path, str(refused))
        except Exception as error:  # A request of a shape that nobody foresaw is the caller's fault, too.
            self.refuse(path, f"{type(error).__name__}: {error}")

    def remember(self, path, headers, body, words):
        if len(words) > 1:
            with self.seen_lock:
                self.seen.setdefault(words[1], []).append({"path": path, "headers": headers, "body": body})

    def refuse(self, path, reason):
        status = int(reason[:3]) if re.match(r"40\d ", reason) else 400
        headers, body = fault_module(path).fault(status, f"upstream: {reason}")
        self.whole(status, headers, json.dumps(body).encode())

    def answer(self, dialect, asked):
        word = asked.words[0]
        if word in ERRORS:
            headers, body = dialect.module.fault(ERRORS[word], f"asked for {word}")
            return self.whole(ERRORS[word], headers, json.dumps(body).encode())
        if word == "error-html":
            page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
            return self.whole(502, {"content-type": "text/html"}, page)
        if word.startswith("corpus:"):
            return self.corpus(dialect, asked, word.removeprefix("corpus:"))
        checks.need(word in SCENARIOS, f"no scenario {word!r}")
        checks.expected(asked)
        said = SCENARIOS["after-tool" if asked.results else word]
        if asked.stream:
            return self.stream(dialect.event_type, b"".join(dialect.module.stream(said, asked)), said.breaks == "end")
        answer = json.dumps(dialect.module.whole(said, asked), ensure_ascii=False)
        return self.whole(200, {}, answer.encode())

    def corpus(self, dialect, asked, case):
        ending = "stream.bin" if dialect.name == "converse" else "stream.sse"
        name = f"{dialect.name}.{ending if asked.stream else 'reply.json'}"
        file = CORPUS / case / name
        checks.need(file.parent.parent == CORPUS and file.is_file(), f"404 no file {case}/{name}")
        if asked.stream:
            return self.stream(dialect.event_type, file.read_bytes(), False)
        return self.whole(200, {}, file.read_bytes())

    def whole(self, status, headers, body):
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, content_type, data, is_torn):
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if is_torn:
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")


def body_text(body):
    """Some text of a request for embeddings."""
    given = body.get("input") or body.get("inputText") or body.get("texts")
    if "requests" in body:
        given = body["requests"][0]["content"]["parts"][0]["text"]
    given = given[0] if isinstance(given, list) and given else given
    return given if isinstance(given, str) else ""


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
