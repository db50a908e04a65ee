"""Messages by the official Anthropic SDK, through every provider."""

import json
import unittest

import anthropic
from support import (CITY, DOCUMENT_TEXT, IMAGE, MODELS, NOTHING, PDF, TEXT, WEATHER_SCHEMA, Answer,
                     Suite, feature, paths)

TOOLS = [
    {"name": "get_weather", "description": "Weather.", "input_schema": WEATHER_SCHEMA},
    {"name": "get_time", "input_schema": NOTHING},
]
EPHEMERAL = {"type": "ephemeral"}


class MessagesSuite(Suite):
    client_api = "messages"

    def messages(self, scenario, *parts):
        text = self.word(scenario)
        return [{"role": "user", "content": [*parts, {"type": "text", "text": text}] if parts else text}]

    def create(self, provider, scenario, *parts, **request):
        request["messages"] = request.get("messages") or self.messages(scenario, *parts)
        request.setdefault("max_tokens", 4000)
        return self.anthropic.messages.create(model=MODELS[provider], **request)

    def streamed(self, provider, scenario, *parts, **request):
        """The message that the SDK's helper puts together from a stream."""
        request["messages"] = request.get("messages") or self.messages(scenario, *parts)
        request.setdefault("max_tokens", 4000)
        with self.anthropic.messages.stream(model=MODELS[provider], **request) as stream:
            for _ in stream:
                pass
            return stream.get_final_message()


class Messages(MessagesSuite):
    """What is said, and how it ends."""

    @feature("text")
    def text(self, provider):
        answer = self.create(provider, "text")
        self.assertEqual([block.type for block in answer.content], ["text"])
        self.assertEqual((answer.content[0].text, answer.stop_reason), (TEXT, "end_turn"))
        self.assertTrue(answer._request_id)

    @feature("text, streamed")
    def text_streamed(self, provider):
        with self.anthropic.messages.stream(
            model=MODELS[provider], max_tokens=4000, messages=self.messages("text")
        ) as stream:
            pieces = list(stream.text_stream)
        self.assertGreater(len(pieces), 2)
        self.assertEqual("".join(pieces), TEXT)
        self.assertEqual(stream.get_final_message().stop_reason, "end_turn")

    @feature("system")
    def system(self, provider):
        system = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
        self.create(provider, "text", system=system)
        sent = json.dumps(self.sent())
        self.assertIn("Be brief.", sent)
        self.assertIn("Be kind.", sent)

    @feature("usage with cached tokens")
    def usage(self, provider):
        for answer in (self.create(provider, "text"), self.streamed(provider, "text")):
            usage = answer.usage
            found = (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens)
            self.assertEqual(found, (60, 40, 20))

    @feature("tool call")
    def tool(self, provider):
        answer = self.create(provider, "tool", tools=TOOLS)
        # Gemini's proof of a thought goes along as a hidden one.
        blocks = [block for block in answer.content if block.type != "redacted_thinking"]
        self.assertEqual([block.type for block in blocks], ["text", "tool_use"])
        self.assertEqual((blocks[1].name, blocks[1].input), ("get_weather", CITY))
        self.assertEqual(answer.stop_reason, "tool_use")

    @feature("tool call, arguments streamed")
    def tool_streamed(self, provider):
        *_, call = self.streamed(provider, "tool-only", tools=TOOLS).content
        self.assertEqual((call.name, call.input), ("get_weather", CITY))

    @feature("parallel tool calls, whole and streamed")
    def parallel(self, provider):
        wanted = [("get_weather", CITY), ("get_weather", {"city": "Bergen", "days": 1}), ("get_time", {})]
        for ask in (self.create, self.streamed):
            content = ask(provider, "parallel-tools", tools=TOOLS).content
            calls = [block for block in content if block.type == "tool_use"]
            self.assertEqual([(call.name, call.input) for call in calls], wanted)
            self.assertEqual(len({call.id for call in calls}), 3)

    @feature("tool results")
    def results(self, provider):
        self.round_trip(provider, "tool", self.create)

    @feature("results of parallel calls that were streamed")
    def results_streamed(self, provider):
        self.round_trip(provider, "parallel-tools", self.streamed)

    @feature("tool results after thoughts", field="messages")
    def results_thoughts(self, provider):
        thinking = {} if provider == "chat" else {"thinking": {"type": "adaptive", "display": "summarized"}}
        self.round_trip(provider, "think-and-call", self.create, **thinking)

    @feature("tool result that is an error")
    def failed_result(self, provider):
        self.round_trip(provider, "tool", self.create, is_error=True)

    def round_trip(self, provider, scenario, ask, is_error=False, **request):
        messages = self.messages(scenario)
        content = ask(provider, scenario, messages=messages, tools=TOOLS, **request).content
        own = {"parsed_output"}
        content = [block.model_dump(exclude_none=True, exclude=own) for block in content]
        calls = [block for block in content if block["type"] == "tool_use"]
        failed = {"is_error": True} if is_error else {}
        results = [
            {"type": "tool_result", "tool_use_id": call["id"], "content": f"3 degrees for {call['name']}", **failed}
            for call in calls
        ]
        messages += [{"role": "assistant", "content": content}, {"role": "user", "content": results}]
        answer = ask(provider, scenario, messages=messages, tools=TOOLS, **request)
        self.assertEqual(answer.content[0].text, "It is 3 degrees in Oslo.")
        self.assertEqual(json.dumps(self.sent()).count("3 degrees for"), len(calls))

    @feature("tool_choice: any")
    def choice_any(self, provider):
        self.create(provider, "tool", tools=TOOLS, tool_choice={"type": "any"})
        where = paths(
            ("tool_choice", "required"),
            ("tool_choice", "required"),
            ("tool_choice.type", "any"),
            ("toolConfig.functionCallingConfig.mode", "ANY"),
            ("toolConfig.toolChoice.any", {}),
        )
        return self.arrived(provider, *where[provider])

    @feature("tool_choice: one call at a time", field="tool_choice")
    def one_at_a_time(self, provider):
        choice = {"type": "auto", "disable_parallel_tool_use": True}
        self.create(provider, "tool", tools=TOOLS, tool_choice=choice)
        where = paths(
            ("parallel_tool_calls", False),
            ("parallel_tool_calls", False),
            ("tool_choice.disable_parallel_tool_use", True),
            (None, None),
            (None, None),
        )
        return self.arrived(provider, *where[provider])

    @feature("output by a schema, parsed")
    def parse(self, provider):
        answer = self.anthropic.messages.parse(
            model=MODELS[provider], max_tokens=4000, messages=self.messages("json"), output_format=Answer
        )
        self.assertEqual(answer.parsed_output, Answer(title="Oslo", score=7, tags=["cold", "bright"]))

    @feature("thoughts shown")
    def thoughts(self, provider):
        thinking = {"type": "adaptive", "display": "summarized"}
        for ask in (self.create, self.streamed):
            answer = ask(provider, "think", thinking=thinking)
            self.assertEqual(answer.content[-1].text, "Seven.")
            if provider != "chat":
                self.assertEqual(answer.content[0].thinking, "Oslo is in Norway.")
        return ("works", "the provider shows none") if provider == "chat" else None

    @feature("thoughts by a budget", field="thinking")
    def budget(self, provider):
        answer = self.create(provider, "think", thinking={"type": "enabled", "budget_tokens": 2000})
        self.assertEqual(answer.content[-1].text, "Seven.")
        where = paths(
            ("reasoning_effort", "low"),
            ("reasoning.effort", "low"),
            ("thinking.budget_tokens", 2000),
            ("generationConfig.thinkingConfig.thinkingBudget", 2000),
            ("additionalModelRequestFields.thinking.budget_tokens", 2000),
        )
        return self.arrived(provider, *where[provider])

    @feature("image")
    def image(self, provider):
        source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
        part = {"type": "image", "source": source}
        self.assertEqual(self.create(provider, "image", part).content[0].text, "I see a red pixel.")

    @feature("document (PDF)")
    def document(self, provider):
        source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
        part = {"type": "document", "source": source, "title": "report"}
        self.assertEqual(self.create(provider, "document", part).content[0].text, "The grass is green.")

    @feature("document (text)", field="messages")
    def text_document(self, provider):
        source = {"type": "text", "media_type": "text/plain", "data": DOCUMENT_TEXT}
        self.create(provider, "text", {"type": "document", "source": source})

    @feature("citations", field="messages")
    def citations(self, provider):
        source = {"type": "text", "media_type": "text/plain", "data": DOCUMENT_TEXT}
        part = {"type": "document", "source": source, "title": "My document", "citations": {"enabled": True}}
        for ask in (self.create, self.streamed):
            block = ask(provider, "cite", part).content[0]
            self.assertEqual(block.text, "The grass is green.")
            self.assertEqual([cited.cited_text for cited in block.citations], ["The grass is green. "])

    @feature("cache_control", field="messages|system")
    def cache(self, provider):
        system = [{"type": "text", "text": "Long.", "cache_control": EPHEMERAL}]
        self.create(provider, "text", system=system)
        where = paths(
            (None, None),
            (None, None),
            ("system.0.cache_control", EPHEMERAL),
            (None, None),
            ("system.1.cachePoint", {"type": "default"}),
        )
        return self.arrived(provider, *where[provider])

    @feature("refusal")
    def refusal(self, provider):
        for ask in (self.create, self.streamed):
            self.assertEqual(ask(provider, "refusal").stop_reason, "refusal")

    @feature("stop at the most tokens")
    def length(self, provider):
        for ask in (self.create, self.streamed):
            answer = ask(provider, "long", max_tokens=16)
            self.assertEqual((answer.stop_reason, answer.content[0].text), ("max_tokens", "As long as it may be"))

    @feature("stop_sequences", field="stop_sequences")
    def stop(self, provider):
        for ask in (self.create, self.streamed):
            answer = ask(provider, "stop-word", stop_sequences=["END", "HALT"])
            self.assertEqual(answer.content[0].text, "Up to here ")
            if provider == "anthropic":
                self.assertEqual((answer.stop_reason, answer.stop_sequence), ("stop_sequence", "END"))
        return None if provider == "anthropic" else ("works", f"`stop_reason: {answer.stop_reason}`")

    @feature("count_tokens")
    def count(self, provider):
        counted = self.anthropic.messages.count_tokens(
            model=MODELS[provider], messages=self.messages("text"), system="Be brief.", tools=TOOLS
        )
        self.assertGreater(counted.input_tokens, 10)

    @feature("version and beta features that the client names", of=("anthropic",))
    def version(self, provider):
        self.create(provider, "text", extra_headers={"anthropic-beta": "a-beta-2026-01-01"})
        headers = self.seen()["headers"]
        self.assertEqual(headers["anthropic-version"], self.anthropic.default_headers["anthropic-version"])
        self.assertEqual(headers["anthropic-beta"], "a-beta-2026-01-01")

    @feature("error in a stream")
    def broken(self, provider):
        return self.breaks(provider, "error-in-stream")

    @feature("stream that is cut")
    def torn(self, provider):
        return self.breaks(provider, "torn")

    def breaks(self, provider, scenario):
        text = ""
        with self.assertRaises(anthropic.APIError) as caught:
            for event in self.create(provider, scenario, stream=True):
                if event.type == "content_block_delta":
                    text += event.delta.text
        self.assertEqual(text, TEXT, "what had come was not handed over")
        return ("error", f"`{caught.exception.body['error']['type']}`")


def setting(name, where, value=None, field=None, **request):
    """A test that a setting arrives at the provider."""
    field = field or next(iter(request))

    def test(self, provider):
        self.create(provider, "text", **request)
        path = where[provider]
        if isinstance(path, tuple):
            return self.arrived(provider, *path)
        return self.arrived(provider, path, value)

    return feature(name, field=field)(test)


NO = None
#: The version of the API that still had these settings.
OLDER = {"anthropic-version": "2023-06-01"}
SETTINGS = {
    "limit": setting(
        "max_tokens",
        paths("max_completion_tokens", "max_output_tokens", "max_tokens", "generationConfig.maxOutputTokens",
              "inferenceConfig.maxTokens"),
        64, max_tokens=64,
    ),
    "temperature": setting(
        "temperature",
        paths("temperature", "temperature", "temperature", "generationConfig.temperature", "inferenceConfig.temperature"),
        0.5, field="temperature", extra_body={"temperature": 0.5}, extra_headers=OLDER,
    ),
    "top_k": setting(
        "top_k", paths(NO, NO, "top_k", "generationConfig.topK", "additionalModelRequestFields.top_k"), 5,
        field="top_k", extra_body={"top_k": 5}, extra_headers=OLDER,
    ),
    "user": setting(
        "metadata.user_id", paths("user", "user", "metadata.user_id", NO, NO), "u-1", metadata={"user_id": "u-1"}
    ),
    "effort": setting(
        "output_config.effort",
        paths(
            ("reasoning_effort", "high"), ("reasoning.effort", "high"), ("output_config.effort", "high"),
            ("generationConfig.thinkingConfig.thinkingLevel", "HIGH"), ("outputConfig.effort", "high"),
        ),
        output_config={"effort": "high"},
    ),
    "tier": setting(
        "service_tier: standard_only",
        paths(("service_tier", "default"), ("service_tier", "default"), ("service_tier", "standard_only"),
              ("serviceTier", "standard"), ("serviceTier.type", "default")),
        service_tier="standard_only",
    ),
}
Settings = type("Settings", (MessagesSuite,), SETTINGS)

if __name__ == "__main__":
    unittest.main(verbosity=2)
