"""Every answer and every stream of the corpus (tests/fixtures/dialects), as the official SDKs take it in each of the
APIs: broken ones, odd ones, those of imitators. It is an answer of the SDK's own types, or an error of its own."""

import json
import pathlib
import unittest

import anthropic
import openai
from support import MODELS, Suite, feature

CORPUS = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "dialects"
DIALECTS = {
    "chat": "chat",
    "responses": "responses",
    "anthropic": "messages",
    "gemini": "gemini",
    "bedrock": "converse",
}
#: What no type of a client's API can say, and is handed over in the provider's words all the same.
ODD = {
    ("chat", "documents"): "citations of documents",
    ("responses", "documents"): "citations of documents",
    ("chat", "audio"): "sound that does not say how long it is kept",
    ("responses", "audio"): "sound",
    ("messages", "images"): "pictures that a model made",
    ("responses", "server-tools"): "a pause in a turn",
}


def cases(provider, ending):
    """The cases that have an answer of the provider's."""
    files = sorted(CORPUS.glob(f"*/{DIALECTS[provider]}.{ending}"))
    assert files, f"no {ending} for {provider}"
    return [file.parent.name for file in files]


class Corpus(Suite):
    """`ask` asks for a case, and reads the answer to its end."""

    def take(self, provider, ending, is_stream):
        is_own = DIALECTS[provider] == self.client_api
        for case in cases(provider, ending):
            with self.subTest(case):
                self.transport.problems.clear()
                try:
                    self.ask(provider, f"corpus:{case}", is_stream)
                except (openai.APIError, anthropic.APIError) as error:
                    self.assertNotIn("upstream: ", str(error), "it was not asked for rightly")
                except json.JSONDecodeError:
                    self.assertTrue(is_own, "what is no JSON was handed over")
                # In its own dialect the provider's bytes pass as they are, however odd.
                if not is_own and (self.client_api, case) not in ODD:
                    self.finish()
        self.transport.problems.clear()


@feature("corpus", hidden=True)
def whole(self, provider):
    self.take(provider, "reply.json", False)


@feature("corpus", hidden=True)
def streamed(self, provider):
    self.take(provider, "stream.*", True)


def ask_chat(self, provider, text, is_stream):
    messages = [{"role": "user", "content": text}]
    answer = self.openai.chat.completions.create(model=MODELS[provider], messages=messages, stream=is_stream)
    if is_stream:
        list(answer)


def ask_responses(self, provider, text, is_stream):
    answer = self.openai.responses.create(model=MODELS[provider], input=text, stream=is_stream)
    if is_stream:
        list(answer)


def ask_messages(self, provider, text, is_stream):
    messages = [{"role": "user", "content": text}]
    answer = self.anthropic.messages.create(
        model=MODELS[provider], max_tokens=100, messages=messages, stream=is_stream
    )
    if is_stream:
        list(answer)


def suite(client_api, ask):
    parts = {"client_api": client_api, "ask": ask, "whole": whole, "streamed": streamed}
    return type(client_api.title(), (Corpus,), parts)


Chat = suite("chat", ask_chat)
Responses = suite("responses", ask_responses)
Messages = suite("messages", ask_messages)

if __name__ == "__main__":
    unittest.main(verbosity=2)
