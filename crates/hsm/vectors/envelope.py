"""Writes envelope.json: hand-made vectors of the PIN envelope, by pyca/cryptography (OpenSSL), from the text of
src/seam/envelopes.rs. Independent of the Rust code; the Rust and JavaScript tests read the result.

    python3 envelope.py > envelope.json
"""

import hashlib
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def private_key(label):
    scalar = int.from_bytes(hashlib.sha256(label.encode()).digest(), "big")
    return scalar.to_bytes(32, "big"), ec.derive_private_key(scalar, ec.SECP256R1())


def point(key):
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def aes(key, block):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    return encryptor.update(block) + encryptor.finalize()


hsm_scalar, hsm = private_key("pinward test vector: hsm")
device_scalar, device = private_key("pinward test vector: device")
identity_scalar, identity = private_key("pinward test vector: identity")
nonce = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
account = "9079201735462880"
expires_ms = 1_800_000_120_000
operation = "change_pin"

shared = device.exchange(ec.ECDH(), hsm.public_key())
assert shared == hsm.exchange(ec.ECDH(), device.public_key())

message = (b"pinward envelope v1" + nonce + operation.encode() + account.encode()
           + expires_ms.to_bytes(8, "big") + point(hsm))
r, s = decode_dss_signature(identity.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))

pan_field = bytes.fromhex(("4" + account).ljust(32, "0"))
blocks = []
for role, pin, fill in [
    ("current", "8888", "1122334455667788"),
    ("new", "9999", "2f69adde2e9e7ace"),
    ("new", "12345", "00000000000000ff"),
    ("new", "123456789012", "ffffffffffffffff"),
    ("reveal", "0417", "a5a5a5a55a5a5a5a"),
]:
    kdf_input = (bytes.fromhex("00000001") + shared + b"pinward" + role.encode()
                 + point(device) + point(hsm) + nonce)
    key = hashlib.sha256(kdf_input).digest()[:16]
    pin_field = bytes.fromhex(("4%X" % len(pin) + pin).ljust(16, "A") + fill)
    block_a = aes(key, pin_field)
    block_b = bytes(a ^ b for a, b in zip(block_a, pan_field))
    blocks.append({
        "role": role, "pin": pin, "fill": fill, "kdf_input": kdf_input.hex(), "key": key.hex(),
        "pin_field": pin_field.hex(), "pan_field": pan_field.hex(), "block": aes(key, block_b).hex(),
    })

print(json.dumps({
    "source": "hand-made with envelope.py (pyca/cryptography) from the text of crates/hsm/src/seam/envelopes.rs; bytes in hex",
    "nonce": nonce.hex(),
    "account": account,
    "operation": operation,
    "expires_ms": expires_ms,
    "hsm_private": hsm_scalar.hex(),
    "hsm_public": point(hsm).hex(),
    "device_private": device_scalar.hex(),
    "device_public": point(device).hex(),
    "identity_private": identity_scalar.hex(),
    "identity_public": point(identity).hex(),
    "signed_message": message.hex(),
    "signature": (r.to_bytes(32, "big") + s.to_bytes(32, "big")).hex(),
    "shared_secret": shared.hex(),
    "blocks": blocks,
}, indent=2))
