"""What may be deleted from disk, and which file each row speaks of. Rows stay; only files go."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Column, CompoundSelect, Connection, Table, func, select, union, union_all, update
from sqlalchemy.sql import literal

from ichnode.domain.states import Closing, Decision, DeliveryState, JobState, SeriesState
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database
from ichnode.queue.tables import DELIVERIES, INSTANCES, JOBS, OUTPUTS, QUARANTINE, SERIES


class Ended(StrEnum):
    """How a series ended, which decides how long its files are kept."""

    DELIVERED = "delivered"  # analysed, and every destination has every object, as surely as it tells
    SKIPPED = "skipped"  # not analysed, and every destination that wants to know knows why
    FAILED = "failed"  # its last analysis failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Expendable:
    """A series of which nothing is awaited any more. Paths are relative to the store."""

    series_instance_uid: str
    ended: Ended
    ended_at: float
    instances: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantined:
    """One file in quarantine."""

    id: int
    path: str
    at: float


class FileKind(StrEnum):
    """Which table speaks of a file."""

    INSTANCE = "instance"
    OUTPUT = "output"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFile:
    """A file that a row speaks of. ``sha256`` is that of the row; ``purged``: the file should be gone."""

    kind: FileKind
    path: str
    sha256: str
    purged: bool


_TABLES: Final = {FileKind.INSTANCE: INSTANCES, FileKind.OUTPUT: OUTPUTS, FileKind.QUARANTINE: QUARANTINE}
_BUSY_JOBS: Final = [JobState.QUEUED, JobState.RUNNING]
_UNDELIVERED: Final = [DeliveryState.PENDING, DeliveryState.UNCOMMITTED, DeliveryState.DEAD]


def expendable(db: Database, ended: Ended, *, ended_before: float, limit: int) -> list[Expendable]:
    """Series that ended so before then, oldest first: every revision decided, every job over, every delivery made.

    What was not delivered is never in the list, nor what is still to be committed to or confirmed; nor is a result
    that no destination was there for. An image that came again after its deletion is as old as that.
    """
    uid = SERIES.c.series_instance_uid
    came = select(INSTANCES.c.series_instance_uid, func.max(INSTANCES.c.received_at).label("at"))
    there = came.where(INSTANCES.c.purged_at.is_(None)).group_by(INSTANCES.c.series_instance_uid).subquery()
    ended_at = func.max(func.max(JOBS.c.finished_at), there.c.at)  # SQLite: an aggregate, then the larger of two
    query = (
        select(uid, ended_at.label("ended_at"))
        .join(JOBS, JOBS.c.series_id == SERIES.c.id)
        .join(there, there.c.series_instance_uid == uid)
        .where(uid.not_in(_held()))
        .group_by(uid)
        .having(ended_at < ended_before)
        .order_by(ended_at)
    )
    found: list[Expendable] = []
    with db.read() as connection:
        for series_uid, at in connection.execute(query):
            if _how_it_ended(connection, series_uid) == ended and len(found) < limit:
                found.append(_expendable(connection, series_uid, ended, at))
    return found


def purged(db: Database, item: Expendable, *, why: str, now: float) -> bool:
    """Marks the files of a series as gone; they are deleted afterwards (``doomed``).

    False, and nothing is marked, when something of it is wanted again since it was listed: a late slice, a replay, a
    delivery asked for by hand.
    """
    with db.write() as connection:
        held = [row[0] for row in connection.execute(_held())]
        if item.series_instance_uid in held:
            return False
        _mark(connection, INSTANCES, item.instances, now)
        _mark(connection, OUTPUTS, item.outputs, now)
        query = select(SERIES.c.id).where(SERIES.c.series_instance_uid == item.series_instance_uid)
        for series_id in connection.execute(query).scalars():
            note(connection, Entity.SERIES, series_id, now=now, new="purged", text=why)
    return True


@contextmanager
def doomed(db: Database, paths: Sequence[str]) -> Iterator[list[str]]:
    """Those of these files whose rows say, at this moment, that they are to go. While within, nobody else writes.

    Whoever has written such a file anew makes its row live again under the same lock, and only where he finds the file
    there: so a file that is deleted within was answered for by nobody.
    """
    with db.write() as connection:
        yield [path for path in paths if _is_doomed(connection, path)]


def _is_doomed(connection: Connection, path: str) -> bool:
    return any(
        connection.execute(select(table.c.id).where(table.c.path == path, table.c.purged_at.is_not(None))).first()
        for table in _TABLES.values()
    )


def _held() -> CompoundSelect[Any]:
    """UIDs of the series of which something is still awaited."""
    uid = SERIES.c.series_instance_uid
    jobs = select(uid).join(JOBS, JOBS.c.series_id == SERIES.c.id)
    outputs = jobs.join(OUTPUTS, OUTPUTS.c.job_id == JOBS.c.id)
    # Of any job of the series: one that made the report alone had nothing for a destination that takes none.
    any_output, any_job = OUTPUTS.alias(), JOBS.alias()
    delivered = select(DELIVERIES.c.id).join(any_output, DELIVERIES.c.output_id == any_output.c.id)
    delivered = delivered.join(any_job, any_output.c.job_id == any_job.c.id).where(any_job.c.series_id == SERIES.c.id)
    return union(
        select(uid).where(SERIES.c.state == SeriesState.RECEIVING),
        select(uid).where(SERIES.c.state == SeriesState.SETTLED, SERIES.c.decision == Decision.PENDING),
        jobs.where(JOBS.c.state.in_(_BUSY_JOBS)),
        outputs.join(DELIVERIES, DELIVERIES.c.output_id == OUTPUTS.c.id).where(
            DELIVERIES.c.state.in_(_UNDELIVERED) | (DELIVERIES.c.closing != Closing.NOTHING)
        ),
        outputs.where(JOBS.c.state == JobState.DONE, SERIES.c.state != SeriesState.SUPERSEDED, ~delivered.exists()),
    )


def old_quarantined(db: Database, *, before: float, limit: int) -> list[Quarantined]:
    """Files that have been in quarantine since before then, oldest first."""
    query = select(QUARANTINE).where(QUARANTINE.c.purged_at.is_(None), QUARANTINE.c.at < before)
    with db.read() as connection:
        rows = connection.execute(query.order_by(QUARANTINE.c.at).limit(limit)).mappings().all()
    return [Quarantined(id=row["id"], path=row["path"], at=row["at"]) for row in rows]


def quarantine_purged(db: Database, item: Quarantined, *, why: str, now: float) -> None:
    """Marks a file in quarantine as gone; it is deleted afterwards (``doomed``)."""
    with db.write() as connection:
        _mark(connection, QUARANTINE, [item.path], now)
        note(connection, Entity.QUARANTINE, item.id, now=now, old="quarantined", new="purged", text=why)


def known_file(db: Database, path: str) -> KnownFile | None:
    """The row that speaks of this path, in whichever table."""
    with db.read() as connection:
        for kind, table in _TABLES.items():
            row = connection.execute(select(table).where(table.c.path == path)).mappings().first()
            if row is not None:
                gone = row["purged_at"] is not None
                return KnownFile(kind=kind, path=path, sha256=row["sha256"], purged=gone)
    return None


def known_files(db: Database, *, after: str = "", limit: int = 1000) -> list[KnownFile]:
    """Files that should be on disk, by path, those after ``after`` first: pages for the search of missing files."""
    parts = [
        select(literal(kind.value).label("kind"), table.c.path, table.c.sha256).where(
            table.c.path > after, table.c.purged_at.is_(None)
        )
        for kind, table in _TABLES.items()
    ]
    together = union_all(*parts).subquery()
    with db.read() as connection:
        rows = connection.execute(select(together).order_by(together.c.path).limit(limit)).all()
    return [KnownFile(kind=FileKind(kind), path=path, sha256=sha, purged=False) for kind, path, sha in rows]


def _how_it_ended(connection: Connection, series_uid: str) -> Ended:
    query = select(JOBS.c.state).join(SERIES, JOBS.c.series_id == SERIES.c.id)
    states = set(connection.execute(query.where(SERIES.c.series_instance_uid == series_uid)).scalars())
    if JobState.DONE in states:
        return Ended.DELIVERED
    return Ended.FAILED if JobState.FAILED in states else Ended.SKIPPED


def _expendable(connection: Connection, series_uid: str, ended: Ended, at: float) -> Expendable:
    def paths(table: Table, belongs: Column[str]) -> tuple[str, ...]:
        query = select(table.c.path).where(belongs == series_uid, table.c.purged_at.is_(None))
        if table is OUTPUTS:
            query = query.join(JOBS, OUTPUTS.c.job_id == JOBS.c.id).join(SERIES, JOBS.c.series_id == SERIES.c.id)
        return tuple(connection.execute(query.order_by(table.c.path)).scalars())

    instances = paths(INSTANCES, INSTANCES.c.series_instance_uid)
    outputs = paths(OUTPUTS, SERIES.c.series_instance_uid)
    return Expendable(series_instance_uid=series_uid, ended=ended, ended_at=at, instances=instances, outputs=outputs)


def _mark(connection: Connection, table: Table, paths: Sequence[str], now: float) -> None:
    for path in paths:
        connection.execute(update(table).where(table.c.path == path).values(purged_at=now))
