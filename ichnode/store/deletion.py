"""Files that are marked as gone, deleted while nobody can bring them back unseen."""

from collections.abc import Sequence
from typing import Final

from ichnode.queue.database import Database
from ichnode.queue.retention import doomed
from ichnode.store.layout import Store

BATCH: Final = 20  # files under one lock: the receiver waits for it


def delete_purged(store: Store, db: Database, paths: Sequence[str]) -> int:
    """Deletes those of these files (relative to the store) whose rows are still marked. Returns how many were.

    Killed in between, the next reconciliation deletes the rest. Raises OSError.
    """
    files = 0
    for first in range(0, len(paths), BATCH):
        with doomed(db, paths[first : first + BATCH]) as batch:
            for path in batch:
                store.resolve(path).unlink(missing_ok=True)
        files += len(batch)
    return files
