"""What pyemv, and for AES Python's cryptography, compute for one transaction of a chip.

Eight versions are pyemv's own classes. The others are put together from its parts, or from AES and CMAC, as the standard's
text was understood here: a second reading, but not a second reader.
"""

import inspect

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from pyemv import ac, cvn, kd, mac, sm

PYEMV_CLASSES = {
    "Visa10": cvn.VisaCVN10,
    "Visa18": cvn.VisaCVN18,
    "Visa22": cvn.VisaCVN22,
    "Interac133": cvn.InteracCVN133,
    "Mastercard16": cvn.MasterCardCVN16,
    "Mastercard17": cvn.MasterCardCVN17,
    "Mastercard20": cvn.MasterCardCVN20,
    "Mastercard21": cvn.MasterCardCVN21,
    "AmexUnverified": cvn.VisaCVN10,
}
TAGS = "9f02 9f03 9f1a 95 5f2a 9a 9c 9f37 82 9f36".split()
UNBLOCK = bytes([0x24, 0x00, 0x00])
CHANGE = bytes([0x24, 0x00, 0x02])
PAD = bytes([0x80])


def chip(q):
    h = bytes.fromhex
    values = {name: h(q[name]) for name in q["hex"]}
    values |= {"account": q["account"], "psn": q["psn"], "new": q["new"], "current": q["current"]}
    makers = {"CcdTdes": CcdTdes, "CcdAes": CcdAes, "Emv2000": Emv2000}
    maker = makers.get(q["cvn"], Pyemv)
    answer = maker(q["cvn"], values).answer()
    return {name: data and data.hex().upper() for name, data in answer.items()}


class Pyemv:
    """The versions that pyemv has a class for."""

    def __init__(self, name, v):
        self.name, self.v = name, v
        self.card = PYEMV_CLASSES[name](
            v["imk_ac"], v["imk_smi"], v["imk_smc"], v["account"], v["psn"]
        )
        iad = v["9f10"]
        visa = name in ("Visa10", "AmexUnverified")
        self.arguments = {"tag_" + tag: v[tag] for tag in TAGS} | {
            "tag_9f10": iad,
            "cvr": iad[3:7] if visa else iad[2:8],
            "counters": iad[10:18],
            "arpc_rc": v["response_code"],
            "csu": v["csu"],
            "proprietary_auth_data": v["proprietary"],
        }

    def call(self, method, **more):
        known = self.arguments | more
        wanted = inspect.signature(method).parameters
        return method(**{name: known[name] for name in wanted if name in known})

    def answer(self):
        v = self.v
        arqc = self.call(self.card.generate_ac)
        self.arguments["tag_9f26"] = arqc
        arpc = self.call(self.card.generate_arpc)
        said = v["csu"] + v["proprietary"] if len(arpc) == 4 else v["response_code"]
        change = self.card.generate_pin_change_command
        takes_current = "current_pin" in inspect.signature(change).parameters
        second = None
        if self.name.startswith("Mastercard"):
            counted = (int.from_bytes(arqc, "big") + 1) % 2**64
            second = self.unblock(tag_9f26=counted.to_bytes(8, "big"))
        return {
            "arqc": arqc,
            "tag_91": arpc + said,
            "change": self.call(change, pin=v["new"]),
            "change_with_current": takes_current
            and self.call(change, pin=v["new"], current_pin=v["current"])
            or None,
            "unblock": self.unblock(),
            "second": second,
        }

    def unblock(self, **more):
        header = b"\x84" + UNBLOCK + b"\x08"
        return header + self.call(
            self.card.generate_command_mac, command_header=header, **more
        )


class Parts:
    """A version put together from parts; what differs is in the subclasses."""

    def __init__(self, _name, v):
        self.v = v

    def answer(self):
        v = self.v
        data = b"".join(v[tag] for tag in TAGS) + self.iad()
        arqc = self.cryptogram(data)
        change = self.change(arqc)
        return {
            "arqc": arqc,
            "tag_91": self.tag_91(arqc),
            "change": change,
            "change_with_current": None,
            "unblock": self.unblock(arqc, None),
            "second": self.unblock(arqc, change),
        }

    def tdes_master(self, derive, name):
        return derive(self.v[name], self.v["account"], self.v["psn"])


class Ccd(Parts):
    def iad(self):
        return self.v["9f10"]

    def change(self, arqc):
        cryptogram = self.encipher(arqc, sm.format_iso9564_2_pin_block(self.v["new"]))
        data = bytes([0x87, len(cryptogram) + 1, 0x01]) + cryptogram
        return self.command(arqc, arqc, CHANGE, data)

    def unblock(self, arqc, before):
        return self.command(arqc, self.full_mac if before else arqc, UNBLOCK, b"")

    def command(self, arqc, chain, instruction, data):
        header = b"\x8c" + instruction
        length = bytes([len(data) + 10])
        message = chain.ljust(self.block, b"\0") + self.pad(header) + self.pad(data)
        full_mac = self.mac(arqc, message)
        if data:
            self.full_mac = full_mac
        return header + length + data + b"\x8e\x08" + full_mac[:8]

    def pad(self, part):
        return part and mac.pad_iso9797_2(part, self.block)


class CcdTdes(Ccd):
    block = 8

    def session(self, name, r):
        return kd.derive_common_sk(self.tdes_master(kd.derive_icc_mk_b, name), r)

    def ac_key(self):
        return self.session("imk_ac", self.v["9f36"] + bytes(6))

    def cryptogram(self, data):
        return ac.generate_ac(self.ac_key(), data, ac.PaddingType.EMV, 8)

    def tag_91(self, arqc):
        v = self.v
        arpc = ac.generate_arpc_2(self.ac_key(), arqc, v["csu"], v["proprietary"])
        return arpc + v["csu"] + v["proprietary"]

    def encipher(self, arqc, pin_block):
        key = self.session("imk_smc", arqc)
        return sm.encrypt_command_data(key, pin_block, sm.EncryptionType.EMV)

    def mac(self, arqc, message):
        key = self.session("imk_smi", arqc)
        return mac.mac_iso9797_3(key[:8], key[8:], message, 1, 8)


class CcdAes(Ccd):
    block = 16

    def master(self, name):
        y = bytes.fromhex((self.v["account"] + self.v["psn"]).rjust(32, "0"))
        key = self.v[name]
        both = aes(key, y) + aes(key, bytes(byte ^ 0xFF for byte in y))
        return both[: len(key)]

    def session(self, name, r):
        key, r = self.master(name), r + bytes(8)
        if len(key) == 16:
            return aes(key, r)
        both = b"".join(aes(key, r[:2] + third + r[3:]) for third in (b"\xf0", b"\x0f"))
        return both[: len(key)]

    def ac_key(self):
        return self.session("imk_ac", self.v["9f36"] + bytes(6))

    def cryptogram(self, data):
        return cmac(self.ac_key(), data)[:8]

    def tag_91(self, arqc):
        said = self.v["csu"] + self.v["proprietary"]
        return cmac(self.ac_key(), arqc + said)[:4] + said

    def encipher(self, arqc, pin_block):
        padded = (pin_block + PAD).ljust(16, b"\0")
        return aes(self.session("imk_smc", arqc), padded)

    def mac(self, arqc, message):
        return cmac(self.session("imk_smi", arqc), message)


class Emv2000(Parts):
    def session(self, name):
        master = self.tdes_master(kd.derive_icc_mk_a, name)
        return kd.derive_emv2000_tree_sk(master, self.v["9f36"], 8, 4)

    def iad(self):
        return self.v["9f10"][2:8]

    def cryptogram(self, data):
        return ac.generate_ac(self.session("imk_ac"), data, ac.PaddingType.EMV, 8)

    def tag_91(self, arqc):
        code = self.v["response_code"]
        return ac.generate_arpc_1(self.session("imk_ac"), arqc, code) + code

    def change(self, arqc):
        pin_block = sm.format_iso9564_2_pin_block(self.v["new"])
        data = sm.encrypt_command_data(
            self.session("imk_smc"), pin_block, sm.EncryptionType.MASTERCARD
        )
        return self.command(CHANGE, arqc, data)

    def unblock(self, arqc, before):
        counted = (int.from_bytes(arqc, "big") + (before is not None)) % 2**64
        return self.command(UNBLOCK, counted.to_bytes(8, "big"), b"")

    def command(self, instruction, random, data):
        header = b"\x84" + instruction + bytes([len(data) + 8])
        message = header + self.v["9f36"] + random + data
        return header + data + sm.generate_command_mac(self.session("imk_smi"), message)


def aes(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def cmac(key, data):
    c = CMAC(algorithms.AES(key))
    c.update(data)
    return c.finalize()


def icc_mk_a(q):
    return kd.derive_icc_mk_a(bytes.fromhex(q["key"]), q["account"], q.get("psn")).hex().upper()


def icc_mk_b(q):
    return kd.derive_icc_mk_b(bytes.fromhex(q["key"]), q["account"], q.get("psn")).hex().upper()
