"""What the syslog server has not got yet is sent, from the file: a server that is down delays nothing but itself."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Final

from ichnode.domain.errors import IchnodeError
from ichnode.owned import open_owned
from ichnode.service import trace
from ichnode.store.files import sync_folder
from ichnode.trail.files import CLOSED, TrailFolder
from ichnode.trail.records import Record, parse
from ichnode.trail.syslog import framed

log = logging.getLogger(__name__)

BATCH: Final = 200
POLL_S: Final = 2.0
FIRST_PAUSE_S: Final = 5.0
LONGEST_PAUSE_S: Final = 300.0
ALARM_AFTER_S: Final = 3600.0


@dataclass(slots=True)
class Forwarder:
    """Sends records in their order, each at least once. ``send`` raises OSError, or ConfigError for certificates.

    The cursor is kept on disk: after a restart it goes on where it was.
    """

    folder: TrailFolder
    send: Callable[[Sequence[bytes]], None]
    alarm: Callable[[str], None]
    _place: tuple[int, int] = field(default=(0, 0))  # inode and offset behind the last record sent

    def once(self) -> int:
        """Sends the next batch. Returns how many records it had. Raises what ``send`` raises, OSError."""
        head, cursor = self.folder.head(), read_cursor(self.folder)
        if head is None or head.number <= cursor:
            return 0
        batch = list(islice(self._after(cursor), BATCH))
        if not batch:
            return 0
        if batch[0][0].number > cursor + 1:
            log.warning("records %d to %d are not here to be sent", cursor + 1, batch[0][0].number - 1)
        self.send([framed(record) for record, _ in batch])
        last, self._place = batch[-1]
        _write_cursor(self.folder, last.number)
        return len(batch)

    def run(self, stop: Event) -> None:
        """Sends until ``stop``; after a failure ever less often. One alarm when it has failed for an hour."""
        failing_s = pause_s = 0.0
        while not stop.wait(pause_s):
            try:
                sent = self.once()
            except (OSError, IchnodeError) as error:
                if not failing_s:
                    log.warning("the syslog server has not taken audit messages: %s", trace(error))
                pause_s = min(2 * max(pause_s, FIRST_PAUSE_S / 2), LONGEST_PAUSE_S)
                if failing_s < ALARM_AFTER_S <= failing_s + pause_s:
                    self.alarm("the syslog server of the audit trail has taken nothing for an hour")
                failing_s += pause_s
            else:
                if failing_s and sent:
                    log.info("the syslog server takes audit messages again")
                failing_s, pause_s = 0.0, 0.0 if sent == BATCH else POLL_S

    def _after(self, cursor: int) -> Iterator[tuple[Record, tuple[int, int]]]:
        """The records behind the cursor, each with its place: inode and offset of its end."""
        for path in _from(self.folder, cursor + 1):
            with path.open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                if inode == self._place[0]:
                    file.seek(self._place[1])
                while line := file.readline():
                    record = parse(line.removesuffix(b"\n"))
                    if record is not None and line.endswith(b"\n") and record.number > cursor:
                        yield record, (inode, file.tell())


def _from(folder: TrailFolder, number: int) -> list[Path]:
    """The files that may hold a record or later ones."""
    segments = folder.segments()
    firsts = [int(found[1]) if (found := CLOSED.fullmatch(path.name)) else None for path in segments]
    begin = max((n for n, first in enumerate(firsts) if first is not None and first <= number), default=0)
    return segments[begin:]


def read_cursor(folder: TrailFolder) -> int:
    """The number of the newest record that the server has; 0 where none is noted: everything is sent then."""
    try:
        return int((folder.root / "syslog.cursor").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _write_cursor(folder: TrailFolder, number: int) -> None:
    part = folder.root / "syslog.cursor.part"
    handle = open_owned(part, os.O_WRONLY | os.O_TRUNC)
    with os.fdopen(handle, "wb", buffering=0) as file:
        file.write(b"%d\n" % number)
        os.fsync(file.fileno())
    part.replace(folder.root / "syslog.cursor")
    sync_folder(folder.root)
