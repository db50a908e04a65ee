"""Embeddings of a real server, and snapshots made of them."""

import json
import unittest

import openai
from support import WORK, Case, shared

MODEL = "embedding/tiny"
TEXTS = ["cats", "Grüße 世界 🌍", "a river and a stone"]


class Embeddings(Case):
    @classmethod
    def setUpClass(cls):
        house = shared()
        cls.server, cls.gateway = house["embedding"], house["gateway"]

    def create(self, texts, **request):
        return self.gateway.openai.embeddings.create(model=MODEL, input=texts, **request)

    def direct(self, texts):
        answer = self.server.openai.embeddings.create(model="tiny", input=texts, encoding_format="float")
        return [one.embedding for one in answer.data], answer.usage

    def check(self, found, wanted):
        self.assertEqual(len(found), len(wanted))
        for one, other in zip(found, wanted):
            self.assertEqual(len(one), 64)
            self.assertLess(max(abs(here - there) for here, there in zip(one, other)), 1e-5)

    def test_floats_and_base64(self):
        wanted, usage = self.direct(TEXTS)
        # The SDK asks for base64 when nothing is said.
        for request in ({"encoding_format": "float"}, {"encoding_format": "base64"}, {}):
            raw = self.gateway.openai.embeddings.with_raw_response.create(model=MODEL, input=TEXTS, **request)
            answer = raw.parse()
            self.assertEqual([one.index for one in answer.data], [0, 1, 2])
            if request.get("encoding_format") != "base64":
                self.check([one.embedding for one in answer.data], wanted)
            self.assertEqual(answer.usage.prompt_tokens, usage.prompt_tokens)
            outcome = self.gateway.record(raw.headers["x-request-id"])["outcome"]
            self.assertEqual((outcome["state"], outcome["usage"]["input"]), ("ok", usage.prompt_tokens))

    def test_many_texts_at_once(self):
        texts = [f"text {number}" for number in range(150)]
        wanted, _ = self.direct(texts)
        answer = self.create(texts, encoding_format="float")
        self.assertEqual([one.index for one in answer.data], list(range(150)))
        self.check([one.embedding for one in answer.data], wanted)

    def test_a_text_that_is_longer_than_a_batch(self):
        with self.assertRaises(openai.InternalServerError) as caught:
            self.create(["hello " * 100])
        self.assertEqual(caught.exception.status_code, 502)
        self.assertIn("too large to process", str(caught.exception))

    def test_a_snapshot(self):
        corpus = WORK / "corpus.jsonl"
        lines = [{"id": f"d{number}", "text": f"document {number} about rivers"} for number in range(200)]
        corpus.write_text("".join(json.dumps(line) + "\n" for line in lines))

        def asked():
            return len(self.gateway.api("/api/calls?operation=embeddings&limit=1000")["data"])

        def make():
            made = self.gateway.command("embeddings", "snapshot", "create", "docs", "--from", corpus, "--model", MODEL, "--json")
            return json.loads(made)

        before = asked()
        snapshot = make()["snapshot"]
        self.assertEqual((snapshot["items"], snapshot["dimensions"], snapshot["model_returned"]), (200, 64, "tiny"))
        self.assertGreater(snapshot["spent"]["requests"], 1)
        self.assertEqual(asked(), before + snapshot["spent"]["requests"])
        # A local model has no price, which is not a price of 0.
        self.assertIsNone(snapshot["spent"]["cost"])
        before = asked()
        self.assertFalse(make()["is_new"])
        self.assertEqual(asked(), before, "what was embedded was asked again")


if __name__ == "__main__":
    unittest.main(verbosity=2)
