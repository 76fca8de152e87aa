"""Writes chip.txt: the commands that the published vectors (crates/paycrypto/vectors/cvn.txt) don't have, by pyemv 1.5.0:
PIN UNBLOCK of every version, and for M/Chip the PIN CHANGE that follows it in the same transaction.

    python chip.py > chip.txt
"""

from pyemv import cvn

ISSUER_KEYS = (
    bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"),
    bytes.fromhex("FEDCBA98765432100123456789ABCDEF"),
    bytes.fromhex("89ABCDEF0123456776543210FEDCBA98"),
)
ATC = bytes.fromhex("001C")
PIN_UNBLOCK = bytes.fromhex("8424000008")
NEW_PIN = "9999"
VERSIONS = [
    ("Visa10", cvn.VisaCVN10, "29CCA15AE665FA2E"),
    ("Visa18", cvn.VisaCVN18, "7A788EA6B8A3E733"),
    ("Visa22", cvn.VisaCVN22, "7A788EA6B8A3E733"),
    ("Interac133", cvn.InteracCVN133, "18932FECA2D84326"),
    ("Mastercard16", cvn.MasterCardCVN16, "24CCF3DEE3158C70"),
    ("Mastercard17", cvn.MasterCardCVN17, "EAE8A620A75648D8"),
    ("Mastercard20", cvn.MasterCardCVN20, "CD29615D6452E70E"),
    ("Mastercard21", cvn.MasterCardCVN21, "C30E54BE496CF5E5"),
]


def plus_one(arqc):
    return (int.from_bytes(arqc, "big") + 1).to_bytes(8, "big")


print("# source: pyemv 1.5.0, by chip.py; keys, card and transaction of crates/paycrypto/vectors/cvn.txt")
for name, version, arqc in VERSIONS:
    card = version(*ISSUER_KEYS, "1234567890123456", "00")
    arqc = bytes.fromhex(arqc)
    transaction = [] if name.startswith("Interac") else [ATC]
    unblock = PIN_UNBLOCK + card.generate_command_mac(PIN_UNBLOCK, arqc, *transaction)
    print(f"\ncvn {name}\nunblock {unblock.hex().upper()}")
    if name.startswith("Mastercard"):
        change = card.generate_pin_change_command(NEW_PIN, plus_one(arqc), *transaction)
        print(f"change_after_unblock {change.hex().upper()}")
