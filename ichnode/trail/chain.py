"""Writing the chain: each record holds the hash of the one before it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ichnode.trail.files import TrailFolder
from ichnode.trail.records import Head, following, parse

TAIL_BYTES: Final = 1 << 18  # more than the longest message by far


@dataclass(frozen=True, slots=True)
class _End:
    """How the file ends: the record to go on from, what is wrong with it in words, and what to put before the next."""

    head: Head
    damage: str = ""
    before: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One chain of records in one folder, written by any number of processes.

    ``explain`` makes the message that tells a damage in words. A file that would grow beyond ``max_bytes`` is closed,
    and the chain goes on in a new one.
    """

    folder: TrailFolder
    max_bytes: int
    explain: Callable[[str], str]

    def append(self, message: str) -> Head:
        """Adds a message; when this returns it is on the disk itself. Returns where the chain ends now.

        Damage at the end (a record cut off by a power cut, records that are gone) is told by a record of its own before
        it: nothing is mended in silence. Raises OSError.
        """
        with self.folder.locked():
            end = self._end()
            head, data = end.head, end.before
            for each in filter(None, (self.explain(end.damage) if end.damage else "", message)):
                record = following(head, each)
                head, data = Head(number=record.number, sha256=record.sha256), data + record.line
            self._make_room(len(data), torn=bool(end.before))
            self.folder.append(data)
            self.folder.note_head(head)
            return head

    def _make_room(self, needed: int, *, torn: bool) -> None:
        current = self.folder.current
        if torn or not current.exists() or not 0 < current.stat().st_size > self.max_bytes - needed:
            return
        with current.open("rb") as file:
            first = parse(file.readline().removesuffix(b"\n"))
        if first is not None:  # else it is damaged and stays as it is
            self.folder.close_current(first.number)

    def _end(self) -> _End:
        segments = self.folder.segments()
        lines = _tail(segments[-1]).split(b"\n") if segments else [b""]
        if lines[-1] == b"":
            lines.pop()
            before = b""
        else:
            before = b"\n"  # the last line has no end
        odd: list[bytes] = []
        while lines and (last := parse(lines[-1])) is None:
            odd.append(lines.pop())
        last = parse(lines[-1]) if lines else None
        found = Head() if last is None else Head(number=last.number, sha256=last.sha256)
        damage = [
            f"a record was cut off while it was written: {len(line)} bytes, SHA-256 {hashlib.sha256(line).hexdigest()}"
            for line in reversed(odd)
        ]
        if last is not None and not last.is_whole:
            damage.append(f"record {last.number} does not fit its hash")
        noted = self.folder.head() or Head()
        if noted.number > found.number:
            damage.append(f"records {found.number + 1} to {noted.number} are missing at the end")
            found = noted
        elif noted.number == found.number and noted != found:
            damage.append(f"record {found.number} is not the one that was written")
            found = noted
        return _End(found, "; ".join(damage), before)


def _tail(path: Path) -> bytes:
    """The last bytes of a file, from the beginning of a line."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        data = file.read()
    return data if size <= TAIL_BYTES else data.partition(b"\n")[2]
