"""The official OpenAI SDK for Python against a running promptgate.

    PROMPTGATE_URL   the data plane without keys, http://127.0.0.1:PORT
    PROMPTGATE_KEYED the data plane of a gateway that wants a key
    PROMPTGATE_KEY   a key of that one
"""

import json
import os
import unittest

import httpx2 as httpx
import openai
import pydantic

URL = os.environ["PROMPTGATE_URL"]
KEYED = os.environ["PROMPTGATE_KEYED"]
KEY = os.environ["PROMPTGATE_KEY"]
HELLO = [{"role": "user", "content": "hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


class Answer(pydantic.BaseModel):
    title: str
    score: int
    tags: list[str]


class Counting(httpx.BaseTransport):
    """Counts the requests that the SDK makes, its retries included."""

    def __init__(self):
        self.requests = 0
        self.inner = httpx.HTTPTransport()

    def handle_request(self, request):
        self.requests += 1
        return self.inner.handle_request(request)


def client(url=URL, key="any", **options):
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, **options)


class Chat(unittest.TestCase):
    def test_an_answer_has_its_types(self):
        answer = client().chat.completions.create(model="simulated/gpt", messages=HELLO)
        self.assertEqual(answer.object, "chat.completion")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertTrue(answer.choices[0].message.content)
        self.assertGreater(answer.usage.prompt_tokens, 0)
        self.assertTrue(answer._request_id)

    def test_headers_say_what_answered(self):
        raw = client().chat.completions.with_raw_response.create(
            model="simulated/gpt", messages=HELLO
        )
        self.assertEqual(raw.headers["x-promptgate-provider"], "simulated")
        self.assertEqual(raw.headers["x-promptgate-durability"], "os")
        self.assertTrue(raw.parse().choices)

    def test_a_stream_brings_the_same_text(self):
        model = "simulated/gpt?text=one%20two%20three&chunks=3"
        whole = client().chat.completions.create(model=model, messages=HELLO)
        stream = client().chat.completions.create(model=model, messages=HELLO, stream=True)
        chunks = list(stream)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertTrue(all(chunk.usage is None for chunk in chunks))

    def test_usage_of_a_stream_comes_when_asked_for(self):
        stream = client().chat.completions.create(
            model="simulated/gpt",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
        )
        last = list(stream)[-1]
        self.assertEqual(last.choices, [])
        self.assertGreater(last.usage.total_tokens, 0)

    def test_tools_are_called(self):
        answer = client().chat.completions.create(
            model="simulated/tools", messages=HELLO, tools=[WEATHER]
        )
        call = answer.choices[0].message.tool_calls[0]
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
        self.assertEqual(call.function.name, "get_weather")
        self.assertIsInstance(json.loads(call.function.arguments)["city"], str)

    def test_tools_are_called_in_a_stream(self):
        with client().chat.completions.stream(
            model="simulated/tools", messages=HELLO, tools=[WEATHER]
        ) as stream:
            final = stream.get_final_completion()
        arguments = final.choices[0].message.tool_calls[0].function.arguments
        self.assertIsInstance(json.loads(arguments)["city"], str)

    def test_structured_output_is_parsed(self):
        answer = client().chat.completions.parse(
            model="simulated/gpt", messages=HELLO, response_format=Answer
        )
        self.assertIsInstance(answer.choices[0].message.parsed, Answer)

    def test_unknown_parameters_and_images_are_taken(self):
        content = [
            {"type": "text", "text": "what is this?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        ]
        answer = client().chat.completions.create(
            model="simulated/gpt",
            messages=[{"role": "user", "content": content}],
            extra_body={"a_parameter_of_next_year": {"deep": True}},
        )
        self.assertTrue(answer.choices[0].message.content)


class Embeddings(unittest.TestCase):
    def test_vectors_come_in_both_encodings(self):
        # The SDK asks for base64 by itself, unless floats are named.
        texts = ["a cat", "a dog"]
        make = client().embeddings.create
        decoded = make(model="simulated/embedding", input=texts)
        floats = make(model="simulated/embedding", input=texts, encoding_format="float")
        self.assertEqual(len(decoded.data), 2)
        for one, other in zip(decoded.data, floats.data):
            self.assertEqual(len(one.embedding), len(other.embedding))
            for a, b in zip(one.embedding, other.embedding):
                self.assertAlmostEqual(a, b, places=5)
        self.assertGreater(floats.usage.prompt_tokens, 0)

    def test_dimensions_are_obeyed(self):
        answer = client().embeddings.create(
            model="simulated/embedding", input="a cat", dimensions=64
        )
        self.assertEqual(len(answer.data[0].embedding), 64)


class Models(unittest.TestCase):
    def test_models_are_listed_and_retrieved(self):
        ids = [model.id for model in client().models.list()]
        self.assertIn("prompt:greet", ids)
        self.assertEqual(client().models.retrieve("prompt:greet").id, "prompt:greet")
        with self.assertRaises(openai.NotFoundError):
            client().models.retrieve("prompt:nothing")


class Prompts(unittest.TestCase):
    def ask(self, **request):
        raw = client().chat.completions.with_raw_response.create(**request)
        self.assertEqual(raw.headers["x-promptgate-prompt"], "greet")
        return json.loads(raw.parse().choices[0].message.content)

    def test_a_prompt_is_named_as_a_model(self):
        sent = self.ask(
            model="prompt:greet", messages=[], extra_body={"prompt": {"variables": {"name": "Ada"}}}
        )
        self.assertIn("Greet Ada politely.", json.dumps(sent))

    def test_a_prompt_is_named_by_its_object(self):
        prompt = {"id": "greet", "version": "latest", "variables": {"name": "Ada"}}
        sent = self.ask(
            model="simulated/echo", messages=HELLO, extra_body={"prompt": prompt}
        )
        self.assertIn("Greet Ada politely.", json.dumps(sent))
        self.assertIn("hello", json.dumps(sent))


class Errors(unittest.TestCase):
    """Every error has its type, and what is final is not asked again by the SDK."""

    def fails(self, error, status, code, asked=1, url=URL, key="any", **request):
        transport = Counting()
        http_client = httpx.Client(transport=transport)
        sdk = client(url, key, http_client=http_client, max_retries=2)
        request = {"model": "simulated/gpt", "messages": HELLO, **request}
        with self.assertRaises(error) as caught:
            sdk.chat.completions.create(**request)
        self.assertEqual(caught.exception.status_code, status)
        if code is not None:
            self.assertEqual(caught.exception.code, code)
        self.assertTrue(caught.exception.request_id)
        self.assertTrue(caught.exception.body["message"])
        self.assertEqual(transport.requests, asked)
        return caught.exception

    def test_401(self):
        for key in ["wrong", "pgate_0000_0000"]:
            self.fails(openai.AuthenticationError, 401, None, url=KEYED, key=key)
        answer = client(KEYED, KEY).chat.completions.create(model="simulated/gpt", messages=HELLO)
        self.assertTrue(answer.choices)

    def test_400(self):
        self.fails(openai.BadRequestError, 400, None, model="simulated/gpt?no_such_option=1")
        self.fails(openai.BadRequestError, 400, "invalid_type", messages="hello")
        self.fails(
            openai.BadRequestError,
            400,
            "missing_prompt_variables",
            model="prompt:greet",
            messages=[],
        )

    def test_404(self):
        self.fails(openai.NotFoundError, 404, "model_not_found", model="nobody/knows-this")
        error = self.fails(openai.NotFoundError, 404, "prompt_not_found", model="prompt:gret")
        self.assertIn("greet", str(error.body))

    def test_429(self):
        self.fails(openai.RateLimitError, 429, None, model="simulated/gpt?fail=429&retry_after=60")

    def test_5xx(self):
        for fault in ["500", "503", "reset", "malformed", "empty"]:
            with self.subTest(fault):
                error = self.fails_with_any_5xx(f"simulated/gpt?fail={fault}")
                self.assertEqual(error.response.headers["x-should-retry"], "false")

    def fails_with_any_5xx(self, model):
        transport = Counting()
        sdk = client(http_client=httpx.Client(transport=transport), max_retries=2)
        with self.assertRaises(openai.InternalServerError) as caught:
            sdk.chat.completions.create(model=model, messages=HELLO)
        self.assertEqual(transport.requests, 1)
        return caught.exception

    def test_a_broken_stream_raises(self):
        for fault in ["cut", "event", "reset"]:
            with self.subTest(fault):
                stream = client().chat.completions.create(
                    model=f"simulated/gpt?chunks=8&fail={fault}&after=3", messages=HELLO, stream=True
                )
                with self.assertRaises(openai.APIError):
                    list(stream)


if __name__ == "__main__":
    unittest.main(verbosity=2)
