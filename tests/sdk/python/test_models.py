"""The list of models by both official SDKs for Python.

    PROMPTGATE_TRANSLATING  the data plane of a gateway with a provider for each dialect
"""

import datetime
import os
import unittest
from decimal import Decimal

import anthropic
import openai

URL = os.environ["PROMPTGATE_TRANSLATING"]
MODEL = "anthropic/claude-opus-5"


class ByOpenAI(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=f"{URL}/v1", api_key="any")
        self.addCleanup(self.client.close)

    def test_models_are_listed_with_sizes_and_prices(self):
        models = {model.id: model for model in self.client.models.list()}
        model = models[MODEL]
        self.assertEqual((model.object, model.owned_by), ("model", "anthropic"))
        self.assertGreater(model.context_length, 0)
        self.assertGreater(Decimal(model.pricing["output"]), Decimal(model.pricing["input"]))
        self.assertTrue(model.capabilities["function_calling"])

    def test_a_model_is_retrieved_by_its_full_name_and_by_its_own(self):
        for name in (MODEL, "claude-opus-5"):
            self.assertEqual(self.client.models.retrieve(name).id, MODEL)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("anthropic/nothing")


class ByAnthropic(unittest.TestCase):
    def setUp(self):
        self.client = anthropic.Anthropic(base_url=URL, api_key="any")
        self.addCleanup(self.client.close)

    def test_the_pages_hold_all_that_openais_client_gets(self):
        first = self.client.models.list(limit=3)
        self.assertEqual((len(first.data), first.has_more), (3, True))
        ids = [model.id for model in self.client.models.list(limit=100)]
        with openai.OpenAI(base_url=f"{URL}/v1", api_key="any") as other:
            self.assertEqual(ids, [model.id for model in other.models.list()])

    def test_pages_are_turned_back(self):
        ids = [model.id for model in self.client.models.list(limit=5).data]
        page = self.client.models.list(limit=2, before_id=ids[4])
        self.assertEqual([model.id for model in page.data], ids[2:4])

    def test_a_model_is_retrieved(self):
        for name in (MODEL, "claude-opus-5"):
            model = self.client.models.retrieve(name)
            self.assertEqual((model.id, model.type, model.display_name), (MODEL, "model", "claude-opus-5"))
            self.assertIsInstance(model.created_at, datetime.datetime)
        with self.assertRaises(anthropic.NotFoundError) as raised:
            self.client.models.retrieve("anthropic/nothing")
        self.assertEqual(raised.exception.body["error"]["type"], "not_found_error")


if __name__ == "__main__":
    unittest.main()
