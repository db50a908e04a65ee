"""The frames of Amazon's binary event stream: lengths, headers, payload, and two checksums."""

import struct
import zlib


def frame(headers, payload):
    body = payload.encode()
    head = b""
    for name, value in headers.items():
        # 7 is the type of a string.
        head += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return message + struct.pack(">I", zlib.crc32(message))
