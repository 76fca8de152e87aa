"""Second opinion: answers JSON lines with what psec and pyemv compute.

One request a line on stdin, `{"ask": name, ...}`, hexadecimal strings for bytes; one answer a line on stdout, in order.
An exception ends the program: the test that asked then fails with its text.
"""

import json
import sys

from psec import pin, pinblock, tr31
from pyemv import mac

from chip import chip, icc_mk_a, icc_mk_b


def h(text):
    return bytes.fromhex(text)


def x(data):
    return data.hex().upper()


def iso0(q):
    return x(pinblock.encode_pinblock_iso_0(q["pin"], q["account"]))


def iso2(q):
    return x(pinblock.encode_pinblock_iso_2(q["pin"]))


def iso3_open(q):
    return pinblock.decode_pinblock_iso_3(h(q["block"]), q["account"])


def iso3(q):
    return x(pinblock.encode_pinblock_iso_3(q["pin"], q["account"]))


def iso4_open(q):
    return pinblock.decipher_pinblock_iso_4(h(q["key"]), h(q["block"]), q["account"])


def iso4(q):
    return x(pinblock.encipher_pinblock_iso_4(h(q["key"]), q["pin"], q["account"]))


def pvv(q):
    return pin.generate_visa_pvv(h(q["pvk"]), q["pvki"], q["pin"], q["account"])


def offset(q):
    digits = q["digits"]
    return pin.generate_ibm3624_offset(
        h(q["pvk"]), q["table"], q["pin"], digits, 0, len(digits), q["pad"]
    )


def tr31_open(q):
    header, key = tr31.unwrap(h(q["kbpk"]), q["block"])
    blocks = {name: data for name, data in header.blocks.items() if name != "PB"}
    return {"key": x(key), "usage": header.key_usage, "blocks": blocks}


def tr31_wrap(q):
    header = tr31.Header(q["version"], q["usage"], q["algorithm"], "N", "00", "E")
    for name, data in q["blocks"].items():
        header.blocks[name] = data
    return tr31.wrap(h(q["kbpk"]), header, h(q["key"]))


def retail_mac(q):
    key = h(q["key"])
    return x(mac.mac_iso9797_3(key[:8], key[8:], h(q["data"]), q["padding"], 8))


ANSWERS = {
    f.__name__: f
    for f in (retail_mac, iso0, iso2, iso3, iso3_open, iso4, iso4_open, pvv, offset, tr31_open, tr31_wrap, chip, icc_mk_a, icc_mk_b)
}

for line in sys.stdin:
    question = json.loads(line)
    print(json.dumps(ANSWERS[question["ask"]](question)))
