"""Anthropic's messages."""

import json
import re

from checks import IMAGE, PDF, DOCUMENT_TEXT, Asked, Refused, Result, field, need, number, only, tool
from scenarios import STOP_WORD, USAGE

KEYS = (
    "model messages max_tokens system tools tool_choice temperature top_p top_k stop_sequences stream "
    "metadata service_tier thinking output_config cache_control container context_management "
    "mcp_servers inference_geo diagnostics speed"
)
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")
SIGNATURE = "c2lnbmF0dXJl"


def authenticate(headers):
    need(headers.get("x-api-key") == "upstream-anthropic", "401 invalid x-api-key")
    need("authorization" not in headers, "401 two credentials")
    version = headers.get("anthropic-version")
    need(version in ("2023-06-01", "2026-10-21"), f"anthropic-version: {version!r} is not a valid version")
    return version


def check(body, version):
    only(body, KEYS, "request")
    gone = {"temperature", "top_p", "top_k"} & set(body) if version == "2026-10-21" else None
    need(not gone, f"{gone}: removed in API version 2026-10-21")
    asked = Asked(model=field(body, "model", str, "request"), stream=body.get("stream", False))
    limit = field(body, "max_tokens", int, "request")
    need(0 < limit <= 128_000, "max_tokens: out of range")
    system = body.get("system")
    if system is not None:
        blocks(system, "system", asked, ("text",))
    messages = field(body, "messages", list, "request")
    need(messages, "messages: at least one message is required")
    conversation(messages, asked)
    settings(body, asked, limit)
    return asked


def conversation(messages, asked):
    need(messages[0].get("role") == "user", "messages: first message must use the user role")
    calls = {}
    for place, message in enumerate(messages):
        where = f"messages.{place}"
        only(message, "role content", where)
        role = message.get("role")
        need(role in ("user", "assistant", "system"), f"{where}.role: {role!r}")
        if role == "system":
            need(messages[place - 1].get("role") == "user", f"{where}: a system message must follow a user's")
            blocks(message.get("content"), where, asked, ("text",))
            continue
        if role == "assistant":
            is_last = place == len(messages) - 1
            found = blocks(message.get("content"), where, asked, ("text", "tool_use", "thinking", "redacted_thinking"))
            need(not is_last or not found or found[-1].get("type") != "tool_use", f"{where}: ends with tool_use")
            calls = {}
            for block in found:
                if block.get("type") == "tool_use":
                    calls[block["id"]] = block["name"]
            asked.results = []
            continue
        user(message, where, asked, calls)
        calls = {}
    need(not calls, f"`tool_use` ids were found without `tool_result` blocks immediately after: {set(calls)}")


def user(message, where, asked, calls):
    found = blocks(message.get("content"), where, asked, ("text", "image", "document", "tool_result"))
    results = [block for block in found if block["type"] == "tool_result"]
    ids = [block["tool_use_id"] for block in results]
    need(len(ids) == len(set(ids)), f"{where}: each tool_use must have a single result")
    for block in results:
        call = block["tool_use_id"]
        need(call in calls, f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {call}")
    missing = set(calls) - set(ids)
    need(not missing, f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing}")
    first_other = next((i for i, block in enumerate(found) if block["type"] != "tool_result"), len(found))
    late = any(block["type"] == "tool_result" for block in found[first_other:])
    need(not late, f"{where}: tool_result blocks must come first")
    texts = [block["text"] for block in found if block["type"] == "text"]
    asked.text = "\n".join(texts) or asked.text
    if texts or not results:
        asked.results = []
        return
    asked.results = [
        Result(block["tool_use_id"], result_text(block), calls[block["tool_use_id"]], block.get("is_error", False))
        for block in results
    ]


def result_text(block):
    content = block.get("content", "")
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def blocks(content, where, asked, kinds):
    if isinstance(content, str):
        need(content.strip(), f"{where}: text content must be non-empty")
        return [{"type": "text", "text": content}]
    need(isinstance(content, list) and content, f"{where}.content: non-empty content is required")
    for place, block in enumerate(content):
        one(block, f"{where}.content.{place}", asked, kinds)
    return content


def one(block, where, asked, kinds):
    kind = field(block, "type", str, where)
    need(kind in kinds, f"{where}: Input tag {kind!r} is not expected here")
    cache = block.get("cache_control")
    if cache is not None:
        only(cache, "type ttl", f"{where}.cache_control")
        need(cache.get("type") == "ephemeral" and cache.get("ttl", "5m") in ("5m", "1h"), f"{where}.cache_control")
    if kind == "text":
        only(block, "type text cache_control citations", where)
        need(field(block, "text", str, where).strip(), f"{where}: text content blocks must be non-empty")
    elif kind == "tool_use":
        only(block, "type id name input cache_control caller", where)
        need(CALL_ID.fullmatch(field(block, "id", str, where)), f"{where}.id: should match {CALL_ID.pattern}")
        field(block, "name", str, where)
        field(block, "input", dict, where)
    elif kind == "tool_result":
        only(block, "type tool_use_id content is_error cache_control", where)
        if block.get("content") not in (None, ""):
            blocks(block["content"], where, asked, ("text", "image", "document"))
    elif kind == "thinking":
        only(block, "type thinking signature", where)
        need(block.get("signature") == SIGNATURE, f"{where}: Invalid `signature` in `thinking` block")
    elif kind == "redacted_thinking":
        only(block, "type data", where)
    else:
        media(kind, block, where, asked)


def media(kind, block, where, asked):
    only(block, "type source cache_control title context citations", where)
    source = block["source"]
    match source.get("type"):
        case "base64":
            only(source, "type media_type data", where)
            known = {"image": ("image/png", IMAGE), "document": ("application/pdf", PDF)}[kind]
            need((source["media_type"], source["data"][: len(known[1])]) == known, f"{where}: bad media")
        case "text":
            need(kind == "document" and source["media_type"] == "text/plain", f"{where}: bad text source")
            need(source["data"] == DOCUMENT_TEXT, f"{where}: another document came")
        case "url":
            need(source["url"].startswith("https://"), f"{where}: bad url")
        case other:
            raise Refused(f"{where}.source.type: {other!r}")
    asked.media.add(kind)
    asked.cites = asked.cites or bool((block.get("citations") or {}).get("enabled"))


def closed(schema, where):
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            need(schema.get("additionalProperties") is False, f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false")
        for part in schema.values():
            closed(part, where)


def settings(body, asked, limit):
    number(body, "temperature", 0, 1)
    number(body, "top_p", 0, 1)
    number(body, "top_k", 0, 1 << 20)
    asked.stop_words = body.get("stop_sequences", [])
    need(all(word.strip() for word in asked.stop_words), "stop_sequences: each must contain non-whitespace")
    for place, each in enumerate(body.get("tools", [])):
        where = f"tools.{place}"
        only(each, "type name description input_schema strict cache_control", where)
        need(isinstance(each.get("input_schema"), dict), f"{where}.input_schema: Field required")
        tool(each.get("name"), each.get("description"), each["input_schema"], where)
        if each.get("strict"):
            closed(each["input_schema"], where)
        asked.tools.append(each["name"])
    choice = body.get("tool_choice")
    if choice is not None:
        only(choice, "type name disable_parallel_tool_use", "tool_choice")
        need(asked.tools, "tool_choice may only be specified while providing tools")
        need(choice.get("type") in ("auto", "any", "tool", "none"), "tool_choice.type")
        need(choice["type"] != "tool" or choice.get("name") in asked.tools, "tool_choice: no such tool")
        need(choice["type"] != "none" or "disable_parallel_tool_use" not in choice, "tool_choice.none")
    thinking(body, asked, limit)
    config = body.get("output_config")
    if config is not None:
        only(config, "effort format", "output_config")
        need(config.get("effort") in (None, "low", "medium", "high", "xhigh", "max"), "output_config.effort")
        form = config.get("format")
        if form is not None:
            only(form, "type schema", "output_config.format")
            need(form.get("type") == "json_schema", "output_config.format.type")
            asked.schema = field(form, "schema", dict, "output_config.format")
            closed(asked.schema, "output_config.format.schema")
    need(body.get("service_tier") in (None, "auto", "standard_only"), "service_tier")
    if body.get("metadata") is not None:
        only(body["metadata"], "user_id", "metadata")


def thinking(body, asked, limit):
    given = body.get("thinking") or {"type": "disabled"}
    kind = given.get("type")
    need(kind in ("enabled", "disabled", "adaptive"), "thinking.type")
    asked.is_thinking = kind != "disabled"
    if kind == "enabled":
        only(given, "type budget_tokens display", "thinking")
        budget = field(given, "budget_tokens", int, "thinking")
        need(1024 <= budget < limit, "thinking.budget_tokens: at least 1024, and less than max_tokens")
    else:
        only(given, "type display", "thinking")
    if asked.is_thinking:
        need(body.get("temperature") in (None, 1, 1.0), "`temperature` may only be set to 1 when thinking is enabled")
        choice = (body.get("tool_choice") or {}).get("type")
        need(choice not in ("any", "tool"), "Thinking may not be enabled when tool_choice forces tool use.")


def usage(output):
    return {
        "input_tokens": USAGE.input - USAGE.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": USAGE.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    }


def stop_reason(said):
    reasons = {"tools": "tool_use", "length": "max_tokens", "sequence": "stop_sequence", "refusal": "refusal"}
    return reasons.get(said.stop, "end_turn")


def citation(said):
    return {
        "type": "char_location",
        "cited_text": said.cited,
        "document_index": 0,
        "document_title": "My document",
        "start_char_index": 0,
        "end_char_index": len(said.cited),
        "file_id": None,
    }


def content(said, asked):
    found = []
    if said.thoughts and asked.is_thinking:
        found.append({"type": "thinking", "thinking": "".join(said.thoughts), "signature": SIGNATURE})
    text = "".join(said.text)
    if text:
        found.append({"type": "text", "text": text, "citations": [citation(said)] if said.cited else None})
    for call in said.calls:
        found.append({"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name, "input": call.input})
    return found


def whole(said, asked):
    return {
        "id": "msg_upstream1",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content(said, asked),
        "stop_reason": stop_reason(said),
        "stop_sequence": STOP_WORD if said.stop == "sequence" else None,
        "usage": usage(USAGE.output),
    }


def deltas(said, block):
    """A block as it starts, and what is added to it."""
    match block["type"]:
        case "thinking":
            yield {"type": "thinking", "thinking": "", "signature": ""}
            for piece in said.thoughts:
                yield {"type": "thinking_delta", "thinking": piece}
            yield {"type": "signature_delta", "signature": SIGNATURE}
        case "text":
            yield {**block, "text": "", "citations": [] if said.cited else None}
            for piece in said.text:
                yield {"type": "text_delta", "text": piece}
            if said.cited:
                yield {"type": "citations_delta", "citation": citation(said)}
        case "tool_use":
            yield {**block, "input": {}}
            call = next(call for call in said.calls if block["id"].endswith(call.id))
            for piece in ("", *call.pieces):
                yield {"type": "input_json_delta", "partial_json": piece}


def events(said, asked):
    start = {**whole(said, asked), "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage(1)}
    yield "message_start", {"message": start}
    yield "ping", {}
    for index, block in enumerate(content(said, asked)):
        steps = deltas(said, block)
        yield "content_block_start", {"index": index, "content_block": next(steps)}
        for delta in steps:
            yield "content_block_delta", {"index": index, "delta": delta}
        if said.breaks == "fault":
            yield "error", {"error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}
        if said.breaks:
            return
        yield "content_block_stop", {"index": index}
    end = {"stop_reason": stop_reason(said), "stop_sequence": STOP_WORD if said.stop == "sequence" else None}
    yield "message_delta", {"delta": end, "usage": {"output_tokens": USAGE.output}}
    yield "message_stop", {}


def stream(said, asked):
    for kind, fields in events(said, asked):
        data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
        yield f"event: {kind}\ndata: {data}\n\n".encode()


def fault(status, message):
    kind = ERROR_TYPES.get(status, "api_error")
    headers = {"retry-after": "60"} if status == 429 else {}
    return headers, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
