"""Peers that mean harm, over bare sockets; and an honest modality beside them, whose study is timed."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage

HALF_OPEN = 500
FLOOD_THREADS = 4


def request(calling: str = "EVIL", *, called: str = "ICHNODE", user_items: bytes = b"") -> bytes:
    """An association request for Verification. Source: PS3.8 9.3.2."""

    def item(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(content)) + content

    syntaxes = item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    user = item(0x50, item(0x51, struct.pack(">I", 16384)) + user_items)
    body = struct.pack(">HH16s16s32x", 1, 0, called.ljust(16).encode(), calling.ljust(16).encode())
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, b"\x01\0\0\0" + syntaxes) + user
    return struct.pack(">BBL", 1, 0, len(body)) + body


def large_user_items() -> bytes:
    """User information near the 64 KiB that its length can say: 15 items of 4 KiB that nobody knows."""
    return b"".join(struct.pack(">BBH", 0x70 + n, 0, 4096) + bytes(4096) for n in range(15))


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


@contextmanager
def half_open(port: int) -> Iterator[None]:
    """Connections without a byte."""
    with ExitStack() as stack:
        for _ in range(HALF_OPEN):
            stack.enter_context(connect(port))
        yield


@contextmanager
def slow_loris(port: int, count: int = 200) -> Iterator[None]:
    """Association requests of which a byte a second comes."""
    with ExitStack() as stack:
        wires = [stack.enter_context(connect(port)) for _ in range(count)]

        def trickle(number: int) -> None:
            for wire in wires:
                with suppress(OSError):
                    wire.send(request()[number % 200 : number % 200 + 1])
            time.sleep(1)

        with _again_and_again(trickle, threads=1):
            yield


@contextmanager
def oversize(port: int) -> Iterator[None]:
    """PDUs that claim 4 GiB, and requests with user information of 60 KiB, one after the other."""
    huge = struct.pack(">BBL", 4, 0, 0xFFFFFFFE) + bytes(100_000)
    stuffed = request("CT1", user_items=large_user_items())  # of one who is let in: a stranger would not be read

    def attack(number: int) -> None:
        _once(port, huge if number % 2 else stuffed)

    with _again_and_again(attack):
        yield


@contextmanager
def flood(port: int) -> Iterator[None]:
    """Association requests of a stranger, as fast as they are refused."""
    with _again_and_again(lambda _number: _once(port, request())):
        yield


@contextmanager
def nothing(_port: int) -> Iterator[None]:
    """Quiet."""
    yield


ATTACKS: dict[str, Callable] = {
    f"{HALF_OPEN} half-open connections": half_open,
    "slow-loris, 200 connections": slow_loris,
    "oversize PDUs and user information": oversize,
    "association flood of a stranger": flood,
}


def study_s(port: int, slices: int, pixel_bytes: int = 2 * 256 * 256, calling: str = "CT1") -> float:
    """Seconds that an honest modality needs for a study; raises AssertionError when any slice is not taken."""
    begun = time.monotonic()
    entity = AE(ae_title=calling)
    entity.add_requested_context(CTImageStorage, "1.2.840.10008.1.2.1")
    association = entity.associate("127.0.0.1", port, ae_title="ICHNODE")
    assert association.is_established, "the honest modality is not let in"
    study, series = generate_uid(), generate_uid()
    for number in range(slices):
        one = Dataset()
        one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, generate_uid()
        one.StudyInstanceUID, one.SeriesInstanceUID = study, series
        one.PatientID, one.Modality, one.InstanceNumber = "P1", "CT", number + 1
        one.Rows = one.Columns = 256
        one.BitsAllocated, one.PixelRepresentation, one.SamplesPerPixel = 16, 1, 1
        one.PixelData = bytes(pixel_bytes)
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        status = association.send_c_store(one)
        assert status.get("Status") == 0, f"slice {number}: {status}"
    association.release()
    return time.monotonic() - begun


def memory_mb(pid: int) -> float:
    """What a process holds in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def _once(port: int, data: bytes) -> None:
    with suppress(OSError), connect(port) as wire:
        wire.sendall(data)
        wire.recv(64)


@contextmanager
def _again_and_again(attack: Callable[[int], None], threads: int = FLOOD_THREADS) -> Iterator[None]:
    stop = threading.Event()

    def run() -> None:
        number = 0
        while not stop.is_set():
            attack(number)
            number += 1
            # The attacker runs on the same two cores: without a pause it would be measured, not the node.
            stop.wait(0.02)

    running = [threading.Thread(target=run, daemon=True) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join(15)
