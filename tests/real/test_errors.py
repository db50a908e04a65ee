"""What a real server refuses, and what becomes of calls when it is gone, killed or stands still."""

import unittest

import anthropic
import openai
from support import CONTINUE, DIALECTS, STOP, Case, Gateway, Server, Stream, at, call_of, shared

#: More than the small server can hold.
LONG = "hello " * 100
CHAT = DIALECTS[0]


def fault(body):
    return body["error"]


class Refusals(Case):
    @classmethod
    def setUpClass(cls):
        house = shared()
        cls.gateway = house["gateway"]

    def test_a_context_that_is_too_long_has_the_servers_words(self):
        for dialect in DIALECTS:
            for stream in (False, True):
                with self.subTest(dialect=dialect.name, stream=stream):
                    asked = dialect.request("small/tiny", LONG, 20, stream)
                    status, headers, body = self.gateway.ask(dialect.path, asked)
                    self.assertEqual((status, fault(body)["type"]), (400, "invalid_request_error"))
                    self.assertEqual(fault(body)["code"], "exceed_context_size_error")
                    self.assertIn("exceeds the available context size (256 tokens)", fault(body)["message"])
                    self.assertEqual(headers["x-should-retry"], "false")
                    outcome = self.gateway.record(headers["x-request-id"])["outcome"]
                    self.assertEqual((outcome["state"], outcome["error"]), ("refused", "provider_rejected"))
                    [attempt] = outcome["attempts"]
                    self.assertEqual((attempt["status"], attempt["error"]), (400, "provider_rejected"))
                    self.assertIn("context size", outcome["message"])

    def test_sdks_raise_their_own_errors_for_it(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.gateway.openai.responses.create(model="small/tiny", input=LONG)
        self.assertEqual(caught.exception.code, "exceed_context_size_error")
        with self.assertRaises(anthropic.BadRequestError):
            messages = [{"role": "user", "content": LONG}]
            self.gateway.anthropic.messages.create(model="small/tiny", max_tokens=20, messages=messages)

    def test_a_context_that_is_full_ends_the_answer(self):
        for dialect in DIALECTS:
            with self.subTest(dialect=dialect.name):
                stream = Stream(self.gateway, dialect, "small/tiny")
                stream.read()
                stream.leave()
                self.assertTrue(stream.has_end and stream.text, stream.text)
                outcome = self.gateway.record(stream.call)["outcome"]
                self.assertEqual((outcome["state"], outcome["finish_reason"]), ("ok", "length"))

    def test_a_request_that_it_cannot_read(self):
        asked = CHAT.request("llama_cpp/tiny", most=5, stream=False) | {"grammar": "root ::= ("}
        status, headers, body = self.gateway.ask(CHAT.path, asked)
        self.assertEqual((status, fault(body)["type"]), (400, "invalid_request_error"))
        self.assertIn("grammar", fault(body)["message"])
        self.assertEqual(self.gateway.record(headers["x-request-id"])["outcome"]["state"], "refused")

    def test_what_it_does_not_have(self):
        status, headers, body = self.gateway.ask("/llama_cpp/v1/nothing", {"model": "tiny"})
        self.assertEqual((status, fault(body)["type"]), (404, "not_found_error"))
        self.assertEqual(self.gateway.record(headers["x-request-id"])["outcome"]["status"], 404)
        # It was not started for embeddings.
        status, _, body = self.gateway.ask("/v1/embeddings", {"model": "llama_cpp/tiny", "input": "cats"})
        self.assertEqual(status, 502)
        self.assertIn("--embeddings", fault(body)["message"])

    def test_nothing_is_simulated_where_a_server_is(self):
        status, _, body = self.gateway.ask(CHAT.path, CHAT.request("gpt-4o", most=5, stream=False))
        self.assertEqual((status, fault(body)["code"]), (404, "model_not_found"), body)

    def test_nobody_listens(self):
        for dialect in DIALECTS:
            with self.subTest(dialect=dialect.name):
                status, headers, body = self.gateway.ask(dialect.path, dialect.request("gone/tiny", most=5))
                self.assertEqual(status, 502)
                self.assertIn("gone", fault(body)["message"])
                outcome = self.gateway.record(headers["x-request-id"])["outcome"]
                self.assertEqual((outcome["state"], outcome["error"]), ("upstream_error", "provider_unreachable"))


class Keys(Case):
    """The server wants a key, which it gets from the environment."""

    def test_a_key(self):
        key = "-".join(["local", "key", "of", "the", "server"])
        server = Server("keyed", slots=1, context=512, key=key)
        environment = {"LLAMA_CPP_BASE_URL": server.url, "LLAMA_API_KEY": key}
        gateway = Gateway("with-key", {}, environment)
        status, _, body = gateway.ask(CHAT.path, CHAT.request("llama_cpp/tiny", most=3, stream=False))
        self.assertEqual(status, 200, body)
        gateway.kill()
        gateway = Gateway("without-key", {"llama_cpp": at(server)})
        status, headers, body = gateway.ask(CHAT.path, CHAT.request("llama_cpp/tiny", most=3, stream=False))
        self.assertEqual((status, fault(body)["code"]), (502, "provider_rejected"))
        [attempt] = gateway.record(headers["x-request-id"])["outcome"]["attempts"]
        self.assertEqual(attempt["status"], 401)
        gateway.kill()
        server.kill()


class Broken(Case):
    """A server of its own for each test, which it does not survive or which stands still."""

    def setUp(self):
        self.server = Server("doomed")
        self.addCleanup(self.server.kill)
        deadlines = '[providers.llama_cpp.deadlines]\nfirst_byte = "2s"\nidle = "2s"'
        self.gateway = Gateway(f"doomed-{self.id().split('.')[-1]}", {"llama_cpp": f"{at(self.server)}\n{deadlines}"})
        self.addCleanup(self.gateway.kill)

    def streams(self, characters=50):
        streams = []
        # As many as the server has slots.
        for dialect in DIALECTS[:2]:
            streams.append(Stream(self.gateway, dialect, "llama_cpp/tiny"))
            streams[-1].read(characters)
        return streams

    def check(self, stream, state, error):
        stream.read()
        # Responses end with the whole response after the error.
        last = ["error", "response.failed"] if stream.dialect.name == "responses" else [None]
        self.assertEqual([frame.get("type") for frame in stream.errors], last, f"{stream.dialect.name}: no word about the end")
        self.assertFalse(stream.has_end, f"{stream.dialect.name}: a false end")
        outcome = self.gateway.record(stream.call)["outcome"]
        self.assertEqual((outcome["state"], outcome["error"]), (state, error), stream.dialect.name)
        self.assertEqual(outcome["cost"], {"pico_usd": None, "quality": "unknown"})
        self.assertGreater(outcome["usage"]["output"], 10)

    def test_killed_while_it_speaks(self):
        streams = self.streams()
        self.server.kill()
        for stream in streams:
            self.check(stream, "upstream_error", "provider_reset")
        status, _, body = self.gateway.ask(CHAT.path, CHAT.request("llama_cpp/tiny", most=5))
        self.assertEqual((status, fault(body)["code"]), (502, "provider_unreachable"))

    def test_killed_while_it_speaks_as_the_sdks_see_it(self):
        streams = [
            (openai.APIError, self.gateway.openai.chat.completions.create(
                model="llama_cpp/tiny", stream=True, messages=[{"role": "user", "content": "Hi"}])),
            (anthropic.APIError, self.gateway.anthropic.messages.create(
                model="llama_cpp/tiny", stream=True, max_tokens=500_000, messages=[{"role": "user", "content": "Hi"}])),
        ]
        iterators = [iter(stream) for _, stream in streams]
        for iterator in iterators:
            for _ in range(10):
                next(iterator)
        self.server.kill()
        for (kind, stream), iterator in zip(streams, iterators):
            with self.assertRaises(kind):
                for _ in iterator:
                    pass
            outcome = self.gateway.record(call_of(stream.response))["outcome"]
            self.assertEqual(outcome["state"], "upstream_error")

    def test_it_stands_still_before_a_word(self):
        self.server.signal(STOP)
        for dialect in DIALECTS[1:]:
            with self.subTest(dialect=dialect.name):
                status, headers, body = self.gateway.ask(dialect.path, dialect.request("llama_cpp/tiny", most=5))
                self.assertEqual(status, 504, body)
                outcome = self.gateway.record(headers["x-request-id"])["outcome"]
                self.assertEqual((outcome["state"], outcome["error"]), ("timeout", "provider_first_byte_timeout"))
        self.server.signal(CONTINUE)
        # What it had accepted meanwhile is nobody's any more.
        self.server.wait_until_free()

    def test_it_stands_still_while_it_speaks(self):
        streams = self.streams()
        self.server.signal(STOP)
        for stream in streams:
            self.check(stream, "timeout", "provider_idle_timeout")
        self.server.signal(CONTINUE)
        self.server.wait_until_free()
        status, _, _ = self.gateway.ask(CHAT.path, CHAT.request("llama_cpp/tiny", most=5, stream=False))
        self.assertEqual(status, 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
