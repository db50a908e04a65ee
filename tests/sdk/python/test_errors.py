"""Errors of every provider, as the official SDKs raise them in each of the APIs; none is asked again by an SDK."""

import unittest

import anthropic
import openai
from support import MODELS, Suite, feature

#: What a provider may answer with, and the classes and statuses that a client may see for it. What is our own
#: credential's fault is no fault of the client's, so it is none of 401 and 403.
CLASSES = {
    "400": ("BadRequestError", {400}),
    "401": ("InternalServerError", {500, 502, 503}),
    "403": ("InternalServerError", {500, 502, 503}),
    "404": ("NotFoundError", {404}),
    "413": ("APIStatusError", {400, 413}),
    "429": ("RateLimitError", {429}),
    "500": ("InternalServerError", {500, 502, 503}),
    "503": ("InternalServerError", {502, 503}),
    "529": ("InternalServerError", {502, 503, 529}),
    "html": ("InternalServerError", {502}),
}


class Errors(Suite):
    """`sdk` is the module whose classes are raised, `ask` asks by it."""

    def fails(self, provider, status):
        kind, statuses = CLASSES[status]
        with self.assertRaises(getattr(self.sdk, kind)) as caught:
            self.ask(provider, f"error-{status}")
        error = caught.exception
        self.assertIn(error.status_code, statuses, str(error))
        self.assertEqual(self.transport.requests, 1, "the SDK asked again")
        headers = error.response.headers
        self.assertTrue(headers["x-request-id"])
        body = error.body if isinstance(error.body, dict) else {}
        body = body.get("error", body)
        self.assertTrue(body.get("message"), "no words")
        if status == "429":
            self.assertIn(headers.get("retry-after"), self.waits(provider))
        return ("error", f"{error.status_code} `{body.get('code') or body.get('type')}`")

    @staticmethod
    def waits(provider):
        # Bedrock names no time.
        return (None,) if provider == "bedrock" else ("60",)


def failing(status):
    def test(self, provider):
        return self.fails(provider, status)

    return feature(f"provider answers {status}" if status != "html" else "provider answers 502 with a page")(test)


TESTS = {f"status_{status}": failing(status) for status in CLASSES}


def ask_chat(self, provider, word):
    messages = [{"role": "user", "content": self.word(word)}]
    self.openai.chat.completions.create(model=MODELS[provider], messages=messages)


def ask_responses(self, provider, word):
    self.openai.responses.create(model=MODELS[provider], input=self.word(word))


def ask_messages(self, provider, word):
    messages = [{"role": "user", "content": self.word(word)}]
    self.anthropic.messages.create(model=MODELS[provider], max_tokens=100, messages=messages)


def suite(name, sdk, ask):
    return type(name, (Errors,), {"client_api": name.lower(), "sdk": sdk, "ask": ask, **TESTS})


Chat = suite("Chat", openai, ask_chat)
Responses = suite("Responses", openai, ask_responses)
Messages = suite("Messages", anthropic, ask_messages)


if __name__ == "__main__":
    unittest.main(verbosity=2)
