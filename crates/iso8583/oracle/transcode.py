"""Decodes messages with pyiso8583 and encodes them again, as a second opinion on the codec.

Standard input: one message a line, in hexadecimal digits. Standard output, one line for each: the message encoded
again, then MTI and fields as number=hexadecimal digits, separated by blanks.
"""

import copy
import sys

import iso8583
from iso8583.specs import default

BINARY = {"52", "55", "64", "96", "125", "128"}

# ascii-1987 is pyiso8583's default specification but for two binary fields.
spec = copy.deepcopy(default)
for field in ("96", "125"):
    spec[field]["data_enc"] = "b"

for line in sys.stdin:
    decoded, _ = iso8583.decode(bytes.fromhex(line), spec)
    fields = {name: decoded[name] for name in decoded if name.isdigit() and name != "1"}
    encoded, _ = iso8583.encode({"t": decoded["t"], **fields}, spec)
    words = [encoded.hex(), decoded["t"]]
    for name, value in fields.items():
        words.append(f"{name}={value.lower() if name in BINARY else value.encode().hex()}")
    print(" ".join(words))
