"""Connections that have not asked for an association yet: each costs a thread and what it has sent, and no more."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from socket import SHUT_RDWR, socket
from typing import Final

MOST: Final = 256  # at once
MOST_OF_ONE: Final = 32  # of them from one address
SLOWEST_BYTES_PER_S: Final = 1000  # a PDU that comes slower is not waited for

HEADER_BYTES: Final = 6  # PS3.8 9.3.1: type, reserved, length
PDU_TYPES: Final = range(0x01, 0x08)
ASSOCIATE_REQUEST: Final = 0x01
TOO_LONG: Final = "a PDU claims to be longer than any may be"


class Waiting:
    """The connections that wait. ``MOST_OF_ONE`` silent ones of an address, or ``MOST`` of all, do not keep the next
    one out: of the address that has most, the one that has waited longest gives way. Who means it asks at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._connections: dict[socket, str] = {}  # connection -> address, in the order of their coming

    def first_pdu(self, connection: socket, address: str, *, limit_s: float, most_bytes: int) -> bytes:
        """The whole first PDU of a connection, or the header of what is none; empty when the peer went without a word.

        Raises OSError that says why none came: not within ``limit_s`` however it trickles, too long, or its place was
        given to another.
        """
        self._enters(connection, address)
        pdu = bytearray()
        try:
            deadline = self._clock() + limit_s
            pdu += receive(connection, HEADER_BYTES, deadline, self._clock)
            if len(pdu) == HEADER_BYTES and pdu[0] in PDU_TYPES:
                length = int.from_bytes(pdu[2:], "big")
                if length > most_bytes:
                    raise OSError(TOO_LONG)
                pdu += receive(connection, length, deadline, self._clock)
        except TimeoutError as error:
            raise OSError(f"no association request within {limit_s:g} s") from error
        finally:
            stayed = self._leaves(connection)
        if not stayed:
            raise OSError("too many connections that ask for nothing")
        return bytes(pdu)

    def cut_all(self) -> None:
        """Ends the wait of all."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            cut(connection)

    def _enters(self, connection: socket, address: str) -> None:
        with self._lock:
            counts = Counter(self._connections.values())
            crowd = address if counts[address] >= MOST_OF_ONE else None
            if crowd is None and counts.total() >= MOST:
                crowd = max(counts, key=lambda each: counts[each])
            gives_way = next((c for c, a in self._connections.items() if a == crowd), None)
            if gives_way is not None:
                del self._connections[gives_way]
                cut(gives_way)  # under the lock: its thread closes it only after
            self._connections[connection] = address

    def _leaves(self, connection: socket) -> bool:
        with self._lock:
            return self._connections.pop(connection, None) is not None


def receive(
    connection: socket,
    count: int,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
    *,
    silent_s: float = math.inf,
) -> bytearray:
    """``count`` bytes, fewer when the peer closes before. Raises TimeoutError at ``deadline``, however they trickle,
    and when none comes for ``silent_s``."""
    data = bytearray()
    while len(data) < count:
        left_s = deadline - clock()
        if left_s <= 0:
            raise TimeoutError("the bytes come too slowly")
        connection.settimeout(min(left_s, silent_s))
        part = connection.recv(min(65536, count - len(data)))
        if not part:
            break
        data += part
    return data


def cut(connection: socket) -> None:
    """Ends a connection under the hands of the thread that reads it."""
    with suppress(OSError):
        connection.shutdown(SHUT_RDWR)
