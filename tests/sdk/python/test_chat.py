"""Chat completions by the official OpenAI SDK, through every provider."""

import json
import unittest

import openai
from support import (AUDIO, CITY, IMAGE, MODELS, NOTHING, PDF, TEXT, WEATHER_SCHEMA, Answer, Suite,
                     feature, paths)

TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": WEATHER_SCHEMA}},
    {"type": "function", "function": {"name": "get_time", "parameters": NOTHING}},
]


class ChatSuite(Suite):
    client_api = "chat"

    def messages(self, scenario, *parts):
        text = self.word(scenario)
        content = [{"type": "text", "text": text}, *parts] if parts else text
        return [{"role": "user", "content": content}]

    def create(self, provider, scenario, *parts, **request):
        request["messages"] = request.get("messages") or self.messages(scenario, *parts)
        return self.openai.chat.completions.create(model=MODELS[provider], **request)

    def streamed(self, provider, scenario, **request):
        """The completion that the SDK's helper puts together from a stream."""
        request["messages"] = request.get("messages") or self.messages(scenario)
        with self.openai.chat.completions.stream(model=MODELS[provider], **request) as stream:
            for _ in stream:
                pass
            return stream.get_final_completion()

    def both(self, provider, scenario, **request):
        """The answer to a scenario, whole and streamed, which must be the same."""
        whole = self.create(provider, scenario, **request).choices[0]
        streamed = self.streamed(provider, scenario, **request).choices[0]
        self.assertEqual(whole.finish_reason, streamed.finish_reason)
        self.assertEqual(whole.message.content or None, streamed.message.content or None)
        self.assertEqual(whole.message.refusal, streamed.message.refusal)
        return whole


class Chat(ChatSuite):
    """What is said, and how it ends."""

    @feature("text")
    def text(self, provider):
        answer = self.create(provider, "text")
        self.assertEqual(answer.choices[0].message.content, TEXT)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(self.transport.headers["x-promptgate-provider"], provider)

    @feature("text, streamed")
    def text_streamed(self, provider):
        chunks = list(self.create(provider, "text", stream=True))
        pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
        self.assertGreater(len([piece for piece in pieces if piece]), 2)
        self.assertEqual("".join(piece or "" for piece in pieces), TEXT)
        self.assertTrue(all(chunk.usage is None for chunk in chunks))
        self.assertEqual(self.streamed(provider, "text").choices[0].message.content, TEXT)

    @feature("system and developer messages")
    def system(self, provider):
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": "Be kind."},
            *self.messages("text"),
        ]
        self.create(provider, "text", messages=messages)
        sent = json.dumps(self.sent())
        self.assertIn("Be brief.", sent)
        self.assertIn("Be kind.", sent)

    @feature("conversation of several turns")
    def turns(self, provider):
        messages = [
            {"role": "user", "content": "First."},
            {"role": "assistant", "content": "Second."},
            *self.messages("text"),
        ]
        self.assertEqual(self.create(provider, "text", messages=messages).choices[0].message.content, TEXT)
        sent = json.dumps(self.sent())
        self.assertTrue(sent.index("First.") < sent.index("Second.") < sent.index(self.name))

    @feature("usage with cached tokens")
    def usage(self, provider):
        self.check_usage(provider, self.create(provider, "text").usage)

    @feature("usage of a stream")
    def usage_streamed(self, provider):
        chunks = list(self.create(provider, "text", stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))
        self.check_usage(provider, chunks[-1].usage)

    def check_usage(self, provider, usage):
        self.assertEqual((usage.prompt_tokens, usage.completion_tokens, usage.total_tokens), (100, 20, 120))
        self.assertEqual(usage.prompt_tokens_details.cached_tokens, 40)
        if provider in ("chat", "responses", "gemini"):
            self.assertEqual(usage.completion_tokens_details.reasoning_tokens, 5)

    @feature("tool call")
    def tool(self, provider):
        choice = self.create(provider, "tool", tools=TOOLS).choices[0]
        self.assertEqual((choice.finish_reason, choice.message.content), ("tool_calls", "Let me look."))
        [call] = choice.message.tool_calls
        self.assertEqual((call.type, call.function.name, json.loads(call.function.arguments)), ("function", "get_weather", CITY))

    @feature("tool call, arguments streamed")
    def tool_streamed(self, provider):
        choice = self.streamed(provider, "tool-only", tools=TOOLS).choices[0]
        self.assertEqual(choice.finish_reason, "tool_calls")
        [call] = choice.message.tool_calls
        self.assertEqual((call.function.name, json.loads(call.function.arguments)), ("get_weather", CITY))

    @feature("parallel tool calls")
    def parallel(self, provider):
        self.check_three(self.create(provider, "parallel-tools", tools=TOOLS).choices[0].message.tool_calls)

    @feature("parallel tool calls, streamed")
    def parallel_streamed(self, provider):
        self.check_three(self.streamed(provider, "parallel-tools", tools=TOOLS).choices[0].message.tool_calls)

    def check_three(self, calls):
        found = [(call.function.name, json.loads(call.function.arguments)) for call in calls]
        wanted = [("get_weather", CITY), ("get_weather", {"city": "Bergen", "days": 1}), ("get_time", {})]
        self.assertEqual(found, wanted)
        self.assertEqual(len({call.id for call in calls}), 3)

    @feature("tool results")
    def results(self, provider):
        self.round_trip(provider, "tool", self.create)

    @feature("results of parallel calls that were streamed")
    def results_streamed(self, provider):
        self.round_trip(provider, "parallel-tools", self.streamed)

    @feature("tool results after thoughts", field="messages")
    def results_thoughts(self, provider):
        effort = {} if provider == "chat" else {"reasoning_effort": "high"}
        self.round_trip(provider, "think-and-call", self.create, **effort)

    def round_trip(self, provider, scenario, ask, **request):
        messages = self.messages(scenario)
        message = ask(provider, scenario, messages=messages, tools=TOOLS, **request).choices[0].message
        calls = message.tool_calls
        # As the SDK's documentation does it; what the streaming helper adds for itself is no part of the API.
        own = {"parsed": True, "tool_calls": {"__all__": {"index": True, "function": {"parsed_arguments"}}}}
        messages.append(message if ask == self.create else message.model_dump(exclude_unset=True, exclude=own))
        for call in calls:
            content = f"3 degrees for {call.function.name}"
            messages.append({"role": "tool", "tool_call_id": call.id, "content": content})
        answer = ask(provider, scenario, messages=messages, tools=TOOLS, **request)
        self.assertEqual(answer.choices[0].message.content, "It is 3 degrees in Oslo.")
        self.assertEqual(json.dumps(self.sent()).count("3 degrees for"), len(calls))

    @feature("tool_choice: required")
    def choice_required(self, provider):
        self.create(provider, "tool", tools=TOOLS, tool_choice="required")
        where = paths(
            ("tool_choice", "required"),
            ("tool_choice", "required"),
            ("tool_choice.type", "any"),
            ("toolConfig.functionCallingConfig.mode", "ANY"),
            ("toolConfig.toolChoice.any", {}),
        )
        return self.arrived(provider, *where[provider])

    @feature("tool_choice: none", field="tool_choice")
    def choice_none(self, provider):
        self.create(provider, "text", tools=TOOLS, tool_choice="none")
        where = paths(
            ("tool_choice", "none"),
            ("tool_choice", "none"),
            ("tool_choice.type", "none"),
            ("toolConfig.functionCallingConfig.mode", "NONE"),
            # Without tools none is called.
            ("toolConfig", None),
        )
        return self.arrived(provider, *where[provider])

    @feature("tool_choice: a function")
    def choice_named(self, provider):
        chosen = {"type": "function", "function": {"name": "get_weather"}}
        self.create(provider, "tool", tools=TOOLS, tool_choice=chosen)
        where = paths(
            ("tool_choice", chosen),
            ("tool_choice.name", "get_weather"),
            ("tool_choice.name", "get_weather"),
            ("toolConfig.functionCallingConfig.allowedFunctionNames", ["get_weather"]),
            ("toolConfig.toolChoice.tool.name", "get_weather"),
        )
        return self.arrived(provider, *where[provider])

    @feature("parallel_tool_calls: false", field="parallel_tool_calls")
    def one_at_a_time(self, provider):
        self.create(provider, "tool", tools=TOOLS, parallel_tool_calls=False)
        where = paths(
            ("parallel_tool_calls", False),
            ("parallel_tool_calls", False),
            ("tool_choice.disable_parallel_tool_use", True),
            (None, None),
            (None, None),
        )
        return self.arrived(provider, *where[provider])

    @feature("strict tools")
    def strict(self, provider):
        function = {**TOOLS[0]["function"], "strict": True}
        self.create(provider, "tool", tools=[{"type": "function", "function": function}, TOOLS[1]])
        where = paths(
            ("tools.0.function.strict", True),
            ("tools.0.strict", True),
            ("tools.0.strict", True),
            ("toolConfig.functionCallingConfig.mode", "VALIDATED"),
            ("toolConfig.tools.0.toolSpec.strict", True),
        )
        return self.arrived(provider, *where[provider])

    @feature("output by a schema, parsed")
    def parse(self, provider):
        answer = self.openai.chat.completions.parse(
            model=MODELS[provider], messages=self.messages("json"), response_format=Answer
        )
        self.assertEqual(answer.choices[0].message.parsed, Answer(title="Oslo", score=7, tags=["cold", "bright"]))

    @feature("output by a schema, streamed and parsed")
    def parse_streamed(self, provider):
        answer = self.streamed(provider, "json", response_format=Answer)
        self.assertEqual(answer.choices[0].message.parsed.score, 7)

    @feature("output in JSON without a schema", field="response_format")
    def json_object(self, provider):
        self.create(provider, "text", response_format={"type": "json_object"})
        where = paths(
            ("response_format.type", "json_object"),
            ("text.format.type", "json_object"),
            (None, None),
            ("generationConfig.responseMimeType", "application/json"),
            (None, None),
        )
        return self.arrived(provider, *where[provider])

    @feature("image")
    def image(self, provider):
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}
        self.assertEqual(self.create(provider, "image", part).choices[0].message.content, "I see a red pixel.")

    @feature("image by its URL", field="messages")
    def image_url(self, provider):
        part = {"type": "image_url", "image_url": {"url": "https://example.com/pixel.png"}}
        self.create(provider, "image", part)
        self.assertIn("https://example.com/pixel.png", json.dumps(self.sent()))

    @feature("document (PDF)")
    def document(self, provider):
        data = f"data:application/pdf;base64,{PDF}"
        part = {"type": "file", "file": {"filename": "report.pdf", "file_data": data}}
        self.assertEqual(self.create(provider, "document", part).choices[0].message.content, "The grass is green.")

    @feature("audio", field="messages")
    def audio(self, provider):
        part = {"type": "input_audio", "input_audio": {"data": AUDIO, "format": "wav"}}
        self.assertEqual(self.create(provider, "audio", part).choices[0].message.content, "I hear a beep.")

    @feature("refusal")
    def refusal(self, provider):
        if provider in ("chat", "responses"):
            self.assertEqual(self.both(provider, "refusal").message.refusal, "I cannot help with that.")
            return None
        self.assertEqual(self.create(provider, "refusal").choices[0].finish_reason, "content_filter")
        with self.assertRaises(openai.ContentFilterFinishReasonError):
            self.streamed(provider, "refusal")
        return ("works", "`content_filter`")

    @feature("stop at the most tokens")
    def length(self, provider):
        choice = self.create(provider, "long", max_completion_tokens=16).choices[0]
        self.assertEqual((choice.finish_reason, choice.message.content), ("length", "As long as it may be"))
        with self.assertRaises(openai.LengthFinishReasonError):
            self.streamed(provider, "long", max_completion_tokens=16)

    @feature("max_completion_tokens")
    def limit(self, provider):
        self.create(provider, "text", max_completion_tokens=64)
        where = paths(
            "max_completion_tokens", "max_output_tokens", "max_tokens",
            "generationConfig.maxOutputTokens", "inferenceConfig.maxTokens",
        )
        return self.arrived(provider, where[provider], 64)

    @feature("max_tokens (older name)")
    def older_limit(self, provider):
        # Only OpenAI's older models know it.
        model = "chat/gpt-4o" if provider == "chat" else MODELS[provider]
        self.openai.chat.completions.create(model=model, messages=self.messages("text"), max_tokens=64)
        where = paths(
            "max_tokens", "max_output_tokens", "max_tokens",
            "generationConfig.maxOutputTokens", "inferenceConfig.maxTokens",
        )
        return self.arrived(provider, where[provider], 64)

    @feature("stop", field="stop")
    def stop(self, provider):
        answer = self.create(provider, "stop-word", stop=["END", "HALT"])
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.choices[0].message.content, "Up to here ")

    @feature("logprobs", field="logprobs")
    def log_probs(self, provider):
        answer = self.create(provider, "logprobs", logprobs=True, top_logprobs=2)
        [token] = answer.choices[0].logprobs.content
        self.assertEqual((token.token, token.logprob), ("Yes", -0.25))
        self.assertEqual([other.token for other in token.top_logprobs], ["Yes", "No"])

    @feature("logprobs, streamed", field="logprobs")
    def log_probs_streamed(self, provider):
        answer = self.streamed(provider, "logprobs", logprobs=True, top_logprobs=2)
        [token] = answer.choices[0].logprobs.content
        self.assertEqual([other.logprob for other in token.top_logprobs], [-0.25, -1.5])

    @feature("n", field="n")
    def choices(self, provider):
        answer = self.create(provider, "text", n=2)
        self.assertEqual([choice.message.content for choice in answer.choices], [TEXT, TEXT])
        self.assertEqual([choice.index for choice in answer.choices], [0, 1])

    @feature("error in a stream")
    def broken(self, provider):
        return self.breaks(provider, "error-in-stream")

    @feature("stream that is cut")
    def torn(self, provider):
        return self.breaks(provider, "torn")

    @feature("anything at a provider with `drop_unsupported`", of=("anthropic",))
    def dropped(self, provider):
        asked = {"seed": 7, "temperature": 1.5, "logit_bias": {"50256": -100}}
        answer = self.openai.chat.completions.create(
            model="lenient/claude-opus-5", messages=self.messages("text"), **asked
        )
        self.assertEqual(answer.choices[0].message.content, TEXT)
        for name in asked:
            self.assertIn(f"`{name}`", self.warnings())
        self.assertEqual(self.sent()["temperature"], 1)
        return ("warned", "")

    @feature("name of a message", field="messages")
    def named(self, provider):
        messages = [{"name": "ada", **self.messages("text")[0]}]
        self.create(provider, "text", messages=messages)
        return self.arrived(provider, "messages.0.name" if provider == "chat" else None, "ada")

    def breaks(self, provider, scenario):
        text = ""
        with self.assertRaises(openai.APIError) as caught:
            for chunk in self.create(provider, scenario, stream=True):
                text += chunk.choices[0].delta.content or "" if chunk.choices else ""
        self.assertEqual(text, TEXT, "what had come was not handed over")
        return ("error", f"`{caught.exception.code}`")


def setting(name, where, value=None, field=None, **request):
    """A test that a setting arrives at the provider."""
    field = field or next(iter(request.get("extra_body") or request))

    def test(self, provider):
        self.create(provider, "text", **request)
        path = where[provider]
        if isinstance(path, tuple):
            return self.arrived(provider, *path)
        return self.arrived(provider, path, value)

    return feature(name, field=field)(test)


NO = None
SETTINGS = {
    "temperature": setting(
        "temperature",
        paths("temperature", "temperature", "temperature", "generationConfig.temperature", "inferenceConfig.temperature"),
        0.5, temperature=0.5,
    ),
    "hot": setting(
        "temperature above 1",
        paths("temperature", "temperature", "temperature", "generationConfig.temperature", "inferenceConfig.temperature"),
        1.5, temperature=1.5,
    ),
    "top_p": setting(
        "top_p", paths("top_p", "top_p", "top_p", "generationConfig.topP", "inferenceConfig.topP"), 0.5, top_p=0.5
    ),
    "seed": setting("seed", paths("seed", NO, NO, "generationConfig.seed", NO), 7, seed=7),
    "frequency": setting(
        "frequency_penalty", paths("frequency_penalty", NO, NO, "generationConfig.frequencyPenalty", NO),
        0.5, frequency_penalty=0.5,
    ),
    "presence": setting(
        "presence_penalty", paths("presence_penalty", NO, NO, "generationConfig.presencePenalty", NO),
        0.5, presence_penalty=0.5,
    ),
    "bias": setting("logit_bias", paths("logit_bias", NO, NO, NO, NO), {"50256": -100}, logit_bias={"50256": -100}),
    "effort": setting(
        "reasoning_effort",
        paths(
            ("reasoning_effort", "high"), ("reasoning.effort", "high"), ("output_config.effort", "high"),
            ("generationConfig.thinkingConfig.thinkingLevel", "HIGH"), ("outputConfig.effort", "high"),
        ),
        reasoning_effort="high",
    ),
    "minimal": setting(
        "reasoning_effort: minimal",
        paths(
            ("reasoning_effort", "minimal"), ("reasoning.effort", "minimal"), (NO, NO),
            ("generationConfig.thinkingConfig.thinkingLevel", "MINIMAL"), (NO, NO),
        ),
        reasoning_effort="minimal",
    ),
    "verbosity": setting("verbosity", paths("verbosity", "text.verbosity", NO, NO, NO), "low", verbosity="low"),
    "user": setting("user", paths("user", "user", "metadata.user_id", NO, NO), "u-1", user="u-1"),
    "metadata": setting(
        "metadata", paths("metadata.team", "metadata.team", NO, NO, "requestMetadata.team"), "search",
        metadata={"team": "search"},
    ),
    "tier": setting(
        "service_tier: flex",
        paths(
            ("service_tier", "flex"), ("service_tier", "flex"), (NO, NO), ("serviceTier", "flex"),
            ("serviceTier.type", "flex"),
        ),
        service_tier="flex",
    ),
    "store": setting("store", paths("store", "store", NO, NO, NO), True, store=True),
    "cache_key": setting(
        "prompt_cache_key", paths("prompt_cache_key", "prompt_cache_key", NO, NO, NO), "k", prompt_cache_key="k"
    ),
}
Settings = type("Settings", (ChatSuite,), SETTINGS)

if __name__ == "__main__":
    unittest.main(verbosity=2)
