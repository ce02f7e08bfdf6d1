"""The same bytes as ``pdu``, decoded in this thread: thousands a second, so that the corpus finds the rare items.

What pynetdicom's decoding raises, its reactor turns into an A-ABORT; here only time counts. What follows on a decoded
PDU (its primitive, the DIMSE message of a P-DATA) is done in threads in ``pdu``, whose corpus this target shares.
"""

from collections.abc import Iterator
from contextlib import suppress
from random import Random
from typing import Any

from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dul import _PDU_TYPES
from pynetdicom.pdu_primitives import P_DATA

from tests.fuzz.limits import bounded, mute
from tests.fuzz.targets import pdu
from tests.fuzz.wire import pdus


class _Association:
    """As much of an association as decoding a message asks for."""

    _accepted_cx: dict[int, Any] = {}  # noqa: RUF012 - it stays empty


def one(data: bytes) -> None:
    """Decodes each PDU of a conversation."""
    message = DIMSEMessage()
    with bounded(), mute():
        for part in pdus(data):
            with suppress(Exception):
                message = _decoded(part, message)


def _decoded(part: bytes, message: DIMSEMessage) -> DIMSEMessage:
    decoded = _PDU_TYPES[part[:1]][0]()
    decoded.decode(part)
    primitive = decoded.to_primitive()
    if isinstance(primitive, P_DATA) and message.decode_msg(primitive, _Association()):
        message.message_to_primitive()
        return DIMSEMessage()
    return message


def mutate(data: bytes, bend: Any, random: Random) -> bytes:
    """As for ``pdu``."""
    return pdu.mutate(data, bend, random)


def seeds() -> Iterator[tuple[str, bytes]]:
    """None of its own: those of ``pdu``."""
    yield from ()
