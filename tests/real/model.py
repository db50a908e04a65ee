"""Writes a tiny language model as a GGUF file: llama's architecture with weights that are random, but the same each time.

    model.py FILE

What it says makes no sense, which is enough: it says the same thing twice at temperature 0, in words, letters and
characters of several bytes, and never comes to an end by itself.
"""

import array
import random
import struct
import sys

WIDTH = 64
LAYERS = 2
HEADS = 4
HEADS_OF_KEYS = 1
INNER = 128
#: So long that an answer does not end while somebody watches it.
CONTEXT = 1 << 20
ALIGNMENT = 32

#: What a call of a tool begins with. It is the last token; a server that is biased towards it calls tools.
CALL = "<tool_call>"

#: As `llama.cpp` numbers the kinds of tokens.
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
WORDS = (
    "the a of and to in is you that it he was for on are as with his they at be this have from or one had by word but "
    "not what all were we when your can said there use an each which she do how their if will up other about out many "
    "then them these so some her would make like him into time has look two more write go see number no way could "
    "people my than first water been call who oil its now find long down day did get come made may part river stone "
    "über größer naïve café señor 世界 日本語 мир привет γειά שלום مرحبا 🌍 🙂 👍🏽"
).split()

TEMPLATE = """\
{%- if tools %}<|im_start|>system
These are your tools:
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}Use one by <tool_call>{"name": its name, "arguments": an object}</tool_call>.<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{% if message.content %}{{ message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}<tool_call>\
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\
</tool_call>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def vocabulary():
    """The tokens with their kinds. A space is U+2581; what has no token of its own is spelled in bytes."""
    tokens = [(token, UNKNOWN if token == "<unk>" else CONTROL) for token in SPECIAL]
    tokens += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    tokens += [("\u2581", NORMAL)] + [(chr(code), NORMAL) for code in range(0x21, 0x7F)]
    return tokens + [(f"\u2581{word}", NORMAL) for word in WORDS] + [(CALL, NORMAL)]


def text(value):
    encoded = value.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def entry(key, value):
    """One line of the file's head: the types are GGUF's numbers for u32, f32, bool, string and array."""
    head = text(key)
    if isinstance(value, bool):
        return head + struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return head + struct.pack("<II", 4, value)
    if isinstance(value, float):
        return head + struct.pack("<If", 6, value)
    if isinstance(value, str):
        return head + struct.pack("<I", 8) + text(value)
    if isinstance(value[0], str):
        return head + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    kind, letter = (5, "i") if isinstance(value[0], int) else (6, "f")
    return head + struct.pack(f"<IIQ{len(value)}{letter}", 9, kind, len(value), *value)


def metadata(tokens):
    return {
        "general.architecture": "llama",
        "general.name": "tiny",
        "llama.context_length": CONTEXT,
        "llama.embedding_length": WIDTH,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": HEADS_OF_KEYS,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": WIDTH // HEADS,
        "llama.rope.freq_base": 10000.0,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [token for token, _ in tokens],
        "tokenizer.ggml.scores": [-float(position) for position in range(len(tokens))],
        "tokenizer.ggml.token_type": [kind for _, kind in tokens],
        "tokenizer.ggml.unknown_token_id": SPECIAL.index("<unk>"),
        "tokenizer.ggml.bos_token_id": SPECIAL.index("<s>"),
        "tokenizer.ggml.eos_token_id": SPECIAL.index("<|im_end|>"),
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": TEMPLATE,
    }


class Weights:
    """Tensors by name: the shape, the fastest dimension first, and the values."""

    def __init__(self):
        self.chance = random.Random(20)
        self.tensors = {}

    def drawn(self, count, spread):
        return array.array("f", (self.chance.gauss(0.0, spread) for _ in range(count)))

    def matrix(self, name, columns, rows):
        self.tensors[name] = ((columns, rows), self.drawn(columns * rows, columns**-0.5))

    def ones(self, name):
        self.tensors[name] = ((WIDTH,), array.array("f", [1.0] * WIDTH))


def weights(tokens):
    made = Weights()
    made.tensors["token_embd.weight"] = ((WIDTH, len(tokens)), made.drawn(WIDTH * len(tokens), 1.0))
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        keys = WIDTH // HEADS * HEADS_OF_KEYS
        made.ones(f"{block}.attn_norm.weight")
        made.matrix(f"{block}.attn_q.weight", WIDTH, WIDTH)
        made.matrix(f"{block}.attn_k.weight", WIDTH, keys)
        made.matrix(f"{block}.attn_v.weight", WIDTH, keys)
        made.matrix(f"{block}.attn_output.weight", WIDTH, WIDTH)
        made.ones(f"{block}.ffn_norm.weight")
        made.matrix(f"{block}.ffn_gate.weight", WIDTH, INNER)
        made.matrix(f"{block}.ffn_up.weight", WIDTH, INNER)
        made.matrix(f"{block}.ffn_down.weight", INNER, WIDTH)
    made.ones("output_norm.weight")
    # Nothing speaks for a byte, a special token or a call: all text is whole, and only a grammar or a bias ends it.
    rows = array.array("f")
    for token, kind in tokens:
        rows.extend(made.drawn(WIDTH, 0.5) if kind == NORMAL and token != CALL else [0.0] * WIDTH)
    made.tensors["output.weight"] = ((WIDTH, len(tokens)), rows)
    return made.tensors


def write(path):
    tokens = vocabulary()
    head = metadata(tokens)
    tensors = weights(tokens)
    parts = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(head))]
    parts += [entry(key, value) for key, value in head.items()]
    offset = 0
    data = []
    for name, (shape, values) in tensors.items():
        # The last two: the type is f32, and where the values begin.
        parts.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset))
        values = array.array("f", values)
        if sys.byteorder == "big":
            values.byteswap()
        padded = values.tobytes()
        padded += bytes(-len(padded) % ALIGNMENT)
        data.append(padded)
        offset += len(padded)
    start = b"".join(parts)
    with open(path, "wb") as file:
        file.write(start + bytes(-len(start) % ALIGNMENT) + b"".join(data))


if __name__ == "__main__":
    write(sys.argv[1])
