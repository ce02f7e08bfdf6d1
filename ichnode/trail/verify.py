"""Reading the chain: is it whole, and if not, where was it tampered with."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ichnode.trail.codes import TRAIL_DAMAGED
from ichnode.trail.files import TrailFolder
from ichnode.trail.records import NO_HASH, Head, Record, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong, and where: ``file`` and ``line`` (from 1; 0: the file as a whole)."""

    file: str
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the chain is like. ``faults``: tampering or loss; ``notes``: what was mended openly."""

    records: int
    head: Head
    faults: tuple[Finding, ...]
    notes: tuple[Finding, ...]

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


@dataclass(slots=True)
class _Reading:
    """The chain as far as it was read."""

    first: int
    known: Mapping[int, str]
    head: Head | None = None
    records: int = 0
    faults: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    gaps: list[range] = field(default_factory=list)
    odd: list[tuple[str, int, bytes]] = field(default_factory=list)  # lines that are no records


def verify(folder: TrailFolder, *, first: int = 1, known: Mapping[int, str] | None = None) -> Verdict:
    """Looks at every record. ``first``: the oldest that shall be here, older files having been archived; ``known``:
    hashes of records that were noted elsewhere.

    Services may write meanwhile: what was there at the beginning is looked at. Raises OSError.
    """
    reading = _Reading(first=first, known=known or {})
    with ExitStack() as stack:
        is_ours = (folder.root / "trail.lock").exists()  # an archive has none, and may be read-only
        with folder.locked() if is_ours else nullcontext():
            noted = folder.head()
            files = [(path, stack.enter_context(path.open("rb")), path.stat().st_size) for path in folder.segments()]
        for path, file, size in files:
            for number, line in enumerate(_lines(file, size), 1):
                _look_at(reading, path.name, number, line)
    _at_the_end(reading, noted, [path for path, _, _ in files])
    head = reading.head or Head()
    return Verdict(records=reading.records, head=head, faults=tuple(reading.faults), notes=tuple(reading.notes))


def _lines(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (line := file.readline(size)):
        size -= len(line)
        yield line


def _look_at(reading: _Reading, name: str, number: int, line: bytes) -> None:
    record = parse(line.removesuffix(b"\n"))
    if record is None or not line.endswith(b"\n"):
        reading.odd.append((name, number, line.removesuffix(b"\n")))
        return
    _explained(reading, record)
    reading.records += 1

    def fault(text: str) -> Finding:
        return Finding(file=name, line=number, text=text)

    if not record.is_whole:
        reading.faults.append(fault(f"record {record.number} was changed: it does not fit its hash"))
    if reading.known.get(record.number, record.sha256) != record.sha256:
        reading.faults.append(fault(f"record {record.number} is not the one whose hash was noted"))
    if reading.head is None and record.number < reading.first:
        text = f"begins with record {record.number}: what should have been archived before {reading.first} is here too"
        reading.notes.append(fault(text))
        reading.first = record.number
    head = reading.head or Head(number=reading.first - 1, sha256=NO_HASH if reading.first == 1 else record.previous)
    if record.number <= head.number:
        how = "moved" if any(record.number in gap for gap in reading.gaps) else "a copy"
        reading.faults.append(fault(f"record {record.number} stands after record {head.number}: {how}"))
        return
    if record.number > head.number + 1:
        gap = range(head.number + 1, record.number)
        reading.gaps.append(gap)
        which = f"record {gap[0]} is" if len(gap) == 1 else f"records {gap[0]} to {gap[-1]} are"
        reading.faults.append(fault(f"{which} missing before record {record.number}"))
    elif record.previous != head.sha256:
        text = f"record {record.number} does not follow record {head.number}: one of them was replaced"
        reading.faults.append(fault(text))
    reading.head = Head(number=record.number, sha256=record.sha256)


def _explained(reading: _Reading, record: Record) -> None:
    """Lines that are no records are mended openly when the next record names them, else they are a fault."""
    for name, number, line in reading.odd:
        is_told = hashlib.sha256(line).hexdigest().encode() in record.message
        if is_told and TRAIL_DAMAGED.value.encode() in record.message:
            text = f"a record cut off while it was written, as record {record.number} tells"
            reading.notes.append(Finding(file=name, line=number, text=text))
        else:
            reading.faults.append(Finding(file=name, line=number, text="no record, and none that explains it"))
    reading.odd.clear()


def _at_the_end(reading: _Reading, noted: Head | None, files: Iterable[Path]) -> None:
    head, last = reading.head or Head(), max((path.name for path in files), default="trail.log")
    for name, number, _ in reading.odd:
        text = "a record cut off while it was written; the next record will tell"
        reading.notes.append(Finding(file=name, line=number, text=text))
    if noted is None and head.number:
        reading.faults.append(Finding(file="trail.head", line=0, text="is missing: a cut-off end could not be seen"))
    elif noted is not None and noted.number > head.number:
        text = f"records {head.number + 1} to {noted.number} are missing at the end"
        reading.faults.append(Finding(file=last, line=0, text=text))
    elif noted is not None and noted.number == head.number and noted != head:
        text = f"record {head.number} is not the one that was written: trail.head has another hash"
        reading.faults.append(Finding(file=last, line=0, text=text))
    for number in sorted(number for number in reading.known if number > head.number):
        reading.faults.append(Finding(file=last, line=0, text=f"record {number}, whose hash was noted, is missing"))


def newest(folder: TrailFolder, count: int, *, about: str | None = None) -> list[Record]:
    """The newest records, oldest first; ``about``: only those that name this identifier. Raises OSError."""
    found: deque[Record] = deque(maxlen=count)
    wanted = f'ParticipantObjectID="{about}"'.encode()
    for path in folder.segments():
        with path.open("rb") as file:
            records = (parse(line.removesuffix(b"\n")) for line in file)
            found.extend(r for r in records if r is not None and (about is None or wanted in r.message))
    return list(found)
