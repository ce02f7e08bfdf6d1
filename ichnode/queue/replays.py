"""Which series a replay speaks of."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select, true

from ichnode.domain.states import Decision, JobState, SeriesState
from ichnode.queue.database import Database
from ichnode.queue.jobs import JobKind
from ichnode.queue.tables import INSTANCES, JOBS, SERIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a replay asks for; all that is given must hold. Dates (YYYYMMDD) are the study's."""

    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    series_instance_uids: tuple[str, ...] | None = None
    accession_key: str | None = None
    date_from: str | None = None
    date_to: str | None = None
    state: JobState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayable:
    """The newest settled revision of a series. ``purged``: its images are deleted. ``waiting_job``: an analysis
    that already waits or runs, 0 for none."""

    series_id: int
    series_instance_uid: str
    study_instance_uid: str
    decision: Decision
    decision_text: str
    purged: bool
    waiting_job: int


def find(db: Database, wanted: Wanted) -> list[Replayable]:
    """The decided series that fit, oldest first."""
    instances = select(INSTANCES.c.series_instance_uid).where(_of_instances(wanted))
    query = select(SERIES).where(
        SERIES.c.state == SeriesState.SETTLED,
        SERIES.c.decision != Decision.PENDING,
        SERIES.c.series_instance_uid.in_(instances),
    )
    found: list[Replayable] = []
    with db.read() as connection:
        for row in connection.execute(query.order_by(SERIES.c.id)).mappings().all():
            of_series = select(JOBS.c.id, JOBS.c.state, JOBS.c.kind).where(JOBS.c.series_id == row["id"])
            jobs = connection.execute(of_series.order_by(JOBS.c.id)).all()
            if wanted.state is not None and (not jobs or wanted.state not in {state for _, state, _ in jobs}):
                continue
            gone = select(INSTANCES.c.id).where(
                INSTANCES.c.series_instance_uid == row["series_instance_uid"], INSTANCES.c.purged_at.is_not(None)
            )
            open_ones = [(job, kind) for job, state, kind in jobs if state in (JobState.QUEUED, JobState.RUNNING)]
            waits = [job for job, kind in open_ones if kind == JobKind.ANALYSE]  # one that explains analyses nothing
            found.append(
                Replayable(
                    series_id=row["id"],
                    series_instance_uid=row["series_instance_uid"],
                    study_instance_uid=row["study_instance_uid"],
                    decision=Decision(row["decision"]),
                    decision_text=row["decision_text"],
                    purged=connection.execute(gone.limit(1)).first() is not None,
                    waiting_job=waits[-1] if waits else 0,
                )
            )
    return found


def _of_instances(wanted: Wanted) -> ColumnElement[bool]:
    """The conditions on the instances."""
    date = INSTANCES.c.facts["study_date"].as_string()
    conditions: list[ColumnElement[bool]] = [true()]
    if wanted.study_instance_uid:
        conditions.append(INSTANCES.c.study_instance_uid == wanted.study_instance_uid)
    if wanted.series_instance_uid:
        conditions.append(INSTANCES.c.series_instance_uid == wanted.series_instance_uid)
    if wanted.series_instance_uids is not None:
        conditions.append(INSTANCES.c.series_instance_uid.in_(wanted.series_instance_uids))
    if wanted.accession_key:
        conditions.append(INSTANCES.c.facts["accession_key"].as_string() == wanted.accession_key)
    if wanted.date_from:
        conditions.append(date >= wanted.date_from)
    if wanted.date_to:
        conditions.append((date <= wanted.date_to) & (date != ""))
    return and_(*conditions)
