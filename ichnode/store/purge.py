"""Everything that is kept of a study, deleted for good: marked, then its files, then its rows."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ichnode.domain.errors import Retryable
from ichnode.queue.database import Database
from ichnode.queue.purge import Stored, empty_log, forget, give_up, live_quarantine, stored
from ichnode.store.deletion import delete_purged
from ichnode.store.files import sync_folder
from ichnode.store.layout import Store

TRIES: Final = 3  # something of the study came in between


def look(store: Store, db: Database, study: str, study_of: Callable[[Path], str], *, now: float) -> Stored:
    """What is kept of a study; of each file in quarantine ``study_of`` tells the Study Instance UID. Raises OSError."""
    quarantined = [path for path in live_quarantine(db) if _names(store.resolve(path), study, study_of)]
    return stored(db, study, quarantined, now=now)


def purge(store: Store, db: Database, found: Stored, again: Callable[[], Stored], *, text: str, now: float) -> Stored:
    """Deletes files and rows of what ``found`` lists; ``again`` looks anew when something came meanwhile.

    Killed at any point, a second run ends it: rows are the last to go, and only once the files' end is on the disk
    itself. Otherwise a file that a power cut brings back would be adopted. Returns what was deleted. Raises OSError,
    and Retryable when the study comes in all the while.
    """
    for _ in range(TRIES):
        give_up(db, found, now=now)
        delete_purged(store, db, found.paths)
        _sync_folders(store, found.paths)
        if forget(db, found, text=text, now=now):
            empty_log(db)
            return found
        found = again()
    raise Retryable("Something of the study came in each time while it was deleted.", hint="Try again.")


def _names(path: Path, study: str, study_of: Callable[[Path], str]) -> bool:
    return path.is_file() and study_of(path) == study


def _sync_folders(store: Store, paths: Iterable[str]) -> None:
    for folder in sorted({store.resolve(path).parent for path in paths}):
        if folder.is_dir():
            sync_folder(folder)
