"""Jobs and their leases. A worker owns a job only while its lease and its fencing token hold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Final

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, or_, select, update

from ichnode.domain.errors import LeaseLost
from ichnode.domain.figures import Figures
from ichnode.domain.outputs import OutputFile
from ichnode.domain.states import JobState, SeriesState, check_move
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database, inserted_id
from ichnode.queue.followups import Comparison, stale_after
from ichnode.queue.outbox import Route, add_outputs
from ichnode.queue.results import add_result, reportable, write_onset
from ichnode.queue.tables import JOBS, SERIES

NOTICE_S: Final = 40.0  # from when a lease is to be renewed: a worker tries every 5 s, and waits 30 s for the lock


class JobKind(StrEnum):
    """What a job is to do."""

    ANALYSE = "analyse"  # run the network, write SEG, SR and SC
    EXPLAIN = "explain"  # write an SR that says why the series was not analysed
    REPORT = "report"  # write the SR alone anew: something was told that no image shows


class Priority(IntEnum):
    """The smallest goes first: a new study overtakes every replay."""

    NEW = 10
    EXPLAIN = 20
    REVISION = 50  # of a result that is out already
    REPLAY = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A job in a worker's hands. ``fence`` is the token that its every write must show, and its ``owner``, since in a
    queue that was restored from a back-up another job may have its number."""

    job_id: int
    series_id: int
    kind: JobKind
    reason: str
    weights: str | None
    attempts: int
    fence: int
    owner: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The jobs that will tell something new of a study: ``made`` for it, and those that were ``waiting`` already."""

    made: tuple[int, ...]
    waiting: tuple[int, ...]


def add_job(
    connection: Connection,
    series_id: int,
    kind: JobKind,
    *,
    priority: Priority,
    now: float,
    reason: str = "",
    weights: str | None = None,
) -> int:
    """Queues a job for one revision of a series. Returns its id."""
    values = {
        "series_id": series_id,
        "kind": kind,
        "priority": priority,
        "state": JobState.QUEUED,
        "reason": reason,
        "weights": weights,
        "created_at": now,
    }
    job_id = inserted_id(connection, insert(JOBS).values(values))
    note(connection, Entity.JOB, job_id, now=now, new=JobState.QUEUED, text=f"{kind} series {series_id}")
    return job_id


def replay(db: Database, series_ids: Sequence[int], *, weights: str | None, now: float) -> list[int]:
    """Queues an analysis of each series behind all new studies. ``weights``: a folder, or None. Returns the job ids."""
    with db.write() as connection:
        return [
            add_job(connection, i, JobKind.ANALYSE, priority=Priority.REPLAY, weights=weights, now=now)
            for i in series_ids
        ]


def claim(
    db: Database, *, owner: str, now: float, lease_s: float, max_attempts: int, retry_delay_s: float = math.inf
) -> Lease | None:
    """Leases the next job: the smallest priority first, then the oldest. Counts the attempt at once, so that a job
    that kills its worker runs out of attempts. A running job whose lease ran out is taken again, unless it has no
    attempts left: that one is for ``sweep_leases``. None if none waits.

    ``retry_delay_s``: the longest that a job is to wait. What has to wait longer, or is leased for longer than
    ``lease_s``, was written down before the clock was set back, and is taken now.
    """
    late, soon = JOBS.c.not_before > now + retry_delay_s, JOBS.c.not_before <= now
    waiting = (JOBS.c.state == JobState.QUEUED) & (soon | late)
    abandoned = (JOBS.c.state == JobState.RUNNING) & _lapsed(now, lease_s) & (JOBS.c.attempts < max_attempts)
    query = select(JOBS).where(or_(waiting, abandoned)).order_by(JOBS.c.priority, JOBS.c.id).limit(1)
    with db.write() as connection:
        job = connection.execute(query).mappings().one_or_none()
        if job is None:
            return None
        if job["state"] == JobState.RUNNING:
            _move(connection, job, JobState.QUEUED, f"lease of {job['owner']} ran out", now)
        counted = {"attempts": job["attempts"] + 1, "fence": job["fence"] + 1}
        values = {"state": JobState.RUNNING, "owner": owner, **counted, **_leased(now, lease_s)}
        connection.execute(update(JOBS).where(JOBS.c.id == job["id"]).values(values))
        text = f"attempt {job['attempts'] + 1} by {owner}"
        note(connection, Entity.JOB, job["id"], now=now, old=JobState.QUEUED, new=JobState.RUNNING, text=text)
    return replace(_lease(job), owner=owner, **counted)


def withdraw(connection: Connection, series_id: int, *, reason: str, now: float) -> None:
    """Ends the jobs of a series that have not begun: what they would say is out of date."""
    query = select(JOBS).where(JOBS.c.series_id == series_id, JOBS.c.state == JobState.QUEUED)
    for job in connection.execute(query).mappings().all():
        _end(connection, job, JobState.REJECTED, reason, now)


def renew(db: Database, lease: Lease, *, now: float, lease_s: float) -> None:
    """Prolongs the lease. Raises LeaseLost when another worker has the job."""
    with db.write() as connection:
        _owned(connection, lease)
        connection.execute(update(JOBS).where(JOBS.c.id == lease.job_id).values(_leased(now, lease_s)))


def give_back(
    db: Database,
    lease: Lease,
    *,
    now: float,
    why: str = "given back at shut-down",
    delay_s: float = 0,
    alarm: bool = False,
) -> None:
    """Returns an unfinished job that is not to blame, to be taken after ``delay_s``; the attempt does not count.

    ``alarm``: a person must look, until an attempt ends otherwise. Raises LeaseLost.
    """
    with db.write() as connection:
        job = _owned(connection, lease)
        _move(connection, job, JobState.QUEUED, why, now, alarm=alarm)
        waits = {"not_before": now + delay_s} if delay_s else {}
        values = {"attempts": lease.attempts - 1, "lease_until": None, "owner": None} | waits
        connection.execute(update(JOBS).where(JOBS.c.id == lease.job_id).values(values))


def finish(
    db: Database,
    lease: Lease,
    state: JobState,
    *,
    outputs: Sequence[OutputFile],
    routes: Sequence[Route],
    reason: str,
    now: float,
    figures: Figures | None = None,
    compared: Comparison | None = None,
) -> None:
    """Ends a job: its state, its figures, its objects and their deliveries in one transaction. Raises LeaseLost.

    Where a later revision has settled meanwhile its objects are kept but not sent: they would contradict the new ones.
    ``compared``: what was known of earlier scans when it began. Results that knew less than is known now, this one
    or those of later scans, are queued to be made again.
    """
    with db.write() as connection:
        job = _owned(connection, lease)
        state_of_series = connection.execute(select(SERIES.c.state).where(SERIES.c.id == lease.series_id)).scalar_one()
        if state_of_series == SeriesState.SUPERSEDED:
            routes, reason = (), f"{reason}; not sent: a later revision has come"
        _end(connection, job, state, reason, now)
        add_outputs(connection, lease.job_id, outputs, routes, analysed=state == JobState.DONE, now=now)
        if figures is not None:
            add_result(connection, lease.job_id, figures, compared or Comparison())
        for stale in stale_after(connection, lease.series_id, measured=figures is not None):
            _revise(connection, stale, JobKind.ANALYSE, weights=None, now=now)


def tell_onset(db: Database, study_instance_uid: str, hours: float | None, *, now: float) -> Told:
    """Keeps hours from onset to the first CT that a person told of a study, or with None takes them back.

    Each of its results is queued for a new SR, which will be the last word: whatever of the study has not begun yet
    takes the onset up by itself, and is enough where it is as urgent. Raises ConfigError for hours that cannot be.
    """
    with db.write() as connection:
        write_onset(connection, study_instance_uid, hours, now=now)
        reports = reportable(connection, study_instance_uid, urgent=Priority.REVISION)
        made = tuple(
            _revise(connection, result.series_id, JobKind.REPORT, weights=result.weights, now=now)
            for result in reports.anew
        )
    return Told(made=made, waiting=reports.waiting)


def _revise(connection: Connection, series_id: int, kind: JobKind, *, weights: str | None, now: float) -> int:
    return add_job(connection, series_id, kind, priority=Priority.REVISION, weights=weights, now=now)


def retry_or_fail(db: Database, lease: Lease, error: str, *, max_attempts: int, delay_s: float, now: float) -> JobState:
    """After an error that may pass: queued again after ``delay_s``, or failed once the attempts are used up.

    A failed analysis leaves a job behind that tells the PACS so. Returns the new state. Raises LeaseLost.
    """
    with db.write() as connection:
        job = _owned(connection, lease)
        if lease.attempts < max_attempts:
            _move(connection, job, JobState.QUEUED, error, now)
            values = {"not_before": now + delay_s, "lease_until": None, "owner": None}
            connection.execute(update(JOBS).where(JOBS.c.id == lease.job_id).values(values))
            return JobState.QUEUED
        _fail(connection, job, error, now)
        return JobState.FAILED


def sweep_leases(db: Database, *, max_attempts: int, now: float, lease_s: float) -> int:
    """Fails every job whose worker died at its last attempt, so that it is not run for ever. Returns how many.

    While the queue cannot be written a worker that lives cannot renew its lease: each gets a notice first, and fails
    where a third of ``lease_s`` and NOTICE_S later there is still no sign of its worker. The notice is a
    ``not_before`` after the end of the lease; one from before the clock was set back is written anew.
    """
    spent = JOBS.c.state == JobState.RUNNING, _lapsed(now, lease_s), JOBS.c.attempts >= max_attempts
    with db.read() as connection:  # most often there is none: no write lock for that
        if connection.execute(select(JOBS.c.id).where(*spent)).first() is None:
            return 0
    failed = 0
    with db.write() as connection:
        for job in connection.execute(select(JOBS).where(*spent)).mappings().all():
            if not job["lease_until"] <= job["not_before"] <= now:
                notice = {"not_before": now, "lease_until": min(job["lease_until"], now)}
                connection.execute(update(JOBS).where(JOBS.c.id == job["id"]).values(notice))
            elif now >= job["not_before"] + lease_s / 3 + NOTICE_S:
                _fail(connection, job, "its worker died while it ran", now)
                failed += 1
    return failed


def _leased(now: float, lease_s: float) -> dict[str, float]:
    """Of a job whose worker lives. Without a notice (``sweep_leases``), whatever the clock was when it was queued."""
    return {"lease_until": now + lease_s, "not_before": now}


def _lapsed(now: float, lease_s: float) -> ColumnElement[bool]:
    return (JOBS.c.lease_until <= now) | (JOBS.c.lease_until > now + lease_s)


def _fail(connection: Connection, job: RowMapping, error: str, now: float) -> None:
    _end(connection, job, JobState.FAILED, error, now)
    if job["kind"] == JobKind.ANALYSE and not _has_result(connection, job["series_id"]):
        text = f"analysis failed after {job['attempts']} attempts: {error}"
        add_job(connection, job["series_id"], JobKind.EXPLAIN, priority=Priority.EXPLAIN, reason=text, now=now)


def _has_result(connection: Connection, series_id: int) -> bool:
    query = select(JOBS.c.id).where(JOBS.c.series_id == series_id, JOBS.c.state == JobState.DONE)
    return connection.execute(query.limit(1)).first() is not None


def _lease(job: RowMapping) -> Lease:
    kind = JobKind(job["kind"])
    names = ("series_id", "reason", "weights", "attempts", "fence", "owner")
    return Lease(job_id=job["id"], kind=kind, **{name: job[name] for name in names})


def _owned(connection: Connection, lease: Lease) -> RowMapping:
    job = connection.execute(select(JOBS).where(JOBS.c.id == lease.job_id)).mappings().one_or_none()
    if job is None:
        raise LeaseLost(f"Job {lease.job_id} is no longer there: its study was purged.")
    if job["state"] != JobState.RUNNING or (job["fence"], job["owner"]) != (lease.fence, lease.owner):
        raise LeaseLost(f"Job {lease.job_id} is no longer ours: it is {job['state']}, fence {job['fence']}.")
    return job


def _end(connection: Connection, job: RowMapping, new: JobState, reason: str, now: float) -> None:
    _move(connection, job, new, reason, now, alarm=new == JobState.FAILED)
    over = {"reason": reason, "finished_at": now, "lease_until": None, "owner": None}
    connection.execute(update(JOBS).where(JOBS.c.id == job["id"]).values(over))


def _move(
    connection: Connection, job: RowMapping, new: JobState, text: str, now: float, *, alarm: bool = False
) -> None:
    old = JobState(job["state"])
    check_move(old, new)
    connection.execute(update(JOBS).where(JOBS.c.id == job["id"]).values(state=new))
    note(connection, Entity.JOB, job["id"], now=now, old=old, new=new, text=text, alarm=alarm)
