"""OpenAI's responses."""

import base64
import json

from checks import AUDIO, DOCUMENT_TEXT, IMAGE, NAME, PDF, Asked, Result, field, need, number, only, strict_schema, tool
from openai_chat import fault as chat_fault
from scenarios import USAGE

KEYS = (
    "model input instructions tools tool_choice parallel_tool_calls text temperature top_p "
    "max_output_tokens top_logprobs stream stream_options user service_tier metadata store reasoning "
    "include previous_response_id conversation prompt background truncation max_tool_calls "
    "prompt_cache_key prompt_cache_retention safety_identifier"
)
INCLUDED = (
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "file_search_call.results",
)


def check(body):
    only(body, KEYS, "request")
    asked = Asked(model=field(body, "model", str, "request"), stream=body.get("stream", False))
    need(body.get("previous_response_id") is None, "previous_response_id: not found")
    given = body.get("input")
    if isinstance(given, str):
        asked.text = given
    else:
        need(isinstance(given, list) and given, "input must be a string or items")
        items(given, asked)
    settings(body, asked)
    return asked


def items(given, asked):
    calls = {}
    answered = set()
    for place, item in enumerate(given):
        where = f"input[{place}]"
        kind = item.get("type", "message")
        if kind != "function_call_output":
            asked.results = []
        if kind == "message":
            message(item, where, asked)
        elif kind == "function_call":
            only(item, "type id call_id name arguments status", where)
            an_id(item, "fc", where)
            json.loads(field(item, "arguments", str, where))
            calls[field(item, "call_id", str, where)] = field(item, "name", str, where)
        elif kind == "function_call_output":
            only(item, "type id call_id output status", where)
            an_id(item, "fc", where)
            call = field(item, "call_id", str, where)
            need(call in calls, f"No tool call found for function call output with call_id {call}")
            answered.add(call)
            text = texts(item.get("output"), where, asked, ("input_text", "input_image", "input_file"))
            asked.results.append(Result(call, text, calls[call]))
        else:
            need(kind == "reasoning", f"{where}: no item {kind!r}")
            only(item, "type id summary content encrypted_content status", where)
            an_id(item, "rs", where)
            field(item, "summary", list, where)
            need(item.get("encrypted_content", "").startswith("gAAAA"), f"{where}: the encrypted content could not be verified")
    left = set(calls) - answered
    need(not left, f"No tool output found for function call {left}")


def an_id(item, prefix, where):
    found = item.get("id")
    need(not found or found.startswith(prefix), f"Invalid '{where}.id': {found!r}. Expected an ID that begins with '{prefix}'.")


def message(item, where, asked):
    only(item, "type id role content status phase", where)
    role = field(item, "role", str, where)
    need(role in ("system", "developer", "user", "assistant"), f"{where}: no role {role!r}")
    if role == "assistant":
        an_id(item, "msg", where)
        texts(item.get("content"), where, asked, ("output_text", "refusal"))
        return
    kinds = ("input_text", "input_image", "input_file", "input_audio") if role == "user" else ("input_text",)
    text = texts(item.get("content"), where, asked, kinds)
    if role == "user":
        asked.text = text or asked.text


def texts(content, where, asked, kinds):
    if isinstance(content, str):
        return content
    need(isinstance(content, list), f"{where}.content must be a string or parts")
    found = []
    for part in content:
        kind = field(part, "type", str, where)
        need(kind in kinds, f"Invalid value: {kind!r} in {where}. Supported values are: {kinds}")
        if kind in ("input_text", "output_text"):
            only(part, "type text annotations logprobs", where)
            found.append(field(part, "text", str, where))
        elif kind == "refusal":
            only(part, "type refusal", where)
        elif kind == "input_image":
            only(part, "type image_url detail file_id", where)
            need(part["image_url"].startswith(("data:image/png;base64," + IMAGE, "https://")), f"{where}: bad image")
            asked.media.add("image")
        elif kind == "input_audio":
            need(part["input_audio"]["data"].startswith(AUDIO), f"{where}: bad audio")
            asked.media.add("audio")
        else:
            only(part, "type file_data filename file_id file_url detail", where)
            kind, _, data = part["file_data"].partition(",")
            is_text = kind == "data:text/plain;base64" and base64.b64decode(data).decode() == DOCUMENT_TEXT
            need(is_text or (kind == "data:application/pdf;base64" and data.startswith(PDF)), f"{where}: bad file")
            need(part.get("filename"), f"{where}: file_data wants a filename")
            asked.media.add("document")
    return "\n".join(found)


def settings(body, asked):
    number(body, "temperature", 0, 2)
    number(body, "top_p", 0, 1)
    number(body, "max_output_tokens", 16, 1 << 20)
    included = body.get("include") or []
    need(all(each in INCLUDED for each in included), f"include: bad value in {included}")
    asked.wants_proofs = "reasoning.encrypted_content" in included
    top = number(body, "top_logprobs", 0, 20)
    if "message.output_text.logprobs" in included:
        asked.log_probs = top or 0
    reasoning = body.get("reasoning")
    if reasoning is not None:
        only(reasoning, "effort summary generate_summary", "reasoning")
        need(reasoning.get("effort") in (None, "none", "minimal", "low", "medium", "high", "xhigh"), "bad reasoning.effort")
        need(reasoning.get("summary") in (None, "auto", "concise", "detailed"), "bad reasoning.summary")
    for place, each in enumerate(body.get("tools", [])):
        where = f"tools[{place}]"
        if each.get("type") == "web_search":
            continue
        only(each, "type name description parameters strict", where)
        need(each.get("type") == "function", f"{where}: type is missing")
        tool(each.get("name"), each.get("description"), each.get("parameters"), where)
        # What is not said is strict.
        if each.get("strict", True):
            strict_schema(each["parameters"], where)
        asked.tools.append(each["name"])
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        need(choice.get("type") == "function" and choice.get("name") in asked.tools, "tool_choice: no such tool")
    else:
        need(choice in (None, "auto", "none", "required"), "bad tool_choice")
    text = body.get("text")
    if text is not None:
        only(text, "format verbosity", "text")
        form = text.get("format") or {"type": "text"}
        need(form.get("type") in ("text", "json_object", "json_schema"), "bad text.format")
        if form["type"] == "json_schema":
            only(form, "type name description schema strict", "text.format")
            need(NAME.fullmatch(form.get("name", "")), "text.format.name is missing")
            asked.schema = field(form, "schema", dict, "text.format")
            if form.get("strict"):
                strict_schema(asked.schema, "text.format")


def head(asked, status, output, used=None, incomplete=None, error=None):
    return {
        "id": "resp_upstream1",
        "object": "response",
        "created_at": 1760000000,
        "status": status,
        "background": False,
        "error": error,
        "incomplete_details": incomplete,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": f"{asked.model}-2026-01-01",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": used,
        "user": None,
        "metadata": {},
    }


def usage():
    return {
        "input_tokens": USAGE.input,
        "input_tokens_details": {"cached_tokens": USAGE.cached, "cache_write_tokens": 0},
        "output_tokens": USAGE.output,
        "output_tokens_details": {"reasoning_tokens": USAGE.thought},
        "total_tokens": USAGE.input + USAGE.output,
    }


def thought_item(said, asked):
    proof = {"encrypted_content": "gAAAAAproof"} if asked.wants_proofs else {}
    summary = [{"type": "summary_text", "text": "".join(said.thoughts)}]
    return {"id": "rs_upstream1", "type": "reasoning", "summary": summary, **proof}


def text_part(said, asked):
    if said.refusal:
        return {"type": "refusal", "refusal": said.refusal}
    text = "".join(said.text)
    return {"type": "output_text", "annotations": [], "logprobs": log_probs(asked, text), "text": text}


def log_probs(asked, text):
    if asked.log_probs is None:
        return []
    one = {"token": text, "logprob": -0.25, "bytes": list(text.encode())}
    other = {"token": "No", "logprob": -1.5, "bytes": [78, 111]}
    return [{**one, "top_logprobs": [one, other][: asked.log_probs]}]


def message_item(said, asked, status="completed"):
    return {
        "id": "msg_upstream1",
        "type": "message",
        "status": status,
        "content": [text_part(said, asked)],
        "role": "assistant",
    }


def call_item(call):
    return {
        "id": f"fc_{call.id}",
        "type": "function_call",
        "status": "completed",
        "arguments": call.arguments or "{}",
        "call_id": f"call_{call.id}",
        "name": call.name,
    }


def output(said, asked):
    items = []
    if said.thoughts:
        items.append(thought_item(said, asked))
    if said.text or said.refusal:
        status = "incomplete" if said.stop == "length" else "completed"
        items.append(message_item(said, asked, status))
    return items + [call_item(call) for call in said.calls]


def ended(said, asked):
    if said.stop == "length":
        why = {"reason": "max_output_tokens"}
        return "incomplete", head(asked, "incomplete", output(said, asked), usage(), why)
    return "completed", head(asked, "completed", output(said, asked), usage())


def whole(said, asked):
    return ended(said, asked)[1]


def events(said, asked):
    yield "created", {"response": head(asked, "in_progress", [])}
    yield "in_progress", {"response": head(asked, "in_progress", [])}
    for index, item in enumerate(output(said, asked)):
        place = {"output_index": index}
        of_item = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            yield "output_item.added", {**place, "item": {**item, "status": "in_progress", "content": []}}
            yield from message_events(said, asked, {**of_item, "content_index": 0})
            if said.breaks:
                return
        elif item["type"] == "reasoning":
            yield "output_item.added", {**place, "item": {**item, "summary": []}}
            yield from thought_events(said, {**of_item, "summary_index": 0})
        else:
            yield "output_item.added", {**place, "item": {**item, "status": "in_progress", "arguments": ""}}
            call = said.calls[index - len(output(said, asked))]
            for piece in call.pieces or ("{}",):
                yield "function_call_arguments.delta", {**of_item, "delta": piece}
            yield "function_call_arguments.done", {**of_item, "arguments": item["arguments"]}
        yield "output_item.done", {**place, "item": item}
    status, response = ended(said, asked)
    yield status, {"response": response}


def message_events(said, asked, place):
    part = text_part(said, asked)
    if said.refusal:
        yield "content_part.added", {**place, "part": {**part, "refusal": ""}}
        yield "refusal.delta", {**place, "delta": said.refusal[:8]}
        yield "refusal.delta", {**place, "delta": said.refusal[8:]}
        yield "refusal.done", {**place, "refusal": said.refusal}
    else:
        yield "content_part.added", {**place, "part": {**part, "text": "", "logprobs": []}}
        for piece in said.text:
            yield "output_text.delta", {**place, "delta": piece, "logprobs": log_probs(asked, piece)}
        if said.breaks:
            return
        yield "output_text.done", {**place, "text": part["text"], "logprobs": part["logprobs"]}
    yield "content_part.done", {**place, "part": part}


def thought_events(said, place):
    text = "".join(said.thoughts)
    yield "reasoning_summary_part.added", {**place, "part": {"type": "summary_text", "text": ""}}
    for piece in said.thoughts:
        yield "reasoning_summary_text.delta", {**place, "delta": piece}
    yield "reasoning_summary_text.done", {**place, "text": text}
    yield "reasoning_summary_part.done", {**place, "part": {"type": "summary_text", "text": text}}


def stream(said, asked):
    def event(kind, number, fields):
        data = {"type": kind, "sequence_number": number, **fields}
        return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()

    number = 0
    for kind, fields in events(said, asked):
        yield event(f"response.{kind}", number, fields)
        number += 1
    if said.breaks == "fault":
        error = {"code": "server_error", "message": "The server had an error"}
        response = head(asked, "failed", [], error=error)
        yield event("response.failed", number, {"response": response})


fault = chat_fault
