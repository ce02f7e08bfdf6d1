"""Bytes of a connection -> the real receiver, listening on loopback: it answers or ends, and always serves the next.

An input is what a peer says: its PDUs one after the other. The rest is sent when the first was answered, as a peer
would. No thread of ours may end by an exception, none may stay, no handler of ours may meet what it does not expect,
and after every few inputs a sound peer's C-ECHO must pass.
"""

import logging
import socket
import struct
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from random import Random
from typing import Any, Final

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from ichnode.receive.allow import AllowedPeer
from ichnode.receive.scp import Receiver
from ichnode.receive.settings import ScpSettings
from tests.fuzz.images import UID_PLACE, encoded, slice_of
from tests.fuzz.limits import Find
from tests.fuzz.node import Node
from tests.fuzz.wire import P_DATA, RELEASE, associate, bent, conversations, echo, message, pdus, store

ECHO_EVERY: Final = 25
ECHO_TRIES: Final = 5  # on a busy machine a sound peer may be later than ACSE_S; a server that is lost fails all
FIRST_ANSWER_S: Final = 0.3
LAST_ANSWER_S: Final = 0.05  # of silence: then the peer has gone
ACSE_S: Final = 0.1  # pynetdicom waits so long for a peer that has gone, and so would each input
END_S: Final = 120.0  # for threads to end, which takes milliseconds; much, for the machine may be busy
RECEIVER_LOG: Final = "ichnode.receive.scp"


class _Watch(logging.Handler):
    """Notes what no thread should meet: exceptions that end it, and what a handler of ours did not expect."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        said = record.getMessage()
        # pynetdicom's own handlers describe a message for its log, which the services keep silent
        if "not understood" in said or ("event handler" in said and "'standard_" not in said):
            self.seen.append(said)

    def ended(self, args: Any) -> None:
        """A thread ended by an exception. pynetdicom's own reactor does so over a message that it cannot decode: that
        ends this peer's connection alone, as ``_until_idle`` sees."""
        frames = traceback.extract_tb(args.exc_traceback)
        files = [frame.filename for frame in frames]
        if any(file.endswith("pynetdicom/dul.py") for file in files) and not any("/ichnode/" in file for file in files):
            return
        where = f"{frames[-1].filename}:{frames[-1].lineno}"
        self.seen.append(f"a thread ended by {args.exc_type.__name__} at {where}: {args.exc_value}")


class _Listening:
    """The receiver, and how many threads there are when nobody is connected."""

    def __init__(self) -> None:
        node = Node()
        self.watch = _Watch()
        threading.excepthook = self.watch.ended
        for name in (RECEIVER_LOG, "pynetdicom"):
            logging.getLogger(name).addHandler(self.watch)
            logging.getLogger(name).propagate = False
        anyone = AllowedPeer(ae_title="*", network="*")
        settings = ScpSettings(
            ae_title="ICHNODE", host="127.0.0.1", port=0, allow=(anyone,), floor_bytes=0, acse_timeout_s=ACSE_S
        )
        self.receiver = Receiver(settings, db=node.db, store=node.store)
        self.inputs = 0
        self.idle = threading.active_count()


def one(data: bytes) -> None:
    """Says one conversation to the receiver."""
    listening = _listening()
    listening.watch.seen.clear()
    _say(listening.receiver.port, data)
    _until_idle(listening)
    listening.inputs += 1
    if listening.inputs % ECHO_EVERY == 0:
        _echo(listening.receiver.port)
        _until_idle(listening)
    if listening.watch.seen:
        raise Find(listening.watch.seen[0])


def _say(port: int, data: bytes) -> bytes:
    """Sends what ``data`` holds; what came back."""
    parts = list(pdus(data))
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=END_S) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if len(parts) > 1:
                peer.sendall(parts[0])
                peer.settimeout(FIRST_ANSWER_S)
                said += peer.recv(65536)
            peer.sendall(b"".join(parts[1:] or parts))
            peer.settimeout(LAST_ANSWER_S)
            while more := peer.recv(65536):
                said += more
        except (TimeoutError, ConnectionError):
            pass
    return said


def _echo(port: int) -> None:
    """A sound peer comes by, again if it must. Raises Find when its C-ECHO does not pass."""
    for _ in range(ECHO_TRIES - 1):
        with suppress(Find):
            _echo_once(port)
            return
    _echo_once(port)


def _echo_once(port: int) -> None:
    parts = list(pdus(dict(conversations())["echo"]))
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=END_S) as peer:
        try:
            for part in parts:
                peer.sendall(part)
                said += peer.recv(65536)
        except OSError as error:
            raise Find(f"the server is lost: {error}") from error
    kinds = [part[0] for part in pdus(said)]
    status = struct.pack("<HHLH", 0, 0x0900, 2, 0)
    if kinds != [2, P_DATA, 6] or status not in said:
        raise Find(f"a sound C-ECHO was answered with PDUs {kinds}")


def _until_idle(listening: _Listening) -> None:
    deadline = time.monotonic() + END_S
    while threading.active_count() > listening.idle:
        if time.monotonic() > deadline:
            names = sorted(thread.name for thread in threading.enumerate())
            raise Find(f"threads stay: {names}")
        time.sleep(0.001)


@cache
def _listening() -> _Listening:
    return _Listening()


def mutate(data: bytes, bend: Any, random: Random) -> bytes:
    """Bends within the structure of PDUs, most of the time."""
    return bent(data, bend, random)


def seeds() -> Iterator[tuple[str, bytes]]:
    """What peers say; and a slice that is stored."""
    yield from conversations()
    context = (1, CTImageStorage.encode(), ExplicitVRLittleEndian.encode())
    ds = slice_of(1)
    sent = message(1, store(CTImageStorage.encode(), UID_PLACE.encode()), encoded(ds))
    yield "store", associate([context]) + sent + RELEASE
    yield (
        "store-and-echo",
        associate([context, (3, b"1.2.840.10008.1.1", b"1.2.840.10008.1.2")]) + sent + message(3, echo()) + RELEASE,
    )
