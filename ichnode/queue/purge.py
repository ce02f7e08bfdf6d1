"""Forgetting a study: what of it the queue holds, whether it may go, and the rows' end after the files'."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, Table, delete, or_, select, update

from ichnode.domain.states import Closing, DeliveryState, JobState, PromiseState, SeriesState
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database
from ichnode.queue.tables import (
    AUDIT,
    COMMITMENT_ITEMS,
    COMMITMENTS,
    DELIVERIES,
    HOLDS,
    INSTANCES,
    JOBS,
    ONSETS,
    OUTPUTS,
    PROMISE_ITEMS,
    PROMISES,
    QUARANTINE,
    RESULTS,
    SERIES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is kept of a study. Paths are relative to the store, those of files that are gone already included.

    ``running``: jobs in a worker's hands. ``waiting``: sentences that say what is still to come of it. ``undelivered``:
    whether the deliverer may have something of it in its hands.
    """

    study_instance_uid: str
    instances: tuple[str, ...]
    outputs: tuple[str, ...]
    quarantined: tuple[str, ...]
    series: int
    jobs: int
    running: int
    waiting: tuple[str, ...]
    undelivered: bool

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file."""
        return (*self.instances, *self.outputs, *self.quarantined)

    @property
    def is_known(self) -> bool:
        """Whether there is anything to forget."""
        return bool(self.paths or self.series)


UNSENT: Final = "objects not delivered"
UNCLOSED: Final = "objects to be committed or confirmed"
_OPEN: Final = (DeliveryState.PENDING, DeliveryState.UNCOMMITTED, DeliveryState.DEAD)


def stored(db: Database, study_instance_uid: str, quarantined: Sequence[str], *, now: float) -> Stored:
    """What is kept of a study. ``quarantined``: files in quarantine whose headers name it; the queue knows the rest."""
    with db.read() as connection:
        return _stored(connection, study_instance_uid, quarantined, now)


def live_quarantine(db: Database) -> list[str]:
    """Paths of the files in quarantine."""
    with db.read() as connection:
        query = select(QUARANTINE.c.path).where(QUARANTINE.c.purged_at.is_(None))
        return list(connection.execute(query.order_by(QUARANTINE.c.id)).scalars())


def give_up(db: Database, study: Stored, *, now: float) -> None:
    """Marks every file of a study as gone, before any is: a file that a crash leaves behind is then deleted by the
    next reconciliation, or by the same verb again."""
    with db.write() as connection:
        for table, paths in ((INSTANCES, study.instances), (OUTPUTS, study.outputs), (QUARANTINE, study.quarantined)):
            for path in paths:
                connection.execute(update(table).where(table.c.path == path).values(purged_at=now))


def forget(db: Database, study: Stored, *, text: str, now: float) -> bool:
    """Deletes the rows of a study whose files are gone, and leaves one line in the node's history: ``text``.

    False, and nothing is deleted, when something of it came or began since ``study`` was read.
    """
    with db.write() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=ON")  # else the rows' bytes stay in the file's free pages
        if _live(connection, study):
            return False
        _forget(connection, study)
        note(connection, Entity.NODE, 0, now=now, new="purged", text=text)
    return True


def empty_log(db: Database) -> None:
    """Moves SQLite's write-ahead log into the database and empties it: it holds what was just deleted. A reader in
    the way keeps it from that; then it is overwritten with time."""
    connection = db.writers.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def _stored(connection: Connection, study: str, quarantined: Sequence[str], now: float) -> Stored:
    def paths(query: Select[Any]) -> tuple[str, ...]:
        return tuple(connection.execute(query).scalars())

    of_series = JOBS.c.series_id.in_(_series(study))
    jobs = connection.execute(select(JOBS.c.state, JOBS.c.lease_until).where(of_series)).all()
    waiting = _waiting(connection, study)
    return Stored(
        study_instance_uid=study,
        instances=paths(select(INSTANCES.c.path).where(INSTANCES.c.study_instance_uid == study)),
        outputs=paths(select(OUTPUTS.c.path).where(OUTPUTS.c.id.in_(_outputs(study)))),
        quarantined=tuple(
            dict.fromkeys(
                [
                    *paths(select(QUARANTINE.c.path).where(or_(*_quarantined(study)))),
                    *quarantined,
                ]
            )
        ),
        series=len(connection.execute(_series(study)).all()),
        jobs=len(jobs),
        running=sum(state == JobState.RUNNING and (lease or 0) > now for state, lease in jobs),
        waiting=tuple(f"{count} {what}" for what, count in waiting.items() if count),
        undelivered=bool(waiting[UNSENT] or waiting[UNCLOSED]),
    )


def _waiting(connection: Connection, study: str) -> dict[str, int]:
    """How much of what is still to come."""
    deliveries = DELIVERIES.c.output_id.in_(_outputs(study))
    due = select(PROMISES.c.id).join(PROMISE_ITEMS).where(PROMISES.c.state == PromiseState.DUE)
    queries: dict[str, Select[Any]] = {
        "series still arriving": _series(study).where(SERIES.c.state == SeriesState.RECEIVING),
        "jobs to be done": _jobs(study).where(JOBS.c.state.in_([JobState.QUEUED, JobState.RUNNING])),
        UNSENT: select(DELIVERIES.c.id).where(deliveries, DELIVERIES.c.state.in_(_OPEN)),
        UNCLOSED: select(DELIVERIES.c.id).where(
            deliveries, DELIVERIES.c.closing != Closing.NOTHING, DELIVERIES.c.state.not_in(_OPEN)
        ),
        "reports on storage commitment due": due.where(PROMISE_ITEMS.c.sop_instance_uid.in_(_uids(study))).distinct(),
    }
    return {what: len(connection.execute(query).all()) for what, query in queries.items()}


def _live(connection: Connection, study: Stored) -> bool:
    """Whether a file of the study is wanted again, or a row came that was not looked at."""
    uid = study.study_instance_uid
    queries: list[tuple[Table, ColumnElement[bool]]] = [
        (INSTANCES, INSTANCES.c.study_instance_uid == uid),
        (OUTPUTS, OUTPUTS.c.id.in_(_outputs(uid))),
        (QUARANTINE, QUARANTINE.c.path.in_(study.quarantined)),
    ]
    if any(
        connection.execute(select(table.c.id).where(which, table.c.purged_at.is_(None)).limit(1)).first()
        for table, which in queries
    ):
        return True
    jobs = connection.execute(select(JOBS.c.id).where(JOBS.c.series_id.in_(_series(uid)))).all()
    return len(jobs) != study.jobs


def _forget(connection: Connection, study: Stored) -> None:
    uid = study.study_instance_uid
    quarantined = select(QUARANTINE.c.id).where(QUARANTINE.c.path.in_(study.quarantined))
    _history(connection, uid, quarantined)
    _forget_requests(connection, uid)
    connection.execute(delete(DELIVERIES).where(DELIVERIES.c.output_id.in_(_outputs(uid))))
    # A later scan that was compared with this one keeps its figures, not the pointer.
    pointed = RESULTS.c.baseline_job_id.in_(_jobs(uid))
    connection.execute(update(RESULTS).where(pointed).values(baseline_job_id=None))
    connection.execute(delete(RESULTS).where(RESULTS.c.job_id.in_(_jobs(uid))))
    connection.execute(delete(OUTPUTS).where(OUTPUTS.c.job_id.in_(_jobs(uid))))
    connection.execute(delete(JOBS).where(JOBS.c.series_id.in_(_series(uid))))
    connection.execute(delete(QUARANTINE).where(QUARANTINE.c.path.in_(study.quarantined)))
    for table in (SERIES, ONSETS, HOLDS, INSTANCES):
        connection.execute(delete(table).where(table.c.study_instance_uid == uid))


def _forget_requests(connection: Connection, uid: str) -> None:
    """Deletes what was asked and promised of a study about storage commitment, and the history of requests that go."""
    asked = select(COMMITMENT_ITEMS.c.commitment_id).where(COMMITMENT_ITEMS.c.delivery_id.in_(_deliveries(uid)))
    requests = list(connection.execute(asked.distinct()).scalars())
    told = select(PROMISES.c.id).where(PROMISES.c.state != PromiseState.DUE)
    # Those who point go before those they point at.
    connection.execute(delete(COMMITMENT_ITEMS).where(COMMITMENT_ITEMS.c.delivery_id.in_(_deliveries(uid))))
    rest = select(COMMITMENT_ITEMS.c.commitment_id)
    _delete_with_history(connection, COMMITMENTS, Entity.COMMITMENT, requests, COMMITMENTS.c.id.not_in(rest))
    # A report that is still due goes out, and says of these instances that there is no such one.
    reported = PROMISE_ITEMS.c.sop_instance_uid.in_(_uids(uid)) & PROMISE_ITEMS.c.promise_id.in_(told)
    promises = list(connection.execute(select(PROMISE_ITEMS.c.promise_id).where(reported).distinct()).scalars())
    connection.execute(delete(PROMISE_ITEMS).where(reported))
    left = select(PROMISE_ITEMS.c.promise_id)
    _delete_with_history(connection, PROMISES, Entity.PROMISE, promises, PROMISES.c.id.not_in(left))


def _delete_with_history(
    connection: Connection, table: Table, entity: Entity, ids: Sequence[int], empty: ColumnElement[bool]
) -> None:
    """Deletes those of the rows ``ids`` that are ``empty``, and what was noted of them."""
    gone = list(connection.execute(select(table.c.id).where(table.c.id.in_(ids), empty)).scalars())
    connection.execute(delete(table).where(table.c.id.in_(gone)))
    connection.execute(delete(AUDIT).where(AUDIT.c.entity == entity, AUDIT.c.entity_id.in_(gone)))


def _history(connection: Connection, study: str, quarantined: Select[tuple[int]]) -> None:
    """Deletes the audit rows of a study's rows: their words may quote a header."""
    instances = select(INSTANCES.c.id).where(INSTANCES.c.study_instance_uid == study)
    about: dict[Entity, Select[Any]] = {
        Entity.SERIES: _series(study),
        Entity.JOB: _jobs(study),
        Entity.DELIVERY: _deliveries(study),
        Entity.INSTANCE: instances,
        Entity.QUARANTINE: quarantined,
    }
    which = [(AUDIT.c.entity == entity) & AUDIT.c.entity_id.in_(ids) for entity, ids in about.items()]
    connection.execute(delete(AUDIT).where(or_(*which)))


def _of(study: str) -> ColumnElement[bool]:
    return SERIES.c.study_instance_uid == study


def _series(study: str) -> Select[tuple[int]]:
    return select(SERIES.c.id).where(_of(study))


def _jobs(study: str) -> Select[tuple[int]]:
    return select(JOBS.c.id).where(JOBS.c.series_id.in_(_series(study)))


def _quarantined(study: str) -> tuple[ColumnElement[bool], ...]:
    return QUARANTINE.c.study_instance_uid == study, QUARANTINE.c.sop_instance_uid.in_(_uids(study))


def _uids(study: str) -> Select[tuple[str]]:
    return select(INSTANCES.c.sop_instance_uid).where(INSTANCES.c.study_instance_uid == study)


def _outputs(study: str) -> Select[tuple[int]]:
    return select(OUTPUTS.c.id).where(OUTPUTS.c.job_id.in_(_jobs(study)))


def _deliveries(study: str) -> Select[tuple[int]]:
    return select(DELIVERIES.c.id).where(DELIVERIES.c.output_id.in_(_outputs(study)))
