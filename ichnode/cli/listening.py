"""Who listens on a TCP port of this machine. Linux is asked, not the port: a receiver would count the caller, and one
that leaves before TLS is an alarm."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

LISTEN: Final = "0A"  # the state TCP_LISTEN in /proc/net/tcp
PROCESSES: Final = Path("/proc")


def sockets(port: int) -> frozenset[str]:
    """What listens on a port, at whatever address, named as among the open files of its process."""
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):  # no IPv6, or no Linux
            for line in (PROCESSES / "net" / table).read_text().splitlines()[1:]:
                _, local, _, state, _, _, _, _, _, inode, *_ = line.split()
                if state == LISTEN and int(local.rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{inode}]")
    return frozenset(found)


def is_held_with(lock: Path, port: int) -> bool | None:
    """Whether a process that has the file ``lock`` open listens on a port. None: this user sees no such process."""
    ends, name = sockets(port), str(lock.resolve())
    holders = [files for process in PROCESSES.glob("[0-9]*") if name in (files := _open_files(process))]
    return any(not ends.isdisjoint(files) for files in holders) if holders else None


def _open_files(process: Path) -> frozenset[str]:
    """Empty where this user may not look."""
    found = set()
    with suppress(OSError):
        for entry in (process / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.add(os.readlink(entry))  # noqa: PTH115 -- a socket is no path
    return frozenset(found)
