"""What the suites have in common: clients that look at every byte, providers, and the results of each feature.

    PROMPTGATE_TRANSLATING  the data plane of a gateway with a provider for each dialect
    PROMPTGATE_UPSTREAM     the providers (tests/sdk/upstream)
    PROMPTGATE_RESULTS      the file that results are appended to, a JSON object each line
"""

import functools
import itertools
import json
import os
import typing
import unittest
import urllib.request

import anthropic
import httpx2 as httpx
import openai
import pydantic
from anthropic.types import Message, MessageTokensCount, RawMessageStreamEvent
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

URL = os.environ["PROMPTGATE_TRANSLATING"]
UPSTREAM = os.environ["PROMPTGATE_UPSTREAM"]
RESULTS = os.environ["PROMPTGATE_RESULTS"]
#: What is asked of each provider, by the provider's name.
MODELS = {
    "chat": "chat/gpt-5.1",
    "responses": "responses/gpt-5.1",
    "anthropic": "anthropic/claude-opus-5",
    "gemini": "gemini/gemini-3-pro",
    "bedrock": "bedrock/eu.anthropic.claude-opus-5-v1:0",
}
SECONDS = 20
#: A red pixel.
IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
PDF = "JVBERi0xLjQKJSBub3RoaW5n"
AUDIO = "UklGRiQAAABXQVZFZm10IBAAAAABAAEA"
DOCUMENT_TEXT = "The grass is green. The sky is blue."
TEXT = "Grüße aus Oslo: “3 °C”, 世界 🌍, a \\ and a \"quote\".\nNext line."
CITY = {"city": "Oslo", "days": 3}
WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
NOTHING = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
_names = itertools.count()

WHOLE = {
    "/v1/chat/completions": ChatCompletion,
    "/v1/responses": Response,
    "/v1/messages": Message,
    "/v1/messages/count_tokens": MessageTokensCount,
}


def by_type(union):
    """The classes of a union of events, by the type that they name."""
    classes = typing.get_args(typing.get_args(union)[0])
    return {name: each for each in classes for name in typing.get_args(each.model_fields["type"].annotation)}


EVENTS = {
    "/v1/chat/completions": {None: ChatCompletionChunk},
    "/v1/responses": by_type(ResponseStreamEvent),
    "/v1/messages": by_type(RawMessageStreamEvent),
}


class Answer(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    title: str
    score: int
    tags: list[str]


def refusal_of(error):
    """The field that a 400 of the gateway says the provider cannot be told; `None` for any other error."""
    body = error.body if isinstance(error.body, dict) else {}
    body = body.get("error", body)
    if error.status_code != 400 or body.get("code") != "unsupported_parameter":
        return None
    return body.get("param")


class Watched(httpx.SyncByteStream):
    """A body that is handed over as it comes, and looked at when it has ended."""

    def __init__(self, stream, look):
        self.stream = stream
        self.look = look
        self.pieces = []

    def __iter__(self):
        for piece in self.stream:
            self.pieces.append(piece)
            yield piece
        self.look(b"".join(self.pieces))

    def close(self):
        self.stream.close()


class Watching(httpx.BaseTransport):
    """Counts requests, and holds every answer against the SDK's own types, which the SDK itself does not."""

    def __init__(self):
        self.inner = httpx.HTTPTransport()
        self.requests = 0
        self.problems = []
        self.headers = {}

    def handle_request(self, request):
        self.requests += 1
        response = self.inner.handle_request(request)
        self.headers = response.headers
        path = request.url.path
        is_stream = response.headers["content-type"].startswith("text/event-stream")
        look = functools.partial(self.look, path, is_stream)
        if response.status_code == 200:
            response.stream = Watched(response.stream, look)
        return response

    def look(self, path, is_stream, body):
        try:
            if is_stream:
                look_at_events(path, body.decode())
            elif path in WHOLE:
                WHOLE[path].model_validate_json(body)
            elif path == "/v1/embeddings" and isinstance(json.loads(body)["data"][0]["embedding"], list):
                CreateEmbeddingResponse.model_validate_json(body)
        except (ValueError, AssertionError) as problem:
            self.problems.append(f"{path}: {problem}\n{body.decode(errors='replace')[:4000]}")

    def close(self):
        self.inner.close()


def look_at_events(path, text):
    frames = [frame for frame in text.split("\n\n") if frame]
    datas = []
    for frame in frames:
        if frame.startswith(":"):
            # A comment, which keeps the connection alive.
            continue
        lines = dict(line.split(": ", 1) for line in frame.split("\n"))
        if lines["data"] == "[DONE]":
            assert path == "/v1/chat/completions", "[DONE] in another dialect"
            assert frame == frames[-1], "something follows [DONE]"
            continue
        data = json.loads(lines["data"])
        if path != "/v1/chat/completions":
            assert lines["event"] == data["type"], f"{lines['event']} is not {data['type']}"
        # A sign of life, which the SDK's types leave out.
        if data.get("type") != "ping":
            datas.append(data)
    is_broken = any("error" in data and data.get("type") in (None, "error") for data in datas)
    is_broken = is_broken or datas[-1].get("type") in ("error", "response.failed")
    for data in datas:
        if data.get("type") != "error" and not (path == "/v1/chat/completions" and "error" in data):
            EVENTS[path][data.get("type")].model_validate(data)
    if is_broken:
        assert "[DONE]" not in text, "a broken stream ends as if it were whole"
        return
    look_at_order(path, datas, frames)


def look_at_order(path, datas, frames):
    kinds = [data.get("type") for data in datas]
    if path == "/v1/chat/completions":
        assert frames[-1] == "data: [DONE]", "no [DONE]"
        ids = {(data["id"], data["created"], data["model"]) for data in datas}
        assert len(ids) == 1, f"chunks of several completions: {ids}"
    elif path == "/v1/responses":
        numbers = [data["sequence_number"] for data in datas]
        assert numbers == list(range(len(datas))), f"sequence numbers {numbers}"
        assert kinds[:2] == ["response.created", "response.in_progress"], kinds
        assert kinds[-1] in ("response.completed", "response.incomplete"), kinds
        look_at_items(datas)
    else:
        assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds
        started = [data["index"] for data in datas if data["type"] == "content_block_start"]
        stopped = [data["index"] for data in datas if data["type"] == "content_block_stop"]
        assert started == stopped == list(range(len(started))), f"blocks {started} {stopped}"


def look_at_items(datas):
    """Each item ends as it was announced, and all of them stand in the last event."""
    added = {data["output_index"]: data["item"]["id"] for data in datas if data["type"] == "response.output_item.added"}
    done = [data for data in datas if data["type"] == "response.output_item.done"]
    output = datas[-1]["response"]["output"]
    assert [data["item"] for data in sorted(done, key=lambda data: data["output_index"])] == output, "other items at the end"
    assert [item["id"] for item in output] == [added[index] for index in sorted(added)], "other ids at the end"


def record(client, provider, feature, outcome, detail=""):
    line = {"client": client, "provider": provider, "feature": feature, "outcome": outcome, "detail": detail}
    with open(RESULTS, "a", encoding="utf-8") as results:
        results.write(json.dumps({"suite": "python", **line}, ensure_ascii=False) + "\n")


def feature(name, field=None, of=tuple(MODELS), hidden=False):
    """Marks a test that is run with each provider. With `field`, a provider that cannot be told it may be refused by
    an error that names it; the test may return `(outcome, detail)` for the matrix, and is `works` otherwise."""

    def mark(test):
        test.feature = (name, field, of, hidden)
        return test

    return mark


class Suite(unittest.TestCase):
    """Tests of one API that clients use, through every provider."""

    client_api = ""

    def __init_subclass__(cls):
        for key, test in list(vars(cls).items()):
            if hasattr(test, "feature"):
                delattr(cls, key)
                for provider in test.feature[2]:
                    setattr(cls, f"test_{key}__{provider}", cls.through(test, provider))

    @staticmethod
    def through(test, provider):
        name, field, _, hidden = test.feature

        def run(self):
            detail = ""
            try:
                outcome = test(self, provider) or "works"
                if isinstance(outcome, tuple):
                    outcome, detail = outcome
                self.finish()
            except (openai.BadRequestError, anthropic.BadRequestError) as error:
                refused = refusal_of(error)
                if refused is None or field is None:
                    raise
                self.assertIn(refused.split("[")[0].split(".")[0], field.split("|"), str(error))
                self.assertTrue(error.response.headers["x-request-id"])
                outcome, detail = "refused", refused
            if not hidden:
                record(self.client_api, provider, name, outcome, detail)

        return run

    def setUp(self):
        self.transport = Watching()
        # Nothing here takes that long; a test that hangs says so.
        http_client = httpx.Client(transport=self.transport, timeout=SECONDS)
        self.openai = openai.OpenAI(base_url=f"{URL}/v1", api_key="any", http_client=http_client, max_retries=2)
        self.anthropic = anthropic.Anthropic(base_url=URL, api_key="any", http_client=http_client, max_retries=2)
        self.addCleanup(http_client.close)

    def finish(self):
        if self.transport.problems:
            self.fail("\n".join(self.transport.problems))

    def word(self, scenario):
        """The user's text for a scenario, and the name under which what was sent is kept."""
        self.name = f"{self.client_api}-{os.getpid()}-{next(_names)}"
        return f"{scenario} {self.name}"

    def sent(self):
        """The body that the provider was sent last."""
        return self.seen()["body"]

    def seen(self):
        """What the provider was sent last, as it came."""
        with urllib.request.urlopen(f"{UPSTREAM}/seen/{self.name}", timeout=SECONDS) as answer:
            seen = json.load(answer)
        self.assertTrue(seen, "nothing reached the provider")
        return seen[-1]

    def warnings(self):
        return self.transport.headers.get("x-promptgate-warnings", "")

    def arrived(self, provider, path, value):
        """The provider was sent `value` at `path`; without a path, the client is told that it was not."""
        body = self.sent()
        if path is None:
            self.assertTrue(self.warnings(), f"left out without a word: {body}")
            return ("warned", self.warnings())
        found = at(body, path)
        self.assertEqual(found, value, f"at {path} of {body}")
        return None


def at(value, path):
    for key in path.split("."):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = (value or {}).get(key)
    return value


def paths(chat, responses, anthropic, gemini, bedrock):
    """Where each provider has a setting; `None` where it has none and the client is warned."""
    return {"chat": chat, "responses": responses, "anthropic": anthropic, "gemini": gemini, "bedrock": bedrock}
