"""AWS Bedrock: Converse, ConverseStream with its binary events, and the bodies of embedding models."""

import base64
import json
import re

from checks import AUDIO, IMAGE, PDF, DOCUMENT_TEXT, NAME, Asked, Refused, Result, field, need, number, only, tool
from eventstream import frame
from openai_chat import vector
from scenarios import STOP_WORD, USAGE

KEYS = (
    "messages system inferenceConfig toolConfig guardrailConfig additionalModelRequestFields "
    "additionalModelResponseFieldPaths promptVariables requestMetadata performanceConfig serviceTier outputConfig"
)
EXCEPTIONS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    413: "ValidationException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
CALL_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
SIGNATURE = "c2lnbmF0dXJl"


def check(body, model, is_stream):
    only(body, KEYS, "request")
    asked = Asked(model=model, stream=is_stream)
    for place, block in enumerate(body.get("system", [])):
        one(block, f"system[{place}]", asked, "text cachePoint guardContent")
    messages = field(body, "messages", list, "request")
    need(messages, "messages must not be empty")
    conversation(messages, asked)
    settings(body, asked)
    return asked


def conversation(messages, asked):
    need(messages[0].get("role") == "user", "A conversation must start with a user message.")
    calls = {}
    before = None
    for place, message in enumerate(messages):
        where = f"messages.{place}"
        only(message, "role content", where)
        role = message.get("role")
        need(role in ("user", "assistant", "system"), f"{where}.role: {role!r}")
        need(role != before, f"{where}: A conversation must alternate between user and assistant roles.")
        before = role
        content = field(message, "content", list, where)
        need(content, f"{where}.content must not be empty")
        for index, block in enumerate(content):
            one(block, f"{where}.content.{index}", asked, KINDS[role])
        if role == "assistant":
            calls = {block["toolUse"]["toolUseId"]: block["toolUse"]["name"] for block in content if "toolUse" in block}
            asked.results = []
        elif role == "user":
            user(content, where, asked, calls)
            calls = {}
    need(not calls, f"Expected toolResult blocks for the following Ids: {set(calls)}")


KINDS = {
    "user": "text image document audio video toolResult cachePoint guardContent",
    "assistant": "text toolUse reasoningContent cachePoint citationsContent",
    "system": "text cachePoint",
}


def user(content, where, asked, calls):
    results = [block["toolResult"] for block in content if "toolResult" in block]
    ids = {block["toolUseId"] for block in results}
    need(len(ids) == len(results), f"{where}: two results of one call")
    need(ids == set(calls), f"Expected toolResult blocks at {where} for the following Ids: {set(calls)}, got {ids}")
    texts = [block["text"] for block in content if "text" in block]
    asked.text = "\n".join(texts) or asked.text
    asked.results = []
    for each in results if not texts else []:
        only(each, "toolUseId content status", where)
        need(each.get("status") in (None, "success", "error"), f"{where}: bad status")
        text = "\n".join(part.get("text", "") or json.dumps(part.get("json")) for part in each["content"])
        asked.results.append(Result(each["toolUseId"], text, calls[each["toolUseId"]], each.get("status") == "error"))


def one(block, where, asked, kinds):
    only(block, kinds, where)
    need(len(block) == 1, f"{where}: a block is exactly one of its kinds")
    ((kind, value),) = block.items()
    match kind:
        case "text":
            need(isinstance(value, str) and value.strip(), f"The text field in the ContentBlock object at {where} is blank.")
        case "toolUse":
            only(value, "toolUseId name input type", where)
            need(CALL_ID.fullmatch(value["toolUseId"]), f"{where}.toolUseId: must satisfy {CALL_ID.pattern}")
            need(NAME.fullmatch(value["name"]), f"{where}.name")
            field(value, "input", dict, where)
        case "toolResult":
            need(value["content"], f"{where}.content must not be empty")
            for index, part in enumerate(value["content"]):
                if "json" in part:
                    need(isinstance(part["json"], dict), f"{where}: json must be an object")
                else:
                    one(part, f"{where}.{index}", asked, "text image document video json")
        case "reasoningContent":
            only(value, "reasoningText redactedContent", where)
            if "reasoningText" in value:
                need(value["reasoningText"].get("signature") == SIGNATURE, f"{where}: Invalid signature")
        case "cachePoint":
            need(value.get("type") == "default", f"{where}.cachePoint.type")
        case "image" | "document" | "audio":
            media(kind, value, where, asked)


def media(kind, value, where, asked):
    only(value, "format source name context citations", where)
    known = {"image": ("png", IMAGE), "document": ("pdf", PDF), "audio": ("wav", AUDIO)}[kind]
    source = value["source"]
    if "text" in source:
        need(value["format"] == "txt" and source["text"] == DOCUMENT_TEXT, f"{where}: another document came")
    else:
        only(source, "bytes", where)
        found = (value["format"], source["bytes"][: len(known[1])])
        need(found == known or value["format"] == "txt", f"{where}: bad {kind}")
    if kind == "document":
        need(re.fullmatch(r"[a-zA-Z0-9 ()\[\]-]{1,200}", value.get("name", "")), f"{where}: bad name")
    asked.media.add(kind)
    asked.cites = asked.cites or bool((value.get("citations") or {}).get("enabled"))


def settings(body, asked):
    config = body.get("inferenceConfig", {})
    only(config, "maxTokens temperature topP stopSequences", "inferenceConfig")
    number(config, "maxTokens", 1, 128_000, "inferenceConfig")
    number(config, "temperature", 0, 1, "inferenceConfig")
    number(config, "topP", 0, 1, "inferenceConfig")
    asked.stop_words = config.get("stopSequences", [])
    tools(body, asked)
    more = body.get("additionalModelRequestFields", {})
    thinking = more.get("thinking", {"type": "disabled"})
    need(thinking.get("type") in ("enabled", "disabled", "adaptive"), "thinking.type")
    asked.is_thinking = thinking["type"] != "disabled"
    if asked.is_thinking:
        need(config.get("temperature") in (None, 1, 1.0), "`temperature` may only be set to 1 when thinking is enabled")
    output = body.get("outputConfig", {})
    only(output, "textFormat effort", "outputConfig")
    form = output.get("textFormat")
    if form is not None:
        only(form, "type structure", "outputConfig.textFormat")
        need(form.get("type") == "json_schema", "textFormat.type")
        definition = form["structure"]["jsonSchema"]
        only(definition, "schema name description", "textFormat.structure.jsonSchema")
        asked.schema = json.loads(field(definition, "schema", str, "jsonSchema"))
    tier = body.get("serviceTier")
    if tier is not None:
        need(tier.get("type") in ("priority", "default", "flex", "reserved"), "serviceTier.type")


def tools(body, asked):
    config = body.get("toolConfig")
    has_blocks = any("toolUse" in block or "toolResult" in block for message in body["messages"] for block in message["content"])
    need(config or not has_blocks, "The toolConfig field must be defined when using toolUse and toolResult content blocks.")
    if config is None:
        return
    only(config, "tools toolChoice", "toolConfig")
    need(config.get("tools"), "toolConfig.tools must not be empty")
    for place, each in enumerate(config["tools"]):
        if "cachePoint" in each:
            continue
        where = f"toolConfig.tools.{place}"
        only(each, "toolSpec", where)
        spec = each["toolSpec"]
        only(spec, "name description inputSchema strict", where)
        only(spec["inputSchema"], "json", where)
        tool(spec.get("name"), spec.get("description"), spec["inputSchema"]["json"], where)
        asked.tools.append(spec["name"])
    choice = config.get("toolChoice")
    if choice is not None:
        need(len(choice) == 1 and set(choice) <= {"auto", "any", "tool"}, "toolChoice is one of auto, any, tool")
        need("tool" not in choice or choice["tool"].get("name") in asked.tools, "toolChoice: no such tool")


def usage():
    return {
        "inputTokens": USAGE.input - USAGE.cached,
        "outputTokens": USAGE.output,
        "totalTokens": USAGE.input + USAGE.output,
        "cacheReadInputTokens": USAGE.cached,
        "cacheWriteInputTokens": 0,
    }


def stop_reason(said):
    reasons = {"tools": "tool_use", "length": "max_tokens", "sequence": "stop_sequence", "refusal": "content_filtered"}
    return reasons.get(said.stop, "end_turn")


def citation(said):
    return {
        "title": "My document",
        "sourceContent": [{"text": said.cited}],
        "location": {"documentChar": {"documentIndex": 0, "start": 0, "end": len(said.cited)}},
    }


def content(said, asked):
    found = []
    if said.thoughts and asked.is_thinking:
        text = {"text": "".join(said.thoughts), "signature": SIGNATURE}
        found.append({"reasoningContent": {"reasoningText": text}})
    text = "".join(said.text) or said.refusal
    if text and said.cited:
        found.append({"citationsContent": {"content": [{"text": text}], "citations": [citation(said)]}})
    elif text:
        found.append({"text": text})
    for call in said.calls:
        found.append({"toolUse": {"toolUseId": f"tooluse_{call.id}", "name": call.name, "input": call.input}})
    return found


def whole(said, asked):
    return {
        "output": {"message": {"role": "assistant", "content": content(said, asked)}},
        "stopReason": stop_reason(said),
        "usage": usage(),
        "metrics": {"latencyMs": 12},
    }


def deltas(said, block):
    match block:
        case {"reasoningContent": _}:
            for piece in said.thoughts:
                yield {"reasoningContent": {"text": piece}}
            yield {"reasoningContent": {"signature": SIGNATURE}}
        case {"toolUse": use}:
            call = next(call for call in said.calls if use["toolUseId"].endswith(call.id))
            for piece in call.pieces or ("",):
                yield {"toolUse": {"input": piece}}
        case _:
            for piece in said.text or (said.refusal,):
                yield {"text": piece}
            if said.cited:
                yield {"citation": citation(said)}


def events(said, asked):
    yield "messageStart", {"role": "assistant"}
    for index, block in enumerate(content(said, asked)):
        place = {"contentBlockIndex": index}
        if "toolUse" in block:
            use = {key: block["toolUse"][key] for key in ("toolUseId", "name")}
            # Only calls have a start there.
            yield "contentBlockStart", {"start": {"toolUse": use}, **place}
        for delta in deltas(said, block):
            yield "contentBlockDelta", {"delta": delta, **place}
        if said.breaks:
            return
        yield "contentBlockStop", place
    yield "messageStop", {"stopReason": stop_reason(said)}
    yield "metadata", {"usage": usage(), "metrics": {"latencyMs": 12}}


def stream(said, asked):
    for kind, fields in events(said, asked):
        # Padding hides how long the answer is.
        payload = json.dumps({**fields, "p": "abcdefghijkl"}, ensure_ascii=False)
        yield frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload)
    if said.breaks == "fault":
        kind = {":exception-type": "serviceUnavailableException", ":content-type": "application/json", ":message-type": "exception"}
        yield frame(kind, json.dumps({"message": "The service is unavailable"}))


def fault(status, message):
    kind = EXCEPTIONS.get(status, "ModelErrorException")
    return {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/coral/"}, {"message": message}


def embed(body, model):
    if model.startswith("amazon.titan"):
        only(body, "inputText dimensions normalize embeddingTypes", "request")
        text = field(body, "inputText", str, "request")
        need(text, "inputText: expected minLength: 1")
        need(body.get("dimensions") in (None, 256, 512, 1024), "dimensions: 256, 512 or 1024")
        return {}, {"embedding": vector(text, body.get("dimensions") or 16), "inputTextTokenCount": 4}
    if model.startswith("cohere.embed"):
        only(body, "texts input_type truncate embedding_types output_dimension", "request")
        texts = field(body, "texts", list, "request")
        need(0 < len(texts) <= 96, "texts: at most 96")
        purposes = ("search_document", "search_query", "classification", "clustering")
        need(body.get("input_type") in purposes, "input_type is required")
        vectors = [vector(text, body.get("output_dimension") or 16) for text in texts]
        found = {"float": vectors} if body.get("embedding_types") else vectors
        tokens = {"x-amzn-bedrock-input-token-count": str(4 * len(texts))}
        return tokens, {"id": "upstream1", "texts": texts, "embeddings": found, "response_type": "embeddings_floats"}
    raise Refused(f"The provided model identifier is invalid: {model}")
