"""Tells what a real API would refuse about a request."""

import dataclasses
import re

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
#: The red pixel that tests send, by its first bytes in base64.
IMAGE = "iVBORw0KGgo"
PDF = "JVBERi0"
AUDIO = "UklGR"
DOCUMENT_TEXT = "The grass is green. The sky is blue."


class Refused(Exception):
    """The API would answer 400, for this reason."""


@dataclasses.dataclass
class Result:
    """What a tool gave."""

    call_id: str
    text: str
    name: str = ""
    is_error: bool = False


@dataclasses.dataclass
class Asked:
    """What a request comes down to."""

    model: str = ""
    stream: bool = False
    #: The last text of the user.
    text: str = ""
    #: What tools gave, where that is the last thing that was said.
    results: list = dataclasses.field(default_factory=list)
    tools: list = dataclasses.field(default_factory=list)
    schema: dict | None = None
    wants_usage: bool = True
    #: How many alternatives to each token are wanted; `None` for no probabilities at all.
    log_probs: int | None = None
    choices: int = 1
    #: Kinds of media that were sent: image, document, audio.
    media: set = dataclasses.field(default_factory=set)
    stop_words: list = dataclasses.field(default_factory=list)
    wants_proofs: bool = True
    is_thinking: bool = True
    cites: bool = False

    @property
    def words(self):
        """The scenario and the name of the request: the last line, behind what a document said."""
        return self.text.splitlines()[-1].split() if self.text else []


def need(condition, reason):
    if not condition:
        raise Refused(reason)


def only(value, allowed, where):
    """`value` is an object with no other fields than those of `allowed` (words in one string)."""
    need(isinstance(value, dict), f"{where} must be an object")
    unknown = sorted(set(value) - set(allowed.split()))
    need(not unknown, f"{where}: unknown field {unknown}")


def field(value, key, kind, where):
    """The field `key` of `value`, which must be of type `kind`."""
    found = value.get(key)
    is_bool = isinstance(found, bool) and kind is not bool
    need(isinstance(found, kind) and not is_bool, f"{where}.{key} is missing or of a wrong type")
    return found


def number(value, key, low, high, where="request"):
    """The field `key`, when it is there, is a number between `low` and `high`."""
    found = value.get(key)
    if found is None:
        return None
    is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
    need(is_number and low <= found <= high, f"{where}.{key} must be between {low} and {high}")
    return found


def strict_schema(schema, where):
    """Every object of a strict schema says all its properties, and that there are no others."""
    if isinstance(schema, list):
        for part in schema:
            strict_schema(part, where)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        need(schema.get("additionalProperties") is False, f"{where}: additionalProperties must be false")
        missing = set(schema.get("properties", {})) - set(schema.get("required", []))
        need(not missing, f"{where}: all properties must be required, {missing} are not")
    for part in schema.values():
        if isinstance(part, (dict, list)):
            strict_schema(part, where)


def tool(name, description, parameters, where):
    need(isinstance(name, str) and NAME.fullmatch(name), f"{where}: bad name {name!r}")
    need(description is None or (isinstance(description, str) and description), f"{where}: empty description")
    if parameters is not None:
        need(isinstance(parameters, dict), f"{where}: a schema must be an object")
        need(parameters.get("type") == "object", f"{where}: a schema must be of type object")


def expected(asked):
    """What each scenario must have been asked with, to be the test that it claims to be."""
    word = asked.words[0]
    names = {each for each in asked.tools}
    if word in ("tool", "tool-only", "parallel-tools", "think-and-call"):
        need({"get_weather", "get_time"} <= names, f"the tools are missing: {names}")
    if word == "json":
        need(asked.schema is not None, "the schema is missing")
        need(set(asked.schema.get("properties", {})) == {"title", "score", "tags"}, "another schema came")
    if word in ("image", "document", "audio"):
        need(word in asked.media, f"no {word} came")
    if word == "cite":
        need(asked.cites, "citations were not asked for")
    if word == "stop-word":
        need(asked.stop_words == ["END", "HALT"], f"other stop words came: {asked.stop_words}")
    if word == "logprobs":
        need(asked.log_probs is not None, "no probabilities were asked for")
    for result in asked.results:
        need(result.text or result.is_error, f"an empty result came for {result.call_id}")
