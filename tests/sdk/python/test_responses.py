"""Responses by the official OpenAI SDK, through every provider."""

import json
import unittest

import openai
from support import (CITY, IMAGE, MODELS, NOTHING, PDF, TEXT, WEATHER_SCHEMA, Answer, Suite, feature,
                     paths)

TOOLS = [
    {"type": "function", "name": "get_weather", "description": "Weather.", "parameters": WEATHER_SCHEMA, "strict": True},
    {"type": "function", "name": "get_time", "parameters": NOTHING, "strict": False},
]
PROOF = ["reasoning.encrypted_content"]


class ResponsesSuite(Suite):
    client_api = "responses"

    def create(self, provider, scenario, *parts, **request):
        request["input"] = request.get("input") or self.word(scenario)
        if parts:
            text = {"type": "input_text", "text": request["input"]}
            request["input"] = [{"role": "user", "content": [text, *parts]}]
        return self.openai.responses.create(model=MODELS[provider], **request)

    def streamed(self, provider, scenario, **request):
        """The response that the SDK's helper puts together from a stream."""
        request["input"] = request.get("input") or self.word(scenario)
        with self.openai.responses.stream(model=MODELS[provider], **request) as stream:
            for _ in stream:
                pass
            return stream.get_final_response()


class Responses(ResponsesSuite):
    """What is said, and how it ends."""

    @feature("text")
    def text(self, provider):
        answer = self.create(provider, "text")
        self.assertEqual((answer.output_text, answer.status), (TEXT, "completed"))
        self.assertEqual(answer.output[0].status, "completed")

    @feature("text, streamed")
    def text_streamed(self, provider):
        events = list(self.create(provider, "text", stream=True))
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertGreater(len(pieces), 2)
        self.assertEqual("".join(pieces), TEXT)
        self.assertEqual(events[-1].response.output_text, TEXT)
        self.assertEqual(self.streamed(provider, "text").output_text, TEXT)

    @feature("instructions, system and developer messages")
    def system(self, provider):
        messages = [
            {"role": "developer", "content": "Be kind."},
            {"role": "system", "content": "Be quick."},
            {"role": "user", "content": self.word("text")},
        ]
        answer = self.create(provider, "text", input=messages, instructions="Be brief.")
        if provider != "responses":
            self.assertEqual(answer.instructions, "Be brief.")
        sent = json.dumps(self.sent())
        for words in ("Be brief.", "Be kind.", "Be quick."):
            self.assertIn(words, sent)

    @feature("usage with cached tokens")
    def usage(self, provider):
        for answer in (self.create(provider, "text"), self.streamed(provider, "text")):
            usage = answer.usage
            self.assertEqual((usage.input_tokens, usage.output_tokens, usage.total_tokens), (100, 20, 120))
            self.assertEqual(usage.input_tokens_details.cached_tokens, 40)
            if provider in ("chat", "responses", "gemini"):
                self.assertEqual(usage.output_tokens_details.reasoning_tokens, 5)

    @feature("request repeated in the answer")
    def echo(self, provider):
        asked = {"temperature": 0.5, "max_output_tokens": 64, "metadata": {"team": "search"}, "tools": TOOLS}
        answer = self.create(provider, "text", **asked)
        if provider == "responses":
            # The provider's own answer comes through as it is.
            return None
        self.assertEqual((answer.temperature, answer.max_output_tokens), (0.5, 64))
        self.assertEqual(answer.metadata, {"team": "search"})
        self.assertEqual([tool.name for tool in answer.tools], ["get_weather", "get_time"])
        return None

    @feature("tool call")
    def tool(self, provider):
        answer = self.create(provider, "tool", tools=TOOLS)
        # Gemini's proof of a thought goes along as a thought.
        items = [item for item in answer.output if item.type != "reasoning"]
        self.assertEqual([item.type for item in items], ["message", "function_call"])
        call = items[1]
        self.assertEqual((call.name, json.loads(call.arguments), call.status), ("get_weather", CITY, "completed"))

    @feature("tool call, arguments streamed")
    def tool_streamed(self, provider):
        *_, call = self.streamed(provider, "tool-only", tools=TOOLS).output
        self.assertEqual((call.name, json.loads(call.arguments)), ("get_weather", CITY))

    @feature("parallel tool calls, whole and streamed")
    def parallel(self, provider):
        wanted = [("get_weather", CITY), ("get_weather", {"city": "Bergen", "days": 1}), ("get_time", {})]
        for ask in (self.create, self.streamed):
            output = ask(provider, "parallel-tools", tools=TOOLS).output
            calls = [item for item in output if item.type == "function_call"]
            self.assertEqual([(call.name, json.loads(call.arguments)) for call in calls], wanted)
            self.assertEqual(len({call.call_id for call in calls}), 3)

    @feature("tool results")
    def results(self, provider):
        self.round_trip(provider, "tool", self.create)

    @feature("results of parallel calls that were streamed")
    def results_streamed(self, provider):
        self.round_trip(provider, "parallel-tools", self.streamed)

    @feature("tool results after thoughts")
    def results_thoughts(self, provider):
        effort = {} if provider == "chat" else {"reasoning": {"effort": "high", "summary": "auto"}}
        self.round_trip(provider, "think-and-call", self.create, include=PROOF, store=False, **effort)

    def round_trip(self, provider, scenario, ask, **request):
        given = [{"role": "user", "content": self.word(scenario)}]
        output = ask(provider, scenario, input=given, tools=TOOLS, **request).output
        # What the streaming helper adds for itself is no part of the API.
        given += [item.to_dict() if ask == self.create else item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in output]
        calls = [item for item in output if item.type == "function_call"]
        for call in calls:
            result = f"3 degrees for {call.name}"
            given.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
        answer = ask(provider, scenario, input=given, tools=TOOLS, **request)
        self.assertEqual(answer.output_text, "It is 3 degrees in Oslo.")
        self.assertEqual(json.dumps(self.sent()).count("3 degrees for"), len(calls))

    @feature("previous_response_id")
    def previous(self, provider):
        first = self.create(provider, "tool", tools=TOOLS)
        call = first.output[-1]
        given = [{"type": "function_call_output", "call_id": call.call_id, "output": "3 degrees"}]
        if provider == "responses":
            # The id is the provider's own, whose answer comes through as it is: only it knows what was said.
            with self.assertRaises(openai.BadRequestError):
                self.create(provider, "tool", input=given, tools=TOOLS, previous_response_id=first.id)
            return ("works", "as far as the provider keeps its answers")
        answer = self.create(provider, "tool", input=given, tools=TOOLS, previous_response_id=first.id)
        self.assertEqual(answer.output_text, "It is 3 degrees in Oslo.")
        self.assertEqual(answer.previous_response_id, first.id)
        return None

    @feature("previous_response_id of a streamed answer")
    def previous_streamed(self, provider):
        first = self.streamed(provider, "tool", tools=TOOLS)
        call = first.output[-1]
        given = [{"type": "function_call_output", "call_id": call.call_id, "output": "3 degrees"}]
        if provider == "responses":
            return ("works", "as far as the provider keeps its answers")
        answer = self.create(provider, "tool", input=given, tools=TOOLS, previous_response_id=first.id)
        self.assertEqual(answer.output_text, "It is 3 degrees in Oslo.")
        return None

    @feature("answers fetched again")
    def retrieved(self, provider):
        if provider == "responses":
            return ("works", "as far as the provider keeps its answers")
        answer = self.create(provider, "text")
        again = self.openai.responses.retrieve(answer.id)
        self.assertEqual(again.to_dict(), answer.to_dict())
        items = self.openai.responses.input_items.list(answer.id).data
        self.assertEqual(len(items), 1)
        return None

    @feature("store: false")
    def unstored(self, provider):
        answer = self.create(provider, "text", store=False)
        with self.assertRaises(openai.NotFoundError):
            self.openai.responses.retrieve(answer.id)

    @feature("output by a schema, parsed")
    def parse(self, provider):
        answer = self.openai.responses.parse(model=MODELS[provider], input=self.word("json"), text_format=Answer)
        self.assertEqual(answer.output_parsed, Answer(title="Oslo", score=7, tags=["cold", "bright"]))

    @feature("output by a schema, streamed and parsed")
    def parse_streamed(self, provider):
        self.assertEqual(self.streamed(provider, "json", text_format=Answer).output_parsed.score, 7)

    @feature("thoughts shown")
    def thoughts(self, provider):
        reasoning = {"effort": "high", "summary": "auto"}
        for ask in (self.create, self.streamed):
            answer = ask(provider, "think", reasoning=reasoning, include=PROOF)
            self.assertEqual(answer.output_text, "Seven.")
            if provider == "chat":
                continue
            thought = answer.output[0]
            self.assertEqual(thought.type, "reasoning")
            # What the models of today show is a summary of what they thought.
            self.assertEqual("".join(part.text for part in thought.summary), "Oslo is in Norway.")
            self.assertIsNone(thought.content)
        return ("works", "the provider shows none") if provider == "chat" else None

    @feature("image")
    def image(self, provider):
        part = {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}", "detail": "auto"}
        self.assertEqual(self.create(provider, "image", part).output_text, "I see a red pixel.")

    @feature("document (PDF)")
    def document(self, provider):
        data = f"data:application/pdf;base64,{PDF}"
        part = {"type": "input_file", "filename": "report.pdf", "file_data": data}
        self.assertEqual(self.create(provider, "document", part).output_text, "The grass is green.")

    @feature("refusal")
    def refusal(self, provider):
        # The streaming helper knows only of whole answers.
        *_, last = self.create(provider, "refusal", stream=True)
        for answer in (self.create(provider, "refusal"), last.response):
            if provider in ("chat", "responses"):
                self.assertEqual(answer.output[0].content[0].refusal, "I cannot help with that.")
            else:
                # They refuse without a word, or stop in the middle.
                self.assertEqual((answer.status, answer.incomplete_details.reason), ("incomplete", "content_filter"))
        return None if provider in ("chat", "responses") else ("works", "`incomplete`: `content_filter`")

    @feature("stop at the most tokens")
    def length(self, provider):
        # The streaming helper knows only of whole answers.
        *_, last = self.create(provider, "long", max_output_tokens=16, stream=True)
        for answer in (self.create(provider, "long", max_output_tokens=16), last.response):
            self.assertEqual((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"))
            self.assertEqual(answer.output_text, "As long as it may be")

    @feature("log probabilities", field="top_logprobs|include")
    def log_probs(self, provider):
        answer = self.create(provider, "logprobs", include=["message.output_text.logprobs"], top_logprobs=2)
        [token] = answer.output[0].content[0].logprobs
        self.assertEqual([other.logprob for other in token.top_logprobs], [-0.25, -1.5])

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

    @feature("tool of the provider (web search)", field="tools")
    def hosted(self, provider):
        self.create(provider, "text", tools=[{"type": "web_search"}])
        return self.arrived(provider, "tools.0.type", "web_search")

    @feature("error in a stream")
    def broken(self, provider):
        return self.breaks(provider, "error-in-stream")

    @feature("stream that is cut")
    def torn(self, provider):
        return self.breaks(provider, "torn")

    def breaks(self, provider, scenario):
        text = ""
        code = None
        try:
            for event in self.create(provider, scenario, stream=True):
                if event.type == "response.output_text.delta":
                    text += event.delta
                if event.type == "response.failed":
                    # Of its codes there are few; the error before it has the provider's own.
                    code = code or event.response.error.code
                if event.type == "error":
                    code = event.code
        except openai.APIError as error:
            code = error.code
        self.assertIsNotNone(code, "the stream ended as if it were whole")
        self.assertEqual(text, TEXT, "what had come was not handed over")
        return ("error", f"`{code}`")


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
SETTINGS = {
    "temperature": setting(
        "temperature",
        paths("temperature", "temperature", "temperature", "generationConfig.temperature", "inferenceConfig.temperature"),
        0.5, temperature=0.5,
    ),
    "limit": setting(
        "max_output_tokens",
        paths("max_completion_tokens", "max_output_tokens", "max_tokens", "generationConfig.maxOutputTokens",
              "inferenceConfig.maxTokens"),
        64, max_output_tokens=64,
    ),
    "effort": setting(
        "reasoning.effort",
        paths(
            ("reasoning_effort", "high"), ("reasoning.effort", "high"), ("output_config.effort", "high"),
            ("generationConfig.thinkingConfig.thinkingLevel", "HIGH"), ("outputConfig.effort", "high"),
        ),
        reasoning={"effort": "high"},
    ),
    "verbosity": setting("text.verbosity", paths("verbosity", "text.verbosity", NO, NO, NO), "low", text={"verbosity": "low"}),
    "user": setting("user", paths("user", "user", "metadata.user_id", NO, NO), "u-1", user="u-1"),
    "tier": setting(
        "service_tier: flex",
        paths(("service_tier", "flex"), ("service_tier", "flex"), (NO, NO), ("serviceTier", "flex"), ("serviceTier.type", "flex")),
        service_tier="flex",
    ),
    "background": setting("background", paths(NO, "background", NO, NO, NO), True, background=True),
    "truncation": setting("truncation: auto", paths(NO, "truncation", NO, NO, NO), "auto", truncation="auto"),
    "calls": setting("max_tool_calls", paths(NO, "max_tool_calls", NO, NO, NO), 3, max_tool_calls=3),
    "cache_key": setting(
        "prompt_cache_key", paths("prompt_cache_key", "prompt_cache_key", NO, NO, NO), "k", prompt_cache_key="k"
    ),
}
Settings = type("Settings", (ResponsesSuite,), SETTINGS)

if __name__ == "__main__":
    unittest.main(verbosity=2)
