"""Where the chain lies: the file that grows, the closed ones before it, the head, and the lock of all writers."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ichnode.owned import give_to_owner, open_owned
from ichnode.store.files import sync_folder
from ichnode.trail.records import Head

FOLDER_MODE: Final = 0o700
LOCK_LIMIT_S: Final = 5.0  # a stopped process that holds the lock must not hold up the node
LOCK_POLL_S: Final = 0.005
CLOSED: Final = re.compile(r"trail-(\d{12})\.log")  # the number of its first record
HEAD: Final = re.compile(rb"(\d{19}) ([0-9a-f]{64})\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFolder:
    """One chain's folder: nothing else may lie in it."""

    root: Path

    @property
    def current(self) -> Path:
        """The file that grows."""
        return self.root / "trail.log"

    def segments(self) -> list[Path]:
        """All files of the chain, oldest first."""
        closed = sorted(path for path in self.root.glob("trail-*.log") if CLOSED.fullmatch(path.name))
        return [*closed, *([self.current] if self.current.exists() else [])]

    def close_current(self, first_number: int) -> None:
        """The file that grows is closed: the next record begins a new one. Raises OSError."""
        self.current.replace(self.root / f"trail-{first_number:012d}.log")
        sync_folder(self.root)

    def append(self, data: bytes) -> None:
        """Adds bytes to the file that grows; when this returns they are on the disk itself.

        Raises OSError; then nothing of them is left, unless that failed too: the next writer sees to it.
        """
        is_new = not self.current.exists()
        handle = open_owned(self.current, os.O_WRONLY | os.O_APPEND)
        try:
            size = os.fstat(handle).st_size
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(handle, left) :]
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, size)
                raise
        finally:
            os.close(handle)
        if is_new:
            sync_folder(self.root)

    def head(self) -> Head | None:
        """What was noted as the newest record; None where nothing, or nothing legible, is noted."""
        try:
            found = HEAD.fullmatch((self.root / "trail.head").read_bytes())
        except FileNotFoundError:
            return None
        return None if found is None else Head(number=int(found[1]), sha256=found[2].decode())

    def note_head(self, head: Head) -> None:
        """Notes the newest record, after it is on the disk: the head may lag behind the file, never run ahead of it."""
        handle = open_owned(self.root / "trail.head", os.O_WRONLY)
        try:
            os.pwrite(handle, b"%019d %s\n" % (head.number, head.sha256.encode()), 0)
        finally:
            os.close(handle)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The writers' lock, between processes and threads. Raises TimeoutError, OSError."""
        if not self.root.is_dir():
            self.root.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            give_to_owner(self.root, self.root.parent)
        handle = open_owned(self.root / "trail.lock", os.O_RDWR)
        try:
            _lock(handle)
            yield
        finally:
            os.close(handle)


def _lock(handle: int) -> None:
    deadline = time.monotonic() + LOCK_LIMIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise TimeoutError("another process holds the audit trail's lock") from error
            time.sleep(LOCK_POLL_S)
        else:
            return
