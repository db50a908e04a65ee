"""Conversations with a real server: the same words directly and through the gateway, in every dialect."""

import json
import unittest

import pydantic
from support import Case, said, shared, user

MODEL = "llama_cpp/tiny"
#: What Anthropic's SDK has no argument for.
COLD = {"temperature": 0}
FIXED = {"temperature": 0, "max_tokens": 24, "messages": user()}
TOOL = {
    "name": "get_weather",
    "description": "Weather.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"enum": ["Oslo", "Bergen"]}, "is_now": {"type": "boolean"}},
        "required": ["city", "is_now"],
        "additionalProperties": False,
    },
}


class Weather(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    is_cold: bool
    is_wet: bool


class Chat(Case):
    @classmethod
    def setUpClass(cls):
        house = shared()
        cls.server, cls.gateway = house["chat"], house["gateway"]
        cls.client, cls.anthropic = cls.gateway.openai, cls.gateway.anthropic

    def direct(self, **request):
        return self.server.openai.chat.completions.create(model="tiny", **{**FIXED, **request})

    def create(self, **request):
        return self.client.chat.completions.create(model=MODEL, **{**FIXED, **request})

    def raw(self, **request):
        """The answer, and the record of the call."""
        raw = self.client.chat.completions.with_raw_response.create(model=MODEL, **{**FIXED, **request})
        return raw.parse(), raw.headers["x-request-id"]

    def test_the_same_words_whole_and_streamed(self):
        wanted = self.direct().choices[0]
        self.assertEqual(wanted.finish_reason, "length")
        self.assertGreater(len(wanted.message.content.encode()), len(wanted.message.content), "no long characters")
        self.assertEqual(self.create().choices[0].message.content, wanted.message.content)
        for stream in (self.direct(stream=True), self.create(stream=True)):
            chunks = list(stream)
            pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
            self.assertGreaterEqual(len([piece for piece in pieces if piece]), 20, "not as the tokens come")
            self.assertEqual("".join(piece or "" for piece in pieces), wanted.message.content)
            self.assertEqual(chunks[-1].choices[0].finish_reason, "length")

    def test_a_stream_is_what_the_server_sent(self):
        def frames(create):
            chunks = [chunk.model_dump(exclude_unset=True) for chunk in create(stream=True, stream_options={"include_usage": True})]
            self.assertTrue(chunks[-1]["timings"], "its own fields are gone")
            for chunk in chunks:
                chunk.update(id="", created=0, timings=None)
            chunks[-1]["usage"]["prompt_tokens_details"] = None
            return chunks

        wanted = frames(self.direct)
        through = frames(self.create)
        for chunk in wanted + through:
            chunk.pop("obfuscation", None)
        self.assertEqual(through, wanted)

    def test_the_same_words_in_the_other_dialects(self):
        wanted = self.direct().choices[0].message.content
        asked = {"model": MODEL, "input": user(), "temperature": 0, "max_output_tokens": 24}
        answer = self.client.responses.create(**asked)
        self.assertEqual((answer.output_text, answer.status), (wanted, "incomplete"))
        self.assertEqual(answer.incomplete_details.reason, "max_output_tokens")
        events = list(self.client.responses.create(stream=True, **asked))
        self.assertEqual("".join(event.delta for event in events if event.type == "response.output_text.delta"), wanted)
        self.assertEqual(events[-1].response.output_text, wanted)
        self.assertEqual(events[-1].response.usage.output_tokens, 24)

        asked = {"model": MODEL, "messages": user(), "max_tokens": 24, "extra_body": COLD}
        message = self.anthropic.messages.create(**asked)
        self.assertEqual((said(message), message.stop_reason, message.usage.output_tokens), (wanted, "max_tokens", 24))
        with self.anthropic.messages.stream(**asked) as stream:
            self.assertEqual("".join(stream.text_stream), wanted)
            message = stream.get_final_message()
        self.assertEqual((said(message), message.stop_reason, message.usage.output_tokens), (wanted, "max_tokens", 24))

    def test_usage_is_the_servers_in_the_answer_and_in_the_record(self):
        wanted = self.direct().usage
        for streamed in (False, True):
            answer, call = self.raw(**({"stream": True, "stream_options": {"include_usage": True}} if streamed else {}))
            usage = list(answer)[-1].usage if streamed else answer.usage
            self.assertEqual((usage.prompt_tokens, usage.completion_tokens), (wanted.prompt_tokens, 24))
            outcome = self.gateway.record(call)["outcome"]
            self.assertEqual(outcome["usage_reported"], usage.model_dump(exclude_unset=True))
            self.assertEqual((outcome["usage"]["input"], outcome["usage"]["output"]), (wanted.prompt_tokens, 24))
            self.assertEqual(outcome["usage"].get("cached_input", 0), usage.prompt_tokens_details.cached_tokens)
            self.assertEqual((outcome["state"], outcome["finish_reason"]), ("ok", "length"))
            self.assertEqual(outcome["model_returned"], "tiny")

    def test_usage_of_a_stream_is_recorded_without_being_asked_for(self):
        stream, call = self.raw(stream=True)
        chunks = list(stream)
        self.assertTrue(all(chunk.usage is None and chunk.choices for chunk in chunks))
        outcome = self.gateway.record(call)["outcome"]
        self.assertEqual(outcome["usage"]["output"], 24)
        shown = self.gateway.command("calls", "show", call, "--json")
        self.assertEqual(json.loads(shown)["outcome"]["usage"], outcome["usage"])

    def test_it_stops_where_it_is_told_to(self):
        wanted = self.direct().choices[0].message.content
        word = wanted.split(" ")[4]
        for choice in (self.create(stop=[f" {word}"]), self.direct(stop=[f" {word}"])):
            self.assertEqual(choice.choices[0].message.content, wanted[: wanted.index(f" {word}")])
            self.assertEqual(choice.choices[0].finish_reason, "stop")
        message = self.anthropic.messages.create(
            model=MODEL, messages=user(), max_tokens=24, stop_sequences=[f" {word}"], extra_body=COLD
        )
        self.assertEqual(said(message), wanted[: wanted.index(f" {word}")])
        self.assertIn(message.stop_reason, ("end_turn", "stop_sequence"))

    def test_chance_has_a_seed(self):
        def text(create, seed):
            return create(seed=seed, temperature=1.0).choices[0].message.content

        first = text(self.create, 7)
        self.assertEqual(first, text(self.create, 7))
        self.assertEqual(first, text(self.direct, 7))
        self.assertNotEqual(first, text(self.create, 8))

    def test_logprobs(self):
        def tokens(choices):
            return [(one.token, one.bytes, len(one.top_logprobs)) for choice in choices for one in choice.logprobs.content]

        asked = {"logprobs": True, "top_logprobs": 3}
        wanted = tokens(self.direct(**asked).choices)
        self.assertEqual(len(wanted), 24)
        self.assertEqual(tokens(self.create(**asked).choices), wanted)
        chunks = self.create(stream=True, **asked)
        choices = [choice for chunk in chunks for choice in chunk.choices if choice.logprobs]
        self.assertEqual(tokens(choices), wanted)

    def test_several_choices(self):
        whole = self.create(n=2, temperature=1.0, seed=3).choices
        self.assertEqual(sorted(choice.index for choice in whole), [0, 1])
        texts = {choice.index: choice.message.content for choice in whole}
        self.assertNotEqual(texts[0], texts[1])
        streamed = {0: "", 1: ""}
        for chunk in self.create(n=2, temperature=1.0, seed=3, stream=True):
            for choice in chunk.choices:
                streamed[choice.index] += choice.delta.content or ""
        self.assertTrue(all(streamed.values()), streamed)

    def test_an_answer_by_a_schema(self):
        asked = {"model": MODEL, "temperature": 0}
        whole = self.client.chat.completions.parse(messages=user(), response_format=Weather, max_tokens=200, **asked)
        self.assertIsInstance(whole.choices[0].message.parsed, Weather)
        self.assertEqual(whole.choices[0].finish_reason, "stop")
        with self.client.chat.completions.stream(messages=user(), response_format=Weather, max_tokens=200, **asked) as stream:
            for _ in stream:
                pass
            self.assertEqual(stream.get_final_completion().choices[0].message.parsed, whole.choices[0].message.parsed)
        answer = self.client.responses.parse(input=user(), text_format=Weather, max_output_tokens=200, **asked)
        self.assertEqual(answer.output_parsed, whole.choices[0].message.parsed)
        self.assertEqual(answer.status, "completed")

    def test_a_prompt_by_its_name(self):
        wanted = self.direct(messages=user("Greet Ada politely."), max_tokens=12).choices[0].message.content
        given = {"prompt": {"variables": {"name": "Ada"}}}
        raw = self.client.chat.completions.with_raw_response.create(model="prompt:greet", messages=[], extra_body=given)
        self.assertEqual(raw.parse().choices[0].message.content, wanted)
        self.assertEqual(raw.headers["x-promptgate-prompt"], "greet")
        answer = self.client.responses.create(prompt={"id": "greet", "variables": {"name": "Ada"}})
        self.assertEqual(answer.output_text, wanted)
        message = self.anthropic.messages.create(model="prompt:greet", messages=[], max_tokens=12, extra_body=given)
        self.assertEqual(said(message), wanted)
        record = self.gateway.record(raw.headers["x-request-id"])
        self.assertEqual((record["intent"]["prompt"]["key"], record["outcome"]["state"]), ("greet", "ok"))


class Tools(Case):
    """The server has to call, and its grammar lets it say nothing else."""

    @classmethod
    def setUpClass(cls):
        house = shared()
        cls.gateway = house["gateway"]

    def check(self, name, arguments, key):
        self.assertEqual(name, "get_weather")
        found = json.loads(arguments) if isinstance(arguments, str) else arguments
        self.assertEqual(set(found), {"city", "is_now"})
        self.assertIn(found["city"], ("Oslo", "Bergen"))
        self.assertIs(type(found["is_now"]), bool)
        self.assertTrue(key)

    def test_chat(self):
        asked = {"model": "calling/tiny", "messages": user(), "temperature": 0, "max_tokens": 400, "tool_choice": "required"}
        asked["tools"] = [{"type": "function", "function": TOOL}]
        client = self.gateway.openai.chat.completions
        choice = client.create(**asked).choices[0]
        [call] = choice.message.tool_calls
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.check(call.function.name, call.function.arguments, call.id)
        pieces = 0
        with client.stream(**asked) as stream:
            for event in stream:
                pieces += event.type == "tool_calls.function.arguments.delta"
            choice = stream.get_final_completion().choices[0]
        self.assertGreater(pieces, 3, "not as the tokens come")
        [call] = choice.message.tool_calls
        self.check(call.function.name, call.function.arguments, call.id)
        result = {"role": "tool", "tool_call_id": call.id, "content": "3 degrees"}
        turns = [*user(), choice.message.model_dump(include={"role", "tool_calls"}), result]
        for turn in turns[1]["tool_calls"]:
            turn["function"].pop("parsed_arguments", None)
        answer = client.create(model="llama_cpp/tiny", messages=turns, max_tokens=5, tools=asked["tools"], temperature=0)
        self.assertTrue(answer.choices[0].message.content)

    def test_responses(self):
        asked = {"model": "calling/tiny", "input": user(), "temperature": 0, "max_output_tokens": 400}
        asked |= {"tool_choice": "required", "tools": [{"type": "function", "strict": True, **TOOL}]}
        [call] = [item for item in self.gateway.openai.responses.create(**asked).output if item.type == "function_call"]
        self.check(call.name, call.arguments, call.call_id)
        events = list(self.gateway.openai.responses.create(stream=True, **asked))
        arguments = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
        [streamed] = [item for item in events[-1].response.output if item.type == "function_call"]
        self.assertEqual(arguments, streamed.arguments)
        self.assertEqual(events[-1].response.status, "completed")
        self.check(streamed.name, streamed.arguments, streamed.call_id)

    def test_messages(self):
        asked = {"model": "calling/tiny", "messages": user(), "max_tokens": 400, "extra_body": COLD}
        asked["tools"] = [{"name": TOOL["name"], "description": "Weather.", "input_schema": TOOL["parameters"]}]
        asked["tool_choice"] = {"type": "any"}
        message = self.gateway.anthropic.messages.create(**asked)
        with self.gateway.anthropic.messages.stream(**asked) as stream:
            streamed = stream.get_final_message()
        for one in (message, streamed):
            [use] = [block for block in one.content if block.type == "tool_use"]
            self.assertEqual(one.stop_reason, "tool_use")
            self.check(use.name, use.input, use.id)


if __name__ == "__main__":
    unittest.main(verbosity=2)
