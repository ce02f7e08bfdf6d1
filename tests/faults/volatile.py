"""A disk that forgets at a power cut what was not synced: ``python -m tests.faults.volatile MOUNTPOINT KEPT``.

A file system in memory (FUSE), stricter than any on a disk: of a file it keeps the content at its last fsync, of a
folder the names at the folder's last fsync. A file whose folder was not synced is gone though it was itself; a rename
is kept only once the folder is synced. Reading the name ``.cut`` in the mount point writes what is kept to KEPT.
"""

# ruff: noqa: ARG002 - the signatures are those that FUSE calls

import errno
import os
import stat
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mfusepy

CUT = "/.cut"
BLOCK = 4096


@dataclass(eq=False)
class Entry:
    """A file, a link (``data`` its target) or a folder, as it is and as it would be after a cut."""

    mode: int
    data: bytearray = field(default_factory=bytearray)
    names: dict[str, "Entry"] = field(default_factory=dict)
    kept_data: bytes = b""
    kept_names: dict[str, "Entry"] = field(default_factory=dict)
    changed: float = field(default_factory=time.time)


class Volatile(mfusepy.Operations):
    """The file system. One thread: no locks."""

    def __init__(self, kept: Path) -> None:
        self._root, self._kept = Entry(stat.S_IFDIR | 0o700), kept
        self._open: dict[int, Entry] = {}

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == CUT:
            write_kept(self._root, self._kept)
            return {"st_mode": stat.S_IFREG | 0o400, "st_nlink": 1, "st_size": 0}
        entry = self._open[fh] if fh in self._open else self._find(path)
        times = dict.fromkeys(("st_mtime", "st_ctime", "st_atime"), entry.changed)
        return {"st_mode": entry.mode, "st_nlink": 1, "st_size": len(entry.data), **times}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *self._find(path).names]

    def mkdir(self, path: str, mode: int) -> None:
        self._put(path, Entry(stat.S_IFDIR | mode))

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        return self._opened(self._put(path, Entry(stat.S_IFREG | mode)))

    def open(self, path: str, flags: int) -> int:
        return self._opened(self._find(path))

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._open[fh].data[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        entry = self._open[fh]
        if len(entry.data) < offset:
            entry.data.extend(bytes(offset - len(entry.data)))
        entry.data[offset : offset + len(data)] = data
        entry.changed = time.time()
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        entry = self._open[fh] if fh in self._open else self._find(path)
        del entry.data[length:]
        entry.data.extend(bytes(length - len(entry.data)))

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        self._open[fh].kept_data = bytes(self._open[fh].data)

    def fsyncdir(self, path: str, datasync: int, fh: int) -> None:
        folder = self._find(path)
        folder.kept_names = dict(folder.names)

    def release(self, path: str, fh: int) -> None:
        del self._open[fh]

    def unlink(self, path: str) -> None:
        folder, name = self._parent(path)
        del folder.names[name]

    def rmdir(self, path: str) -> None:
        if self._find(path).names:
            raise mfusepy.FuseOSError(errno.ENOTEMPTY)
        self.unlink(path)

    def rename(self, old: str, new: str) -> None:
        entry = self._find(old)
        self.unlink(old)
        self._put(new, entry)

    def symlink(self, target: str, source: str) -> None:
        self._put(target, Entry(stat.S_IFLNK | 0o777, bytearray(source.encode())))

    def readlink(self, path: str) -> str:
        return self._find(path).data.decode()

    def chmod(self, path: str, mode: int) -> None:
        entry = self._find(path)
        entry.mode = stat.S_IFMT(entry.mode) | mode

    def chown(self, path: str, uid: int, gid: int) -> None:
        """One owner."""

    def utimens(self, path: str, times: Any = None) -> None:
        self._find(path).changed = time.time()

    def statfs(self, path: str) -> dict[str, int]:
        return {"f_bsize": BLOCK, "f_frsize": BLOCK, "f_blocks": 2**20, "f_bfree": 2**20, "f_bavail": 2**20}

    def _find(self, path: str) -> Entry:
        entry = self._root
        for name in filter(None, path.split("/")):
            if name not in entry.names:
                raise mfusepy.FuseOSError(errno.ENOENT)
            entry = entry.names[name]
        return entry

    def _parent(self, path: str) -> tuple[Entry, str]:
        folder, _, name = path.rpartition("/")
        return self._find(folder), name

    def _put(self, path: str, entry: Entry) -> Entry:
        folder, name = self._parent(path)
        folder.names[name] = entry
        return entry

    def _opened(self, entry: Entry) -> int:
        handle = max(self._open, default=0) + 1
        self._open[handle] = entry
        return handle


def write_kept(folder: Entry, to: Path) -> None:
    """What a cut leaves, as plain files."""
    to.mkdir(exist_ok=True)
    for name, entry in folder.kept_names.items():
        if stat.S_ISDIR(entry.mode):
            write_kept(entry, to / name)
        elif stat.S_ISLNK(entry.mode):
            (to / name).symlink_to(entry.data.decode())
        else:
            (to / name).write_bytes(entry.kept_data)


if __name__ == "__main__":
    mfusepy.FUSE(Volatile(Path(sys.argv[2])), sys.argv[1], foreground=True, nothreads=True)
    os._exit(0)
