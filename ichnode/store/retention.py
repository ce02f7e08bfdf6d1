"""Deletes files that nobody waits for any more: by age, and earlier when the disk runs low."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from ichnode.queue.database import Database
from ichnode.queue.intake import remark
from ichnode.queue.retention import (
    Ended,
    Expendable,
    expendable,
    old_quarantined,
    purged,
    quarantine_purged,
)
from ichnode.store.deletion import delete_purged
from ichnode.store.layout import Store

log = logging.getLogger(__name__)

BATCH: Final = 50  # how many are looked up at once: the conditions are checked again for each batch
BY_SPACE: Final = (Ended.SKIPPED, Ended.DELIVERED)  # in this order; a failure stays for the person who looks into it


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionLimits:
    """How long files stay after their series ended, in seconds; None: for ever.

    Below ``low_water_bytes`` of free space, skipped and delivered series go as soon as they are ``min_age_s`` old.
    What was not delivered is never deleted, whatever the limits say.
    """

    delivered_s: float | None
    skipped_s: float | None
    failed_s: float | None
    quarantine_s: float | None
    low_water_bytes: int
    min_age_s: float = 3600

    def age_s(self, ended: Ended) -> float | None:
        """The limit for series that ended so."""
        return {Ended.DELIVERED: self.delivered_s, Ended.SKIPPED: self.skipped_s, Ended.FAILED: self.failed_s}[ended]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What one round of retention deleted, and whether the disk is still below its low-water mark."""

    files: int
    still_low: bool


def enforce(
    store: Store,
    db: Database,
    limits: RetentionLimits,
    *,
    now: float,
    deleted: Callable[[str, str], None] = lambda _series, _why: None,
) -> Removed:
    """Deletes what is past its limit, then the oldest that may go until enough space is free. Raises OSError.

    ``deleted`` is told of each series (its UID) why its files went.
    """
    files = _remove_old_quarantine(store, db, limits, now)
    for ended in Ended:
        age_s = limits.age_s(ended)
        if age_s is None:
            continue
        for item in _oldest(db, ended, before=now - age_s):
            files += _remove(store, db, item, f"older than {age_s / 86400:g} days", now, deleted)
    for ended in BY_SPACE:
        if store.free_bytes() >= limits.low_water_bytes:
            break
        for item in _oldest(db, ended, before=now - limits.min_age_s):
            files += _remove(store, db, item, "the disk is low", now, deleted)
            if store.free_bytes() >= limits.low_water_bytes:
                break
    still_low = store.free_bytes() < limits.low_water_bytes
    if still_low:
        remark(db, "the disk is low and nothing more may be deleted", now=now, alarm=True)
    log.info("retention: %d files deleted", files, extra={"action": "retention"})
    return Removed(files=files, still_low=still_low)


def _oldest(db: Database, ended: Ended, *, before: float) -> Iterator[Expendable]:
    # Each item is marked by its consumer before the next batch is asked for, so the batches move on by themselves.
    while batch := expendable(db, ended, ended_before=before, limit=BATCH):
        yield from batch


def _remove(
    store: Store, db: Database, item: Expendable, why: str, now: float, deleted: Callable[[str, str], None]
) -> int:
    # The row first: a file whose row says "purged" is deleted by the next reconciliation, while a row that promises a
    # file that is gone would raise an alarm.
    if not purged(db, item, why=why, now=now):
        return 0
    files = delete_purged(store, db, (*item.instances, *item.outputs))
    deleted(item.series_instance_uid, why)
    return files


def _remove_old_quarantine(store: Store, db: Database, limits: RetentionLimits, now: float) -> int:
    if limits.quarantine_s is None:
        return 0
    files = 0
    while batch := old_quarantined(db, before=now - limits.quarantine_s, limit=BATCH):
        for item in batch:
            quarantine_purged(db, item, why=f"older than {limits.quarantine_s / 86400:g} days", now=now)
            files += delete_purged(store, db, [item.path])
    return files
