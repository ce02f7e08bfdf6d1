"""What a person or a script may ask: the queue at a glance, and the whole history of one study or job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, false, func, or_, select

from ichnode.domain.outputs import ObjectKind, Reference
from ichnode.domain.states import Closing, DeliveryState, JobState
from ichnode.queue.acknowledged import Acknowledgement, acknowledgements, node_alarms, open_quarantine
from ichnode.queue.audit import AuditRow, Entity
from ichnode.queue.database import Database
from ichnode.queue.results import figures_of
from ichnode.queue.tables import (
    ABILITIES,
    AUDIT,
    DELIVERIES,
    HOLDS,
    INSTANCES,
    JOBS,
    OUTPUTS,
    PROMISES,
    QUARANTINE,
    SERIES,
)
from ichnode.queue.undelivered import undelivered
from ichnode.queue.untold import untold
from ichnode.queue.waiting import WAITING, unwritten, waits_since

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The queue at a glance. Counts are by state; times are seconds since the epoch.

    ``failed``: jobs that failed and that no later run of the same series made good. ``node``: alarms of the node
    itself, since the time asked for: refusals, files that are missing, a full disk.
    """

    instances: int
    series: dict[str, int]
    jobs: dict[str, int]
    deliveries: dict[str, dict[str, int]]  # destination -> state -> count
    awaited: dict[str, dict[str, int]]  # destination -> what of it is still awaited -> count
    abilities: dict[str, Row]  # destination -> what was learnt of it by asking
    promises: dict[str, int]  # storage commitment that others ask of us, by state
    untold: list[Row]  # of these, reports that could not be delivered for a while or at all, a row a peer
    quarantined: list[Row]
    dead: list[Row]
    uncommitted: list[Row]
    failed: list[Row]
    held: list[Row]  # studies whose results do not go out until a person has looked
    node: list[AuditRow]
    acknowledged: list[Acknowledgement]  # who has seen to which of these, or of what is in quarantine
    undelivered: dict[str, Row]  # destination -> why what was tried has not gone, and when it is tried again
    overdue: dict[str, float]  # destination -> since when its oldest object waits
    oldest_waiting_at: float | None
    waits_since: float | None  # since when the oldest job waits for a worker: ahead while all that wait are worked on
    unwritten: list[Row]  # jobs given back because their results cannot be written, a row a reason
    recent: list[Row]


def status(db: Database, *, since: float, recent: int = 10) -> Status:
    """Counts, alarms and the newest series. ``since``: how far back the node's own alarms are of interest."""
    with db.read() as connection:
        dead = select(DELIVERIES, OUTPUTS.c.job_id, OUTPUTS.c.kind).join(OUTPUTS)
        later = JOBS.alias()
        mended = select(later.c.id).where(
            later.c.series_id == JOBS.c.series_id, later.c.id > JOBS.c.id, later.c.state == JobState.DONE
        )
        failed = select(JOBS).where(JOBS.c.state == JobState.FAILED, ~mended.exists())
        overdue = (
            select(DELIVERIES.c.destination, func.min(OUTPUTS.c.created_at))
            .join(OUTPUTS)
            .where(DELIVERIES.c.state == DeliveryState.PENDING)
            .group_by(DELIVERIES.c.destination)
        )
        oldest = select(func.min(JOBS.c.created_at)).where(JOBS.c.state.in_(WAITING))
        newest = select(SERIES).order_by(SERIES.c.id.desc()).limit(recent)
        return Status(
            instances=connection.execute(select(func.count()).select_from(INSTANCES)).scalar_one(),
            series=_counts(connection, SERIES),
            jobs=_counts(connection, JOBS),
            deliveries=_by_destination(connection, DELIVERIES.c.state),
            awaited=_by_destination(connection, DELIVERIES.c.closing, DELIVERIES.c.closing != Closing.NOTHING),
            abilities={row["destination"]: row for row in _rows(connection, select(ABILITIES))},
            promises=_counts(connection, PROMISES),
            untold=_rows(connection, untold()),
            quarantined=_rows(connection, select(QUARANTINE).where(*open_quarantine())),
            dead=_rows(connection, dead.where(DELIVERIES.c.state == DeliveryState.DEAD)),
            uncommitted=_rows(connection, dead.where(DELIVERIES.c.state == DeliveryState.UNCOMMITTED)),
            failed=_rows(connection, failed),
            held=_rows(connection, select(HOLDS).where(HOLDS.c.released_at.is_(None)).order_by(HOLDS.c.id)),
            node=_audit(connection, node_alarms(since).order_by(AUDIT.c.id)),
            acknowledged=acknowledgements(connection, since=since),
            undelivered={row["destination"]: row for row in _rows(connection, undelivered())},
            overdue={row[0]: row[1] for row in connection.execute(overdue)},
            oldest_waiting_at=connection.execute(oldest).scalar(),
            waits_since=connection.execute(waits_since()).scalar(),
            unwritten=_rows(connection, unwritten()),
            recent=[row | {"jobs": _jobs_of(connection, row["id"])} for row in _rows(connection, newest)],
        )


def series_of(db: Database, text: str) -> list[int]:
    """Row ids of the series that ``text`` names: a job number, or a study or series instance UID."""
    by_uid = (SERIES.c.study_instance_uid == text) | (SERIES.c.series_instance_uid == text)
    number = int(text) if text.isdecimal() and len(text) < 19 else None
    by_job = select(JOBS.c.series_id).where(JOBS.c.id == number) if number is not None else None
    which: ColumnElement[bool] = by_uid if by_job is None else or_(by_uid, SERIES.c.id.in_(by_job))
    with db.read() as connection:
        return list(connection.execute(select(SERIES.c.id).where(which).order_by(SERIES.c.id)).scalars())


def series_uids(db: Database, study_instance_uid: str) -> set[str]:
    """The series of a study that the queue knows."""
    query = select(SERIES.c.series_instance_uid).where(SERIES.c.study_instance_uid == study_instance_uid)
    with db.read() as connection:
        return set(connection.execute(query).scalars())


def job_ids(db: Database, series_ids: Sequence[int] | None) -> list[int]:
    """The jobs of these series; of all series for None."""
    query = select(JOBS.c.id).order_by(JOBS.c.id)
    if series_ids is not None:
        query = query.where(JOBS.c.series_id.in_(series_ids))
    with db.read() as connection:
        return list(connection.execute(query).scalars())


def ended(db: Database, job_ids: Sequence[int]) -> dict[int, tuple[JobState, str]]:
    """Those of these jobs that have ended: how, and the reason or result in words."""
    over = [JobState.DONE, JobState.REJECTED, JobState.FAILED]
    query = select(JOBS.c.id, JOBS.c.state, JOBS.c.reason).where(JOBS.c.id.in_(job_ids), JOBS.c.state.in_(over))
    with db.read() as connection:
        return {row[0]: (JobState(row[1]), row[2]) for row in connection.execute(query)}


def history(db: Database, series_id: int) -> Row:
    """Everything known of one revision of a series: its row, jobs with their figures, objects, deliveries, audit."""
    with db.read() as connection:
        row = _rows(connection, select(SERIES).where(SERIES.c.id == series_id))[0]
        held = select(func.count()).where(
            INSTANCES.c.series_instance_uid == row["series_instance_uid"], INSTANCES.c.revision <= row["revision"]
        )
        open_ones = HOLDS.c.released_at.is_(None), HOLDS.c.study_instance_uid == row["study_instance_uid"]
        doubts = list(connection.execute(select(HOLDS.c.reason).where(*open_ones).order_by(HOLDS.c.id)).scalars())
        jobs = _jobs_of(connection, series_id)
        outputs = _rows(connection, select(OUTPUTS).where(OUTPUTS.c.job_id.in_([job["id"] for job in jobs])))
        measured = figures_of(connection, [job["id"] for job in jobs])
        query = select(DELIVERIES, OUTPUTS.c.kind, OUTPUTS.c.number).join(OUTPUTS)
        deliveries = _rows(connection, query.where(OUTPUTS.c.id.in_([output["id"] for output in outputs])))
        which = _about(Entity.SERIES, [series_id])
        which |= _about(Entity.JOB, [job["id"] for job in jobs])
        which |= _about(Entity.DELIVERY, [delivery["id"] for delivery in deliveries])
        rows = _audit(connection, select(AUDIT).where(which).order_by(AUDIT.c.at, AUDIT.c.id))
        count = connection.execute(held).scalar_one()
    jobs = [job | {"figures": measured.get(job["id"])} for job in jobs]
    row |= {"held": doubts}
    return row | {"instances": count, "jobs": jobs, "outputs": outputs, "deliveries": deliveries, "audit": rows}


def earlier_reports(db: Database, series_id: int) -> list[Reference]:
    """The SRs that this revision of a series and those before it gave to any destination: what a new SR supersedes.

    Oldest first. One that was kept here, because a later revision came while it was made, is known to nobody outside.
    """
    with db.read() as connection:
        this = connection.execute(select(SERIES).where(SERIES.c.id == series_id)).mappings().one()
        query = (
            select(*(OUTPUTS.c[name] for name in Reference.__dataclass_fields__))
            .join(JOBS, OUTPUTS.c.job_id == JOBS.c.id)
            .join(SERIES, JOBS.c.series_id == SERIES.c.id)
            .where(
                SERIES.c.series_instance_uid == this["series_instance_uid"],
                SERIES.c.revision <= this["revision"],
                OUTPUTS.c.kind == ObjectKind.SR,
                select(DELIVERIES.c.id).where(DELIVERIES.c.output_id == OUTPUTS.c.id).exists(),
            )
        )
        rows = connection.execute(query.order_by(OUTPUTS.c.id)).mappings().all()
    return [Reference(**{**row, "profiles": tuple(row["profiles"])}) for row in rows]


def _about(entity: Entity, ids: Sequence[int]) -> ColumnElement[bool]:
    return (AUDIT.c.entity == entity) & AUDIT.c.entity_id.in_(ids) if ids else false()


def _counts(connection: Connection, table: Table) -> dict[str, int]:
    query = select(table.c.state, func.count()).group_by(table.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def _by_destination(
    connection: Connection, column: Column[str], *where: ColumnElement[bool]
) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    group = (DELIVERIES.c.destination, column)
    for destination, value, count in connection.execute(select(*group, func.count("*")).where(*where).group_by(*group)):
        counts.setdefault(destination, {})[value] = count
    return counts


def _audit(connection: Connection, query: Any) -> list[AuditRow]:
    rows = connection.execute(query).mappings().all()
    return [AuditRow(**{name: row[name] for name in AuditRow.__dataclass_fields__}) for row in rows]


def _rows(connection: Connection, query: Any) -> list[Row]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _jobs_of(connection: Connection, series_id: int) -> list[Row]:
    return _rows(connection, select(JOBS).where(JOBS.c.series_id == series_id).order_by(JOBS.c.id))
