"""Google's Gemini API."""

import base64
import json
import re

from checks import AUDIO, IMAGE, PDF, DOCUMENT_TEXT, Asked, Refused, Result, field, need, number, only, tool
from openai_chat import vector
from scenarios import USAGE

KEYS = "contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent labels serviceTier"
GENERATION = (
    "temperature topP topK candidateCount maxOutputTokens stopSequences presencePenalty frequencyPenalty "
    "seed responseLogprobs logprobs responseMimeType responseSchema responseJsonSchema thinkingConfig "
    "mediaResolution responseModalities speechConfig"
)
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
FUNCTION = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
NO_PROOF = "skip_thought_signature_validator"
PROOF = base64.b64encode(b"a proof of Gemini's").decode()


def authenticate(headers):
    need(headers.get("x-goog-api-key") == "upstream-gemini", "401 API key not valid")
    need("authorization" not in headers, "401 two credentials")


def check(body, model, is_stream):
    only(body, KEYS, "request")
    asked = Asked(model=model, stream=is_stream)
    system = body.get("systemInstruction")
    if system is not None:
        only(system, "role parts", "systemInstruction")
        parts(system["parts"], "systemInstruction", asked, "text")
    contents = field(body, "contents", list, "request")
    need(contents, "contents is not specified")
    conversation(contents, asked)
    settings(body, asked)
    return asked


def conversation(contents, asked):
    need(contents[0].get("role") == "user", "Please ensure that function call turn comes immediately after a user turn")
    calls = []
    proofless = []
    for place, content in enumerate(contents):
        where = f"contents[{place}]"
        only(content, "role parts", where)
        role = content.get("role")
        need(role in ("user", "model"), f"Please use a valid role: user, model ({role!r})")
        kinds = "text thought inlineData fileData functionCall functionResponse"
        found = parts(content.get("parts"), where, asked, kinds)
        answers = [part["functionResponse"] for part in found if "functionResponse" in part]
        need(
            len(answers) == len(calls),
            f"{where}: the number of function response parts must equal that of the function call parts of the function call turn",
        )
        need(not answers or role == "user", f"{where}: a model answers no function")
        for call, answer in zip(calls, answers):
            need(answer["name"] == call["name"], f"{where}: the response is one of another function")
            need(answer.get("id") == call.get("id"), f"{where}: the response is one of another call")
        calls = [part["functionCall"] for part in found if "functionCall" in part]
        if calls:
            first = next(part for part in found if "functionCall" in part)
            if first.get("thoughtSignature") not in (PROOF, NO_PROOF):
                proofless.append(where)
        texts = [part["text"] for part in found if "text" in part and not part.get("thought")]
        if role == "user":
            if texts:
                # What was called before this turn needs no proof any more.
                proofless = []
                asked.text = "\n".join(texts)
            asked.results = [] if texts else [result(answer) for answer in answers]
    need(not calls, "the last turn calls a function")
    need(not proofless, f"Function call is missing a thought_signature in functionCall parts: {proofless}")


def result(answer):
    response = field(answer, "response", dict, "functionResponse")
    text = response.get("output", response.get("error", json.dumps(response)))
    return Result(answer.get("id", ""), text, answer["name"], "error" in response)


def parts(found, where, asked, kinds):
    need(isinstance(found, list) and found, f"{where}.parts must not be empty")
    for place, part in enumerate(found):
        here = f"{where}.parts[{place}]"
        only(part, f"{kinds} thoughtSignature", here)
        data = set(part) - {"thought", "thoughtSignature"}
        need(len(data) == 1, f"{here}: required oneof field 'data' must have one initialized field")
        if "functionCall" in part:
            only(part["functionCall"], "id name args", here)
            field(part["functionCall"], "args", dict, here)
        if "functionResponse" in part:
            only(part["functionResponse"], "id name response parts", here)
        if "inlineData" in part:
            inline(part["inlineData"], here, asked)
        if "fileData" in part:
            only(part["fileData"], "mimeType fileUri", here)
            asked.media.add(part["fileData"]["mimeType"].split("/")[0].replace("application", "document"))
    return found


def inline(blob, where, asked):
    only(blob, "mimeType data", where)
    match blob["mimeType"]:
        case "image/png":
            need(blob["data"].startswith(IMAGE), f"{where}: bad image")
            asked.media.add("image")
        case "application/pdf":
            need(blob["data"].startswith(PDF), f"{where}: bad document")
            asked.media.add("document")
        case "text/plain":
            need(base64.b64decode(blob["data"]).decode() == DOCUMENT_TEXT, f"{where}: another document came")
            asked.media.add("document")
        case "audio/wav":
            need(blob["data"].startswith(AUDIO), f"{where}: bad audio")
            asked.media.add("audio")
        case other:
            raise Refused(f"{where}: Unsupported MIME type: {other}")


def settings(body, asked):
    config = body.get("generationConfig", {})
    only(config, GENERATION, "generationConfig")
    number(config, "temperature", 0, 2)
    number(config, "topP", 0, 1)
    number(config, "seed", -(1 << 31), (1 << 31) - 1)
    asked.choices = number(config, "candidateCount", 1, 8) or 1
    need(not asked.stream or asked.choices == 1, "candidateCount must be 1 in streams")
    number(config, "maxOutputTokens", 1, 65536)
    asked.stop_words = config.get("stopSequences", [])
    need(len(asked.stop_words) <= 5, "stopSequences: at most 5")
    if config.get("responseLogprobs"):
        asked.log_probs = number(config, "logprobs", 0, 20) or 0
    else:
        need("logprobs" not in config, "logprobs wants responseLogprobs")
    schema = config.get("responseJsonSchema")
    if schema is not None:
        need(config.get("responseMimeType") == "application/json", "responseJsonSchema wants responseMimeType")
        asked.schema = schema
    thinking = config.get("thinkingConfig", {})
    only(thinking, "includeThoughts thinkingBudget thinkingLevel", "thinkingConfig")
    need(not {"thinkingBudget", "thinkingLevel"} <= set(thinking), "thinking: a budget or a level, not both")
    need(thinking.get("thinkingLevel") in (None, "MINIMAL", "LOW", "MEDIUM", "HIGH"), "thinkingLevel")
    asked.is_thinking = bool(thinking.get("includeThoughts"))
    tools(body, asked)


def tools(body, asked):
    for place, each in enumerate(body.get("tools", [])):
        only(each, "functionDeclarations googleSearch codeExecution urlContext", f"tools[{place}]")
        for declared in each.get("functionDeclarations", []):
            where = f"tools[{place}].{declared.get('name')}"
            only(declared, "name description parameters parametersJsonSchema response behavior", where)
            need(FUNCTION.fullmatch(declared.get("name", "")), f"{where}: Invalid function name")
            tool(declared["name"], declared.get("description"), declared.get("parametersJsonSchema"), where)
            asked.tools.append(declared["name"])
    config = body.get("toolConfig")
    if config is not None:
        only(config, "functionCallingConfig retrievalConfig", "toolConfig")
        calling = config["functionCallingConfig"]
        only(calling, "mode allowedFunctionNames", "functionCallingConfig")
        need(calling.get("mode") in ("AUTO", "ANY", "NONE", "VALIDATED"), "functionCallingConfig.mode")
        allowed = calling.get("allowedFunctionNames")
        need(allowed is None or calling["mode"] in ("ANY", "VALIDATED"), "allowedFunctionNames want the mode ANY")
        need(set(allowed or []) <= set(asked.tools), "allowedFunctionNames: no such function")


def usage():
    return {
        "promptTokenCount": USAGE.input,
        "cachedContentTokenCount": USAGE.cached,
        "candidatesTokenCount": USAGE.output - USAGE.thought,
        "thoughtsTokenCount": USAGE.thought,
        "totalTokenCount": USAGE.input + USAGE.output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": USAGE.input}],
    }


def finish_reason(said):
    return {"length": "MAX_TOKENS", "refusal": "SAFETY"}.get(said.stop, "STOP")


def call_part(call, is_first):
    # The first call of a turn has the proof; the ids came with Gemini 3.
    part = {"functionCall": {"id": call.id, "name": call.name, "args": call.input}}
    return {**part, "thoughtSignature": PROOF} if is_first else part


def pieces(said, asked):
    """The parts as they are streamed: texts in pieces, calls whole."""
    if asked.is_thinking:
        yield from ({"text": piece, "thought": True} for piece in said.thoughts)
    for piece in said.text:
        yield {"text": piece}
    for place, call in enumerate(said.calls):
        yield call_part(call, place == 0)


def answer(asked, candidates):
    return {
        "candidates": candidates,
        "usageMetadata": usage(),
        "modelVersion": asked.model,
        "responseId": "upstream1",
    }


def log_probs(asked, text):
    if asked.log_probs is None:
        return {}
    one = {"token": text, "tokenId": 1, "logProbability": -0.25}
    other = {"token": "No", "tokenId": 2, "logProbability": -1.5}
    top = [{"candidates": [one, other][: asked.log_probs]}]
    found = {"chosenCandidates": [one]}
    return {"avgLogprobs": -0.25, "logprobsResult": {**found, **({"topCandidates": top} if asked.log_probs else {})}}


def whole(said, asked):
    if said.refusal:
        return {
            "promptFeedback": {"blockReason": "SAFETY"},
            "usageMetadata": {"promptTokenCount": USAGE.input, "totalTokenCount": USAGE.input},
            "modelVersion": asked.model,
            "responseId": "upstream1",
        }
    text = "".join(said.text)
    found = []
    if asked.is_thinking and said.thoughts:
        found.append({"text": "".join(said.thoughts), "thought": True})
    if text:
        found.append({"text": text})
    found += [call_part(call, place == 0) for place, call in enumerate(said.calls)]
    candidate = {"content": {"parts": found, "role": "model"}, "finishReason": finish_reason(said)}
    return answer(asked, [{**candidate, "index": index, **log_probs(asked, text)} for index in range(asked.choices)])


def stream(said, asked):
    def event(value):
        # The API's own line ends.
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"

    if said.refusal:
        yield event(whole(said, asked))
        return
    for piece in pieces(said, asked):
        log = log_probs(asked, piece["text"]) if "text" in piece else {}
        yield event(answer(asked, [{"content": {"parts": [piece], "role": "model"}, "index": 0, **log}]))
    if said.breaks == "fault":
        yield event(fault(503, "The model is overloaded.")[1])
        return
    if said.breaks:
        return
    last = {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": finish_reason(said), "index": 0}
    yield event(answer(asked, [last]))


def fault(status, message):
    error = {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN")}
    if status == 429:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "60s"}]
    return {}, {"error": error}


def embed(body, model):
    only(body, "requests", "request")
    requests = field(body, "requests", list, "request")
    need(0 < len(requests) <= 100, "BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch")
    found = []
    for place, each in enumerate(requests):
        where = f"requests[{place}]"
        only(each, "model content taskType title outputDimensionality", where)
        need(each.get("model") == f"models/{model}", f"{where}.model: {each.get('model')}")
        given = parts(each["content"]["parts"], where, Asked(), "text")
        length = number(each, "outputDimensionality", 1, 3072, where) or 16
        found.append({"values": vector(given[0]["text"], length)})
    return {"embeddings": found}
