"""What the providers say, in no provider's words: each dialect's file puts it into its own.

A scenario is chosen by the first word of the last text that the user said.
"""

import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class Call:
    """A tool call; its arguments come in pieces where the provider streams them."""

    id: str
    name: str
    pieces: tuple[str, ...]

    @property
    def arguments(self):
        return "".join(self.pieces)

    @property
    def input(self):
        return json.loads(self.arguments or "{}")


@dataclasses.dataclass(frozen=True)
class Said:
    """An answer. `stop` is one of end, tools, length, sequence, refusal."""

    text: tuple[str, ...] = ()
    thoughts: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    refusal: str = ""
    stop: str = "end"
    #: What the text rests on: the words of a document that was sent.
    cited: str = ""
    #: What happens after half of a stream: `fault` or `end` of the connection.
    breaks: str = ""


@dataclasses.dataclass(frozen=True)
class Usage:
    """Tokens: all that went in with what of it was cached, all that came out with what of it was thought."""

    input: int = 100
    cached: int = 40
    output: int = 20
    thought: int = 5


USAGE = Usage()
TEXT = ("Grüße aus ", "Oslo: “3 °C”, ", "世界 🌍, a \\ and a \"quote\"", ".\nNext line.")
OSLO = Call("oslo1", "get_weather", ('{"ci', 'ty":"Os', 'lo","days":', "3}"))
BERGEN = Call("bergen2", "get_weather", ('{"city":"Bergen"', ',"days":1}'))
# No arguments at all: some providers send an empty text, some an empty object, some nothing.
TIME = Call("time3", "get_time", ())
JSON_TEXT = '{"title":"Oslo","score":7,"tags":["cold","bright"]}'
STOP_WORD = "END"

SCENARIOS = {
    "text": Said(text=TEXT),
    "tool": Said(text=("Let me look.",), calls=(OSLO,), stop="tools"),
    "tool-only": Said(calls=(OSLO,), stop="tools"),
    "parallel-tools": Said(calls=(OSLO, BERGEN, TIME), stop="tools"),
    "after-tool": Said(text=("It is 3 degrees", " in Oslo.")),
    "json": Said(text=(JSON_TEXT[:20], JSON_TEXT[20:])),
    "refusal": Said(refusal="I cannot help with that.", stop="refusal"),
    "long": Said(text=("As long as it ", "may be"), stop="length"),
    "stop-word": Said(text=("Up to ", "here "), stop="sequence"),
    "think": Said(thoughts=("Oslo is ", "in Norway."), text=("Seven.",)),
    "think-and-call": Said(thoughts=("I must ", "look."), calls=(OSLO,), stop="tools"),
    "image": Said(text=("I see a red pixel.",)),
    "document": Said(text=("The grass is green.",)),
    "cite": Said(text=("The grass is green.",), cited="The grass is green. "),
    "audio": Said(text=("I hear a beep.",)),
    "logprobs": Said(text=("Yes",)),
    "error-in-stream": Said(text=TEXT, breaks="fault"),
    "torn": Said(text=TEXT, breaks="end"),
}

#: Scenarios that are an error status instead of an answer.
ERRORS = {
    f"error-{status}": status for status in (400, 401, 403, 404, 413, 429, 500, 503, 529)
}
