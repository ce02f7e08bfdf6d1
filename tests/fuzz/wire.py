"""PDUs as bytes: making sound ones, taking a conversation apart, and bending one field with all lengths mended.

Source: PS3.8 section 9.3.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Final

from pydicom.uid import ImplicitVRLittleEndian

ASSOCIATE_RQ, P_DATA, RELEASE_RQ, ABORT = 1, 4, 5, 7
FIXED: Final = 68  # bytes of an A-ASSOCIATE-RQ before its items
VERIFICATION: Final = b"1.2.840.10008.1.1"
Bend = Callable[[bytes], bytes]


def pdu(kind: int, body: bytes) -> bytes:
    """One PDU of this type."""
    return struct.pack(">BxL", kind, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    """One item of an A-ASSOCIATE."""
    return struct.pack(">BxH", kind, len(body)) + body


def associate(contexts: Sequence[tuple[int, bytes, bytes]], *further: bytes, called: bytes = b"ICHNODE") -> bytes:
    """An A-ASSOCIATE-RQ; ``contexts``: id, abstract syntax, transfer syntax; ``further``: user information items."""
    proposed = [
        item(0x20, bytes([number, 0, 0, 0]) + item(0x30, abstract) + item(0x40, transfer))
        for number, abstract, transfer in contexts
    ]
    user = item(0x50, b"".join((item(0x51, struct.pack(">L", 16384)), item(0x52, b"1.2.3"), *further)))
    fixed = struct.pack(">HH", 1, 0) + called.ljust(16) + b"FUZZ".ljust(16) + bytes(32)
    return pdu(ASSOCIATE_RQ, fixed + item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(proposed) + user)


def message(context: int, command: bytes, data_set: bytes = b"") -> bytes:
    """The P-DATA-TF PDUs of one DIMSE message, a PDV each. Source: PS3.8 annex E."""
    values = [(3, command)] + ([(2, data_set)] if data_set else [])
    parts = (struct.pack(">LBB", len(value) + 2, context, control) + value for control, value in values)
    return b"".join(pdu(P_DATA, part) for part in parts)


def command(**elements: int | bytes) -> bytes:
    """A DIMSE command set, Implicit VR Little Endian, group length first; names are ``x0000eeee`` of (0000,eeee)."""
    body = b""
    for name, value in elements.items():
        raw = value.ljust(len(value) + len(value) % 2, b"\0") if isinstance(value, bytes) else struct.pack("<H", value)
        body += struct.pack("<HHL", 0, int(name[5:], 16), len(raw)) + raw
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def echo(number: int = 1) -> bytes:
    """A C-ECHO-RQ."""
    return command(x00000002=VERIFICATION, x00000100=0x0030, x00000110=number, x00000800=0x0101)


def store(sop_class: bytes, sop_instance: bytes) -> bytes:
    """A C-STORE-RQ."""
    return command(x00000002=sop_class, x00000100=1, x00000110=7, x00000700=0, x00000800=1, x00001000=sop_instance)


RELEASE: Final = pdu(RELEASE_RQ, bytes(4))
ABORTED: Final = pdu(ABORT, bytes(4))


def pdus(data: bytes) -> Iterator[bytes]:
    """The PDUs of a conversation by their stated lengths; the last one as long as there are bytes."""
    while data:
        length = int.from_bytes(data[2:6], "big") if len(data) >= 6 else 0
        yield data[: 6 + length]
        data = data[6 + length :]


def bent(data: bytes, bend: Bend, random: Random) -> bytes:
    """The conversation with one part bent and the lengths around it right again, or with a whole PDU moved about."""
    parts = list(pdus(data))
    if not parts or random.random() < 0.15:
        return bend(data)
    at = random.randrange(len(parts))
    chance = random.random()
    if chance < 0.05:
        parts.insert(at, random.choice(parts))
    elif chance < 0.1:
        del parts[at]
    else:
        parts[at] = _bent_pdu(parts[at], bend, random)
    return b"".join(parts)


def _bent_pdu(one: bytes, bend: Bend, random: Random) -> bytes:
    if len(one) < 6 or random.random() < 0.1:
        return bend(one)
    kind, body = one[0], one[6:]
    if kind == ASSOCIATE_RQ and len(body) > FIXED and random.random() < 0.85:
        return pdu(kind, body[:FIXED] + _bent_items(body[FIXED:], bend, random))
    if kind == P_DATA and len(body) > 6 and random.random() < 0.8:
        value = body[4:6] + bend(body[6:])
        return pdu(kind, struct.pack(">L", len(value)) + value)
    return pdu(kind, bend(body))


def _bent_items(data: bytes, bend: Bend, random: Random) -> bytes:
    items: list[bytes] = []
    while data:
        length = 4 + int.from_bytes(data[2:4], "big")
        items.append(data[:length])
        data = data[length:]
    at = random.randrange(len(items))
    kind, body = items[at][:1], items[at][4:]
    # Items of items: a context's syntaxes stand behind four bytes, the user information's at once.
    start = {b"\x20": 4, b"\x50": 0}.get(kind)
    if start is not None and len(body) > start + 4 and random.random() < 0.7:
        body = body[:start] + _bent_items(body[start:], bend, random)
    else:
        body = bend(body)
    items[at] = item(kind[0] if kind else 0, body[:0xFFFF])
    return b"".join(items)


def conversations() -> Iterator[tuple[str, bytes]]:
    """What peers say, sound and otherwise."""
    implicit = ImplicitVRLittleEndian.encode()
    verify = (1, VERIFICATION, implicit)
    yield "echo", associate([verify]) + message(1, echo()) + RELEASE
    yield "echo-twice", associate([verify]) + message(1, echo(1)) + message(1, echo(2)) + RELEASE
    yield "other-called", associate([verify], called=b"OTHER")
    yield "abort", associate([verify]) + ABORTED
    yield "release-first", RELEASE
    negotiated = (
        item(0x53, struct.pack(">HH", 4, 4)),
        item(0x54, struct.pack(">H", len(VERIFICATION)) + VERIFICATION + b"\1\1"),
        item(0x55, b"FUZZ_1"),
        item(0x56, struct.pack(">H", len(VERIFICATION)) + VERIFICATION + b"\1\2\3"),
        item(0x57, struct.pack(">H", len(VERIFICATION)) + VERIFICATION + struct.pack(">H", 3) + b"1.2\0\0"),
        item(0x58, b"\2\1" + struct.pack(">H", 4) + b"user" + struct.pack(">H", 4) + b"word"),
    )
    yield "negotiation", associate([verify], *negotiated) + message(1, echo()) + RELEASE
    get = command(x00000002=b"1.2.840.10008.1.20.1", x00000100=0x0130, x00000110=1, x00000800=0x0101)
    yield "no-such-service", associate([verify]) + message(1, get) + RELEASE
    cancel = command(x00000100=0x0FFF, x00000120=1, x00000800=0x0101)
    yield "cancel", associate([verify]) + message(1, cancel) + RELEASE
    answer = command(x00000002=VERIFICATION, x00000100=0x8030, x00000120=1, x00000800=0x0101, x00000900=0)
    yield "answer-unasked", associate([verify]) + message(1, answer) + RELEASE
