"""Bytes of a C-STORE's data set -> the node's own intake, store, queue and sweep, and the worker's reading of the file.

An input is one byte that chooses the transfer syntax, and the data set. Every answer must be a status that the node
declares, what was accepted must be readable again when the node restarts, and nothing but an error of ours may come
out of the worker's reading.
"""

import hashlib
import time
import zlib
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from typing import Final

from pydicom.sequence import Sequence
from pydicom.uid import CTImageStorage

from ichnode.domain.errors import IchnodeError, Rejected
from ichnode.image.load import load_series, read_datasets
from ichnode.queue.intake import kept
from ichnode.receive.contexts import TRANSFER_SYNTAXES
from ichnode.receive.header import text
from ichnode.receive.intake import CANNOT_UNDERSTAND, DATA_SET_MISMATCH, SUCCESS, Arrival, Outcome, take
from ichnode.receive.part10 import open_stored, read_header
from tests.fuzz.images import UID_PLACE, encoded, enhanced, slice_of
from tests.fuzz.limits import CPU_S, Find, bounded, mute
from tests.fuzz.node import Node

DECLARED: Final = (SUCCESS, DATA_SET_MISMATCH, CANNOT_UNDERSTAND)
IMPLICIT: Final = TRANSFER_SYNTAXES.index("1.2.840.10008.1.2")
DEFLATED: Final = TRANSFER_SYNTAXES.index("1.2.840.10008.1.2.1.99")
READINGS: Final = 3  # of a data set here, a deflated one a thousand times as large: announced, taken in, read back
DEFLATE: Final = 0x80  # bit of the first byte: the data set is deflated here, so that edits reach through


def one(data: bytes) -> None:
    """Sends one data set."""
    choice, body = data[:1], data[1:]
    index = (choice[0] & 0x7F) % len(TRANSFER_SYNTAXES) if choice else 0
    body = body.replace(UID_PLACE.encode(), _own_uid(data))
    if index == DEFLATED and choice[0] & DEFLATE:
        body = _deflated(body)
    with bounded(READINGS * CPU_S):
        _receive(body, TRANSFER_SYNTAXES[index])


def _receive(body: bytes, syntax: str) -> None:
    node = _node()
    sop_class, sop_instance = _announced(body, syntax)
    arrival = Arrival(
        sop_class_uid=sop_class,
        sop_instance_uid=sop_instance,
        transfer_syntax_uid=syntax,
        data_set=BytesIO(body),
        calling_ae="MODALITY",
        address="127.0.0.1",
    )
    with mute():
        taken = take(arrival, db=node.db, store=node.store, floor_bytes=0, now=time.time())
    if taken.status not in DECLARED:
        raise Find(f"status 0x{taken.status:04X}")
    if taken.outcome is Outcome.KEPT:
        _read_back(node, sop_instance)
        node.count()


def _announced(body: bytes, syntax: str) -> tuple[str, str]:
    """What the command would say of this data set; of a damaged one, anything."""
    with mute():
        try:
            header = read_header(BytesIO(body), syntax)
        except Rejected:
            return str(CTImageStorage), "1.2.3"
    return text(header, "SOPClassUID"), text(header, "SOPInstanceUID")


def _read_back(node: Node, sop_instance_uid: str) -> None:
    """The file of what was accepted: as it is reconciled after a crash, and as the worker reads it."""
    known = kept(node.db, sop_instance_uid)
    if known is None:
        raise Find("what was accepted is not in the books")
    path = node.store.resolve(known.path)
    with mute():
        open_stored(path)
        try:
            load_series(read_datasets([path]))
        except IchnodeError:
            return
    raise Find("one image became a volume")


def _own_uid(data: bytes) -> bytes:
    """A UID of this input alone, as long as the one that stands in its place: other inputs are other instances."""
    digits = len(UID_PLACE) - len("1.2.3.")
    number = int.from_bytes(hashlib.sha256(data).digest()[:8], "big") % 10 ** (digits - 1)
    return f"1.2.3.9{number:0{digits - 1}}".encode()


def _deflated(plain: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return deflate.compress(plain) + deflate.flush()


@cache
def _node() -> Node:
    return Node()


def seeds() -> Iterator[tuple[str, bytes]]:
    """One data set a kind of encoding, and three that are meant to hurt."""
    plain = slice_of(1)
    yield "explicit", bytes([0]) + encoded(plain)
    yield "implicit", bytes([IMPLICIT]) + encoded(plain, implicit=True)
    yield "deflated", bytes([DEFLATED]) + _deflated(encoded(plain))
    yield "deflated-here", bytes([DEFLATED | DEFLATE]) + encoded(plain)
    yield "enhanced", bytes([0]) + encoded(enhanced([slice_of(k) for k in (1, 2, 3)]))
    yield "enhanced-implicit", bytes([IMPLICIT]) + encoded(enhanced([slice_of(k) for k in (1, 2)]), implicit=True)
    private = slice_of(1)
    block = private.private_block(0x0033, "Site", create=True)
    block.add_new(1, "LO", "onset 2:30")
    private.SpecificCharacterSet, private.PatientID = ["", "ISO 2022 IR 58"], "\u738b"
    private.StudyDescription = "\u5934"
    yield "private", bytes([0]) + encoded(private)
    yield "deflate-bomb", bytes([DEFLATED]) + _bomb()
    yield "deep", bytes([0]) + _deep(120)


def _bomb() -> bytes:
    """3 kB that would inflate to 3 MB of one private element. (A larger one is in the tests of the intake.)"""
    element = b"\x35\x00\x01\x10OB\0\0" + (3 << 20).to_bytes(4, "little") + bytes(3 << 20)
    return _deflated(encoded(slice_of(1))[:-140] + element)


def _deep(levels: int) -> bytes:
    item = slice_of(1)
    del item.PixelData
    inner = type(item)()
    for _ in range(levels):
        outer = type(item)()
        outer.ContrastBolusAgentSequence = Sequence([inner])
        inner = outer
    item.ContrastBolusAgentSequence = Sequence([inner])
    return encoded(item)
