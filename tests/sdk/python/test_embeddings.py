"""Embeddings by the official OpenAI SDK, through every provider that has them."""

import unittest

import openai
from support import Suite, feature

MODELS = {
    "chat": "chat/text-embedding-3-small",
    "gemini": "gemini/gemini-embedding-001",
    "titan": "bedrock/amazon.titan-embed-text-v2:0",
    "cohere": "bedrock/cohere.embed-v4:0",
}
ALL = tuple(MODELS)


def vector(text, length):
    """The vector that the provider makes of a text."""
    start = sum(text.encode()) % 97
    return [((start + 7 * place) % 101 - 50) / 64 for place in range(length)]


class Embeddings(Suite):
    client_api = "embeddings"

    def create(self, provider, texts, **request):
        return self.openai.embeddings.create(model=MODELS[provider], input=texts, **request)

    def check(self, answer, texts, length):
        self.assertEqual([one.index for one in answer.data], list(range(len(texts))))
        for text, one in zip(texts, answer.data):
            self.assertEqual(one.embedding, vector(text, length))

    @feature("floats", of=ALL)
    def floats(self, provider):
        texts = [self.word("cats"), "Grüße 世界"]
        self.check(self.create(provider, texts, encoding_format="float"), texts, 16)

    @feature("base64, which the SDK asks for by itself", of=ALL)
    def base64(self, provider):
        texts = [self.word("cats"), "dogs"]
        self.check(self.create(provider, texts), texts, 16)

    @feature("a single text", of=ALL)
    def single(self, provider):
        text = self.word("cats")
        self.check(self.create(provider, text), [text], 16)

    @feature("dimensions", of=ALL)
    def dimensions(self, provider):
        texts = [self.word("cats")]
        self.check(self.create(provider, texts, dimensions=256), texts, 256)

    @feature("more texts than the provider takes at once", of=("gemini", "titan", "cohere"))
    def many(self, provider):
        count = {"gemini": 230, "titan": 7, "cohere": 200}[provider]
        texts = [f"{self.word('many')} {place}" for place in range(count)]
        answer = self.create(provider, texts, encoding_format="float")
        self.check(answer, texts, 16)

    @feature("usage", of=ALL)
    def usage(self, provider):
        answer = self.create(provider, [self.word("cats"), "dogs"])
        self.assertEqual(answer.usage.prompt_tokens, answer.usage.total_tokens)
        if provider == "gemini":
            self.assertGreater(answer.usage.prompt_tokens, 0)
            return ("works", "estimated: the provider does not tell")
        self.assertEqual(answer.usage.prompt_tokens, 8)
        return None

    @feature("tokens in place of texts", field="input", of=ALL)
    def tokens(self, provider):
        try:
            self.create(provider, [[1, 2, 3]])
        except openai.BadRequestError as error:
            # What the provider itself refuses, it refuses in its own words.
            if provider != "chat":
                raise
            self.assertIn("no empty texts", str(error))


class NoEmbeddings(Suite):
    client_api = "embeddings"

    @feature("floats", field="model", of=("anthropic",))
    def none(self, provider):
        self.openai.embeddings.create(model="anthropic/claude-opus-5", input="cats")


if __name__ == "__main__":
    unittest.main(verbosity=2)
