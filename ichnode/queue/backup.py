"""A copy of the queue as it stood at one moment, taken while everything runs."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ichnode.domain.errors import Retryable
from ichnode.queue.database import BUSY_TIMEOUT_MS


class Damaged(Retryable):
    """The copy is not sound: neither, most likely, is the queue."""


def copy(source: Path, target: Path) -> None:
    """Copies the database at ``source`` into the empty file ``target``, in one step: nobody waits for it, and what
    is committed meanwhile is not in it. The copy is one file, checked, not yet synced; nothing is migrated.

    Raises Retryable when it cannot be made, Damaged when SQLite finds fault with it.
    """
    try:
        with closing(_open(source, "ro")) as queue, closing(_open(target, "rw")) as backup:
            queue.backup(backup)
            # The copy is in WAL mode as the queue is; in this mode it needs no other file beside it.
            backup.execute("PRAGMA journal_mode=DELETE")
            faults = [row[0] for row in backup.execute("PRAGMA integrity_check") if row[0] != "ok"]
            faults += [f"a row of {row[0]} points nowhere" for row in backup.execute("PRAGMA foreign_key_check")]
    except sqlite3.Error as error:
        raise Retryable(f"The queue cannot be backed up: {type(error).__name__}.", hint="Is the disk full?") from error
    if faults:
        hint = "Restore the last sound back-up: docs/how-to/backup.md."
        raise Damaged(f"The queue is damaged: {len(faults)} faults, the first: {faults[0]}", hint=hint)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
