"""What finished analyses measured, in figures, and the onsets that a person told."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select

from ichnode.domain.errors import ConfigError
from ichnode.domain.figures import Figures
from ichnode.domain.onset import LONGEST_H
from ichnode.domain.states import JobState, SeriesState
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database
from ichnode.queue.followups import Comparison, acquired_at_of, image_paths, may_be_in_force
from ichnode.queue.tables import INSTANCES, JOBS, ONSETS, RESULTS, SERIES

PREDICTED: Final = ("probability", "threshold", "trained")
EXPLAIN: Final = "explain"  # the kind of job that analyses nothing
ONE_CT_S: Final = 600.0  # a scout, a scan and its reconstructions are one CT


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A scan that was compared with an earlier one: what was predicted at the earlier, and what was observed.

    ``hours`` between the two. Probability and threshold are None where the earlier one's weights, ``weights``, might
    not speak of expansion; ``trained``: on patients' outcomes.
    """

    baseline_study: str
    followup_study: str
    hours: float
    baseline_ml: float
    growth_ml: float
    growth_percent: float | None
    expanded: bool
    weights: str
    probability: float | None
    threshold: float | None
    trained: bool | None


def add_result(connection: Connection, job_id: int, figures: Figures, compared: Comparison) -> None:
    """Keeps the figures of a job, within the transaction that ends it."""
    names = [column.name for column in RESULTS.columns if column.name in Figures.__dataclass_fields__]
    values = {name: getattr(figures, name) for name in names}
    values["facts"] = dict(figures.facts) | {"undetermined": figures.undetermined}
    values |= {"job_id": job_id, "acquired_at": compared.acquired_at, "compared": compared.digest}
    connection.execute(insert(RESULTS).values(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A series with a report to be made anew. ``weights``: a folder that a replay named, None: the configured one."""

    series_id: int
    weights: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reports:
    """What of a study is to be told: reports to be made ``anew``, and jobs that wait and will tell it by themselves."""

    anew: tuple[InForce, ...]
    waiting: tuple[int, ...]


def onset_h(db: Database, series_id: int) -> float | None:
    """Hours from onset to the CT of a series, by what a person told last of its study; None where nobody did.

    What is told is the time to the study's first CT; a later one of the study was taken so much later. None as well
    where that makes more than seven days.
    """
    with db.read() as connection:
        study = connection.execute(select(SERIES.c.study_instance_uid).where(SERIES.c.id == series_id)).scalar_one()
        told = select(ONSETS.c.hours).where(ONSETS.c.study_instance_uid == study).order_by(ONSETS.c.id.desc())
        hours = connection.execute(told.limit(1)).scalar()
        if hours is None:
            return None
        hours += _after_first_s(connection, series_id, study) / 3600
    return hours if hours <= LONGEST_H else None


def _after_first_s(connection: Connection, series_id: int, study_instance_uid: str) -> float:
    """Seconds from the first CT of a study to that of a series; 0 for the first, and where the headers do not say."""
    of_study = (INSTANCES.c.study_instance_uid == study_instance_uid) & (
        INSTANCES.c.facts["modality"].as_string() == "CT"
    )
    first = connection.execute(select(func.min(INSTANCES.c.facts["acquired_at"].as_float())).where(of_study)).scalar()
    this = acquired_at_of(connection, series_id)
    later = this - first if this is not None and first is not None else 0.0
    return later if later >= ONE_CT_S else 0.0


def write_onset(connection: Connection, study_instance_uid: str, hours: float | None, *, now: float) -> None:
    """Keeps what a person told of a study, or with None takes it back. Raises ConfigError for what cannot be."""
    if hours is None:
        connection.execute(delete(ONSETS).where(ONSETS.c.study_instance_uid == study_instance_uid))
    else:
        check_onset(hours)
        values = {"study_instance_uid": study_instance_uid, "hours": hours, "at": now}
        connection.execute(insert(ONSETS).values(values))
    text = "onset to CT: taken back" if hours is None else f"onset to CT: {hours:.2f} h, told by hand"
    of_study = select(SERIES.c.id, SERIES.c.state).where(SERIES.c.study_instance_uid == study_instance_uid)
    for series_id, state in connection.execute(of_study).all():
        note(connection, Entity.SERIES, series_id, now=now, old=state, new=state, text=text)


def check_onset(hours: float) -> None:
    """Raises ConfigError for hours from onset to CT that are negative, more than seven days, or no number."""
    if not 0 <= hours <= LONGEST_H:
        hint = "Tell the time from the first symptom to the CT: h:mm, from 0:00 to 168:00."
        raise ConfigError(f"An onset {hours:g} hours before the CT cannot be.", hint=hint)


def reportable(connection: Connection, study_instance_uid: str, *, urgent: int) -> Reports:
    """What tells something new of a study, a series at a time.

    A report that is out, or being made, is made anew, unless a job waits that will tell it as soon: of a priority of
    at least ``urgent``. Where retention has deleted the images it stays as it is. Where none is out, whatever waits.
    """
    query = (
        select(SERIES.c.id.label("series_id"), JOBS.c.id, JOBS.c.state, JOBS.c.weights, JOBS.c.priority)
        .join(JOBS, JOBS.c.series_id == SERIES.c.id)
        .where(
            SERIES.c.study_instance_uid == study_instance_uid,
            SERIES.c.state == SeriesState.SETTLED,
            JOBS.c.kind != EXPLAIN,
            JOBS.c.state.in_([JobState.QUEUED, JobState.RUNNING, JobState.DONE]),
        )
        .order_by(SERIES.c.id, JOBS.c.state == JobState.RUNNING, JOBS.c.finished_at, JOBS.c.id)
    )
    anew: list[InForce] = []
    waiting: list[int] = []
    for series_id, jobs in groupby(connection.execute(query), key=lambda row: row.series_id):
        rows = list(jobs)
        queued = [row for row in rows if row.state == JobState.QUEUED]
        out = [row.weights for row in rows if row.state != JobState.QUEUED]
        soon = any(row.priority <= urgent for row in queued)
        if out and not soon and image_paths(connection, series_id):
            anew.append(InForce(series_id=series_id, weights=None if None in out else out[-1]))  # a trial only if alone
        else:
            waiting += [row.id for row in queued if row.priority <= urgent or not soon]
    return Reports(anew=tuple(anew), waiting=tuple(waiting))


def figures_of(connection: Connection, job_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Job id -> its row of figures."""
    rows = connection.execute(select(RESULTS).where(RESULTS.c.job_id.in_(job_ids))).mappings()
    return {row["job_id"]: dict(row) for row in rows}


def outcomes(db: Database) -> list[Outcome]:
    """Every follow-up whose result is in force, by the time of its baseline and its own; each with what was predicted.

    The prediction is that of the job which the follow-up was compared with.
    """
    later, earlier = RESULTS.alias(), RESULTS.alias()
    job, series, first_job, first = JOBS.alias(), SERIES.alias(), JOBS.alias(), SERIES.alias()
    query = (
        select(
            series.c.id.label("series_id"),
            first.c.study_instance_uid.label("baseline_study"),
            series.c.study_instance_uid.label("followup_study"),
            job.c.state,
            later,
            earlier.c.acquired_at.label("first_at"),
            earlier.c.volume_ml.label("first_ml"),
            earlier.c.facts.label("first_facts"),
            *(
                earlier.c[f"expansion_{name}"].label(f"first_{name}")
                for name in ("probability", "threshold", "trained")
            ),
        )
        .select_from(job)
        .join(series, job.c.series_id == series.c.id)
        .join(later, later.c.job_id == job.c.id)
        .outerjoin(earlier, earlier.c.job_id == later.c.baseline_job_id)
        .outerjoin(first_job, first_job.c.id == earlier.c.job_id)
        .outerjoin(first, first.c.id == first_job.c.series_id)
        .where(may_be_in_force(job, series))
        .order_by(job.c.finished_at, job.c.id)
    )
    with db.read() as connection:
        in_force = {row["series_id"]: row for row in connection.execute(query).mappings()}
    compared = [row for row in in_force.values() if row["growth_ml"] is not None and row["first_ml"] is not None]
    return [_outcome(row) for row in sorted(compared, key=lambda row: (row["first_at"], row["acquired_at"]))]


def _outcome(row: Any) -> Outcome:
    return Outcome(
        **{name: row[name] for name in ("baseline_study", "followup_study", "growth_ml", "growth_percent", "expanded")},
        hours=(row["acquired_at"] - row["first_at"]) / 3600,
        baseline_ml=row["first_ml"],
        weights=row["first_facts"].get("weights", ""),
        **{name: row[f"first_{name}"] for name in PREDICTED},
    )
