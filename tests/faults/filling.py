"""A disk that is full, or read-only, when it is told to: ``python -m tests.faults.filling MOUNTPOINT``.

A file system in memory (FUSE) that counts what would need room: write, fsync, create, mkdir, symlink, rename, and
truncate to more. Lines on standard input tell it what to do; it answers each with the count since the last:

    fail ERRNO N    the Nth of them and all that come after fail; if it makes a file longer, it is cut short
    deny ERRNO TEXT all that would change a file whose name begins with TEXT fails
    count           nothing new
    free            all goes well again
"""

# ruff: noqa: ARG002 - the signatures are those that FUSE calls

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mfusepy

from tests.faults.volatile import Volatile
from tests.peers.tools import CHECKOUT, wait_until

NEVER = 10**9
OPTIONS = {"big_writes": True, "max_write": 131072, "attr_timeout": 0, "entry_timeout": 0}


class Filling(Volatile):
    """The file system. ``fails_from`` counts from 1; ``denied`` is how the names of files begin that are read-only."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.count, self.fails_from, self.error = 0, NEVER, errno.ENOSPC
        self.denied: str | None = None

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._needs_room(path)
        return super().create(path, mode, fi)

    def open(self, path: str, flags: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            self._changes(path)
        return super().open(path, flags)

    def mkdir(self, path: str, mode: int) -> None:
        self._needs_room(path)
        super().mkdir(path, mode)

    def symlink(self, target: str, source: str) -> None:
        self._needs_room(target)
        super().symlink(target, source)

    def rename(self, old: str, new: str) -> None:
        self._changes(old)
        if "/.fuse_hidden" not in new:  # how libfuse deletes a file that is open
            self._needs_room(new)
        super().rename(old, new)

    def unlink(self, path: str) -> None:
        self._changes(path)
        super().unlink(path)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        if mfusepy.fuse_get_context()[2] == 0:  # the kernel writes back memory that is mapped: it has its room
            return super().write(path, data, offset, fh)
        self._changes(path)
        grows = offset + len(data) > self.getattr(path, fh)["st_size"]
        if self.count + 1 == self.fails_from and len(data) > 1 and grows:
            self.count += 1
            return super().write(path, data[: len(data) // 2], offset, fh)
        self._needs_room(path)
        return super().write(path, data, offset, fh)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        self._changes(path)
        if length > self.getattr(path, fh)["st_size"]:
            self._needs_room(path)
        super().truncate(path, length, fh)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        self._needs_room(path)

    def fsyncdir(self, path: str, datasync: int, fh: int) -> None:
        self._needs_room(path)

    def _needs_room(self, path: str) -> None:
        self._changes(path)
        self.count += 1
        if self.count >= self.fails_from:
            raise mfusepy.FuseOSError(self.error)

    def _changes(self, path: str) -> None:
        if self.denied is not None and path.lstrip("/").startswith(self.denied):
            raise mfusepy.FuseOSError(self.error)

    def obey(self, order: str) -> int:
        """One line of standard input. Returns the count."""
        done = self.count
        match order.split():
            case ["fail", number, nth]:
                self.error, self.fails_from, self.count = int(number), int(nth), 0
            case ["deny", number, name]:
                self.error, self.denied = int(number), name
            case ["free"]:
                self.fails_from, self.denied = NEVER, None
        return done


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system, seen from the test."""

    process: subprocess.Popen[str]

    def tell(self, order: str) -> int:
        """Gives it an order. Returns its count before that."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{order}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def mounted(folder: Path) -> Iterator[Disk | None]:
    """The file system at ``folder``, which is made; None where FUSE may not be used."""
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.faults.filling", str(folder)]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            wait_until(lambda: folder.is_mount() or process.poll() is not None, "the disk is there")
            yield Disk(process) if process.poll() is None else None
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True)
            process.kill()  # it would live for as long as anybody has a file of it open


def main() -> None:
    """The command line: ends when it is unmounted."""
    disk = Filling()

    def obey() -> None:
        for order in sys.stdin:
            print(disk.obey(order), flush=True)

    threading.Thread(target=obey, daemon=True).start()
    mfusepy.FUSE(disk, sys.argv[1], foreground=True, nothreads=True, **OPTIONS)
    os._exit(0)


if __name__ == "__main__":
    main()
