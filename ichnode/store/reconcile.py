"""Disk and database compared, at start-up and daily: whatever stands in only one of them is adopted or reported."""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ichnode.domain.errors import Rejected
from ichnode.domain.facts import InstanceFacts
from ichnode.queue.database import Database
from ichnode.queue.intake import NewInstance, quarantine, remark
from ichnode.queue.retention import known_file, known_files
from ichnode.store.deletion import delete_purged
from ichnode.store.files import PART_SUFFIX, move_durably, sha256_of_file
from ichnode.store.layout import Store

log = logging.getLogger(__name__)

Adopt = Callable[[Path], None]  # records a file of the instances folder; raises Rejected for one that it cannot read

OUR_NAME: Final = re.compile(r"[0-9a-f]{62}\.dcm")
PAGE: Final = 1000
BEING_WRITTEN_S: Final = 3600.0  # no file is longer on its way to its row: a worker writes all results, then the rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """How many files were adopted, moved to quarantine, deleted because their row says so, and are missing."""

    adopted: int
    quarantined: int
    deleted: int
    missing: int


def reconcile(store: Store, db: Database, adopt: Adopt, *, now: float, min_age_s: float = 0) -> Reconciled:
    """Brings disk and database together.

    An instance without a row is adopted, a file that cannot be one goes to quarantine, a file whose row was purged is
    deleted at last, a row without a file raises an alarm. Files younger than ``min_age_s`` are left alone: while the
    node runs their row may be on its way. Whatever ``min_age_s`` says, results, quarantine and half-written files are
    left alone for an hour: another process may be writing them while this one starts. Raises OSError.
    """
    adopted = quarantined = deleted = 0
    for path in _files_without_live_row(store, db, now, min_age_s):
        known = known_file(db, store.relative(path))
        if known is not None and known.purged:
            deleted += delete_purged(store, db, [known.path])
        elif known is None and _is_adopted(store, path, adopt):
            adopted += 1
        elif known is None:
            _quarantine(store, db, path, now)
            quarantined += 1
    if adopted:
        remark(db, f"{adopted} files had no row: adopted", now=now)
    done = Reconciled(
        adopted=adopted, quarantined=quarantined, deleted=deleted, missing=_report_missing(store, db, now)
    )
    log.info("disk and database compared: %s", done, extra={"action": "reconcile"})
    return done


def _files_without_live_row(store: Store, db: Database, now: float, min_age_s: float) -> Iterator[Path]:
    for top in (store.instances, store.quarantine, store.outputs):
        for folder in sorted([top, *(path for path in top.rglob("*") if path.is_dir())]):
            # Rows are looked up a folder at a time: one look-up a file takes minutes on a full disk. Files first, rows
            # second, so that an instance which is kept meanwhile cannot seem to have no row.
            files = sorted(path for path in folder.iterdir() if path.is_file())
            live = _live_paths(db, f"{store.relative(folder)}/") if files else set()
            for path in files:
                is_whole_instance = top == store.instances and path.suffix != PART_SUFFIX
                least_s = min_age_s if is_whole_instance else max(min_age_s, BEING_WRITTEN_S)
                if store.relative(path) not in live and _is_old(path, now - least_s):
                    yield path


def _live_paths(db: Database, prefix: str) -> set[str]:
    live: set[str] = set()
    after = prefix
    while page := known_files(db, after=after, limit=PAGE):
        live |= {known.path for known in page if known.path.startswith(prefix)}
        after = page[-1].path
        if not after.startswith(prefix):
            break
    return live


def _is_old(path: Path, older_than: float) -> bool:
    try:
        return path.stat().st_mtime <= older_than
    except FileNotFoundError:
        return False  # a .part that became whole, or was given up, while we looked


def _is_adopted(store: Store, path: Path, adopt: Adopt) -> bool:
    if not path.is_relative_to(store.instances) or not OUR_NAME.fullmatch(path.name):
        return False
    try:
        adopt(path)
    except Rejected as error:
        log.warning("a file without a row cannot be adopted: %s", error, extra={"action": "reconcile"})
        return False
    return True


def _quarantine(store: Store, db: Database, path: Path, now: float) -> None:
    sha256 = sha256_of_file(path)
    target = path
    if not path.is_relative_to(store.quarantine) or path.name.endswith(PART_SUFFIX):
        target = store.resolve(store.quarantine_path(path.name, sha256))
        move_durably(path, target)
    reason = f"found without a row as {store.relative(path)}, after a crash or by hand"
    found = NewInstance(
        sop_instance_uid="",
        sop_class_uid="",
        study_instance_uid="",
        series_instance_uid="",
        transfer_syntax_uid="",
        sha256=sha256,
        size_bytes=target.stat().st_size,
        path=store.relative(target),
        calling_ae="",
        address="",
        facts=InstanceFacts(),
    )
    quarantine(db, found, reason=reason, now=now)


def _report_missing(store: Store, db: Database, now: float) -> int:
    missing: list[str] = []
    after = ""
    while page := known_files(db, after=after, limit=PAGE):
        missing += [known.path for known in page if not store.resolve(known.path).exists()]
        after = page[-1].path
    if missing:
        text = f"{len(missing)} files of the database are not on the disk; the first is {missing[0]}"
        remark(db, text, now=now, alarm=True)
        log.error(text, extra={"action": "reconcile"})
    return len(missing)
