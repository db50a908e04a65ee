"""OpenAI's chat completions and embeddings."""

import base64
import json
import struct

from checks import (AUDIO, IMAGE, NAME, PDF, Asked, Result, field, need, number, only,
                    strict_schema, tool)
from scenarios import USAGE

KEYS = (
    "model messages tools tool_choice parallel_tool_calls response_format temperature top_p n stop "
    "max_tokens max_completion_tokens frequency_penalty presence_penalty logit_bias seed logprobs "
    "top_logprobs stream stream_options user service_tier metadata store reasoning_effort verbosity "
    "modalities audio prediction prompt_cache_key prompt_cache_retention safety_identifier "
    "web_search_options functions function_call"
)
ERROR_TYPES = {
    400: ("invalid_request_error", "invalid_value"),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}


def authenticate(headers):
    need(headers.get("authorization") == "Bearer upstream-openai", "401 Incorrect API key provided")


def check(body):
    only(body, KEYS, "request")
    asked = Asked(model=field(body, "model", str, "request"), stream=body.get("stream", False))
    messages = field(body, "messages", list, "request")
    need(messages, "messages: [] is too short")
    open_calls = {}
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        role = field(message, "role", str, where)
        need(not open_calls or role == "tool", f"{where}: tool_call_ids without answers: {open_calls}")
        if role == "tool":
            only(message, "role content tool_call_id", where)
            call = field(message, "tool_call_id", str, where)
            need(call in open_calls, f"{where}: tool_call_id {call!r} answers no call")
            name = open_calls.pop(call)
            text = texts(message.get("content"), where, asked, ("text",))
            asked.results.append(Result(call, text, name))
            continue
        asked.results = []
        if role == "assistant":
            only(message, "role content name tool_calls refusal audio function_call annotations", where)
            open_calls = assistant(message, where, asked)
            continue
        need(role in ("system", "developer", "user"), f"{where}: no role {role!r}")
        only(message, "role content name", where)
        kinds = ("text", "image_url", "input_audio", "file") if role == "user" else ("text",)
        text = texts(message.get("content"), where, asked, kinds)
        if role == "user":
            asked.text = text or asked.text
    need(not open_calls, f"tool_call_ids without answers: {open_calls}")
    settings(body, asked)
    return asked


def texts(content, where, asked, kinds):
    if isinstance(content, str):
        return content
    need(isinstance(content, list) and content, f"{where}.content must be a string or parts")
    found = []
    for part in content:
        kind = field(part, "type", str, where)
        need(kind in kinds, f"{where}: no part {kind!r} here")
        only(part, f"type {kind}", where)
        value = part.get(kind)
        if kind == "text":
            need(isinstance(value, str), f"{where}: a text is no string")
            found.append(value)
        elif kind == "image_url":
            only(value, "url detail", where)
            need(value["url"].startswith(("data:image/png;base64," + IMAGE, "https://")), f"{where}: bad url")
            asked.media.add("image")
        elif kind == "input_audio":
            only(value, "data format", where)
            need(value["format"] in ("wav", "mp3") and value["data"].startswith(AUDIO), f"{where}: bad audio")
            asked.media.add("audio")
        else:
            only(value, "file_data filename file_id", where)
            need("file_id" in value or "filename" in value, f"{where}: file_data wants a filename")
            need(value["file_data"].startswith("data:application/pdf;base64," + PDF), f"{where}: bad file")
            asked.media.add("document")
    return "\n".join(found)


def assistant(message, where, asked):
    calls = message.get("tool_calls")
    if message.get("content") is not None:
        texts(message["content"], where, asked, ("text", "refusal"))
    else:
        need(calls or message.get("refusal"), f"{where}.content is null without tool_calls")
    need(calls is None or calls, f"{where}.tool_calls: [] is too short")
    ids = {}
    for call in calls or []:
        only(call, "id type function custom", where)
        need(call.get("type") == "function", f"{where}: a call without its type")
        only(call["function"], "name arguments", where)
        arguments = field(call["function"], "arguments", str, where)
        json.loads(arguments)
        name = field(call["function"], "name", str, where)
        ids[field(call, "id", str, where)] = name
    return ids


def settings(body, asked):
    number(body, "temperature", 0, 2)
    number(body, "top_p", 0, 1)
    asked.choices = number(body, "n", 1, 128) or 1
    for penalty in ("frequency_penalty", "presence_penalty"):
        number(body, penalty, -2, 2)
    is_older = body["model"].startswith("gpt-4")
    need(is_older or "max_tokens" not in body, "max_tokens is not supported with this model: use max_completion_tokens")
    number(body, "max_completion_tokens", 1, 1 << 20)
    stop = body.get("stop")
    asked.stop_words = [stop] if isinstance(stop, str) else stop or []
    need(len(asked.stop_words) <= 4, "stop: too many")
    if body.get("logprobs"):
        asked.log_probs = number(body, "top_logprobs", 0, 20) or 0
    else:
        need(body.get("top_logprobs") is None, "top_logprobs wants logprobs")
    options = body.get("stream_options")
    need(options is None or asked.stream, "stream_options are for streams")
    asked.wants_usage = not asked.stream or bool(options and options.get("include_usage"))
    need(body.get("reasoning_effort") in (None, "none", "minimal", "low", "medium", "high", "xhigh"), "bad reasoning_effort")
    tools(body, asked)
    form = body.get("response_format")
    if form is not None:
        need(form.get("type") in ("text", "json_object", "json_schema"), "bad response_format")
        if form["type"] == "json_schema":
            only(form["json_schema"], "name description schema strict", "response_format.json_schema")
            need(NAME.fullmatch(form["json_schema"].get("name", "")), "response_format: a schema wants a name")
            asked.schema = field(form["json_schema"], "schema", dict, "response_format.json_schema")
            if form["json_schema"].get("strict"):
                strict_schema(asked.schema, "response_format")


def tools(body, asked):
    need("tools" not in body or body["tools"], "tools: [] is too short")
    for place, each in enumerate(body.get("tools", [])):
        where = f"tools[{place}]"
        only(each, "type function", where)
        need(each.get("type") == "function", f"{where}: type is missing")
        function = each["function"]
        only(function, "name description parameters strict", where)
        tool(function.get("name"), function.get("description"), function.get("parameters"), where)
        if function.get("strict"):
            strict_schema(function["parameters"], where)
        asked.tools.append(function["name"])
    choice = body.get("tool_choice")
    need(choice is None or asked.tools, "tool_choice wants tools")
    need(body.get("parallel_tool_calls") is None or asked.tools, "parallel_tool_calls wants tools")
    if isinstance(choice, dict):
        need(choice.get("type") == "function", "tool_choice: type is missing")
        need(choice["function"]["name"] in asked.tools, "tool_choice: no such tool")
    else:
        need(choice in (None, "auto", "none", "required"), "bad tool_choice")


def usage():
    return {
        "prompt_tokens": USAGE.input,
        "completion_tokens": USAGE.output,
        "total_tokens": USAGE.input + USAGE.output,
        "prompt_tokens_details": {"cached_tokens": USAGE.cached, "cache_write_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": USAGE.thought,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def finish_reason(said):
    return {"tools": "tool_calls", "length": "length"}.get(said.stop, "stop")


def call_of(call):
    return {
        "id": f"call_{call.id}",
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments or "{}"},
    }


def log_probs(asked, text):
    if asked.log_probs is None:
        return None
    one = {"token": text, "logprob": -0.25, "bytes": list(text.encode())}
    other = {"token": "No", "logprob": -1.5, "bytes": [78, 111]}
    top = [one, other][: asked.log_probs]
    return {"content": [{**one, "top_logprobs": top}], "refusal": None}


def head(asked, kind):
    return {
        "id": "chatcmpl-Upstream1",
        "object": kind,
        "created": 1760000000,
        "model": f"{asked.model}-2026-01-01",
        "service_tier": "default",
        "system_fingerprint": "fp_upstream",
    }


def whole(said, asked):
    text = "".join(said.text)
    message = {
        "role": "assistant",
        "content": text or None,
        "refusal": said.refusal or None,
        "annotations": [],
    }
    if said.calls:
        message["tool_calls"] = [call_of(call) for call in said.calls]
    choices = [
        {
            "index": index,
            "message": message,
            "logprobs": log_probs(asked, text),
            "finish_reason": finish_reason(said),
        }
        for index in range(asked.choices)
    ]
    return {**head(asked, "chat.completion"), "choices": choices, "usage": usage()}


def deltas(said):
    yield {"role": "assistant", "content": None if said.calls else "", "refusal": None}
    for piece in said.text:
        yield {"content": piece}
    if said.refusal:
        yield {"refusal": said.refusal[:8]}
        yield {"refusal": said.refusal[8:]}
    for index, call in enumerate(said.calls):
        start = {"index": index, **call_of(call)}
        start["function"] = {"name": call.name, "arguments": ""}
        yield {"tool_calls": [start]}
        for piece in call.pieces or ("{}",):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def stream(said, asked):
    def event(choices, **more):
        chunk = {**head(asked, "chat.completion.chunk"), "choices": choices, **more}
        if asked.wants_usage:
            chunk.setdefault("usage", None)
        return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"

    for index in range(asked.choices):
        for delta in deltas(said):
            log = log_probs(asked, delta["content"]) if delta.get("content") else None
            yield event([{"index": index, "delta": delta, "logprobs": log, "finish_reason": None}])
    if said.breaks == "fault":
        kind = {"message": "The server had an error", "type": "server_error", "param": None, "code": None}
        yield b"data: " + json.dumps({"error": kind}).encode() + b"\n\n"
        return
    if said.breaks:
        return
    for index in range(asked.choices):
        yield event([{"index": index, "delta": {}, "logprobs": None, "finish_reason": finish_reason(said)}])
    if asked.wants_usage:
        yield event([], usage=usage())
    yield b"data: [DONE]\n\n"


def fault(status, message):
    kind, code = ERROR_TYPES.get(status, ("server_error", None))
    headers = {"retry-after": "60"} if status == 429 else {}
    return headers, {"error": {"message": message, "type": kind, "param": None, "code": code}}


def vector(text, length):
    """A vector that is made of its text, so that a mixed-up order shows."""
    start = sum(text.encode()) % 97
    return [((start + 7 * place) % 101 - 50) / 64 for place in range(length)]


def embed(body):
    only(body, "model input encoding_format dimensions user", "request")
    given = body.get("input")
    inputs = [given] if isinstance(given, str) else given
    need(isinstance(inputs, list) and 0 < len(inputs) <= 2048, "input: between 1 and 2048 texts")
    need(all(isinstance(each, str) and each for each in inputs), "input: no empty texts here, and no tokens")
    length = number(body, "dimensions", 1, 3072) or 16
    data = []
    for index, text in enumerate(inputs):
        floats = vector(text, length)
        if body.get("encoding_format") == "base64":
            floats = base64.b64encode(struct.pack(f"<{length}f", *floats)).decode()
        data.append({"object": "embedding", "index": index, "embedding": floats})
    tokens = 4 * len(inputs)
    return {
        "object": "list",
        "data": data,
        "model": body["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
