"""The results of one patient in the order in which the scans were taken: what each is to be compared with.

Baseline of a scan is the earliest in the window before it that shows a haematoma: expansion is defined from the first
scan on, and a later one has part of the growth behind it. What came in between is kept for the curve over time.

Each result keeps a digest of the earlier results that it knew of. Where that digest is no longer what it would be, for
an earlier scan has come or changed its volume, the scan is analysed again. A digest is a function of earlier scans
alone, so this comes to an end.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, FromClause, and_, func, select

from ichnode.domain.followup import Baseline
from ichnode.domain.outputs import Reference
from ichnode.domain.states import JobState, SeriesState
from ichnode.queue.database import Database
from ichnode.queue.tables import INSTANCES, JOBS, OUTPUTS, RESULTS, SERIES

LEAST_S: Final = 3600.0  # scans nearer than this are one examination
MOST_S: Final = 7 * 86400.0  # what happens later is no early growth
DIGITS: Final = 2  # of a volume in mL: what floating point does beyond them makes nothing stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the queue knows of a series before it is analysed: when it was taken and what it is to be compared with.

    ``baseline`` has paths relative to the store. ``digest`` is empty where there is nothing to compare with.
    """

    acquired_at: float | None = None
    baseline: Baseline | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """The result in force of one series; ``volume_ml`` is None where it is undetermined."""

    series_id: int
    study_instance_uid: str
    series_instance_uid: str
    acquired_at: float
    volume_ml: float | None
    job_id: int
    report_uid: str | None
    seg_uid: str | None
    compared: str
    weights_sha256: str


def comparison(db: Database, series_id: int) -> Comparison:
    """What one revision of a series is to be compared with."""
    with db.read() as connection:
        taken = _taken(connection, series_id)
        if taken is None:
            return Comparison(acquired_at=acquired_at_of(connection, series_id))
        patient, acquired_at = taken
        earlier = _earlier(_scans(connection, patient), acquired_at)
        baseline = _baseline(connection, earlier) if earlier else None
        return Comparison(acquired_at=acquired_at, baseline=baseline, digest=_digest(earlier))


def stale_after(connection: Connection, series_id: int, *, measured: bool) -> list[int]:
    """The series that must be compared again, now that this one has ended: itself and those taken later.

    One whose images retention has deleted stays as it is, and so does this one where it ended without having
    ``measured`` anything: it would again, for ever. One that is being analysed looks for itself at its end.
    """
    taken = _taken(connection, series_id)
    if taken is None:
        return []
    patient, acquired_at = taken
    scans = _scans(connection, patient)
    itself = {series_id} if measured else set()
    touched = [scan for scan in scans if scan.series_id in itself or _in_window(acquired_at, scan.acquired_at)]
    return [
        scan.series_id
        for scan in touched
        if scan.compared != _digest(_earlier(scans, scan.acquired_at))
        and not _is_awaited(connection, scan.series_id)
        and image_paths(connection, scan.series_id)
    ]


def _in_window(earlier_at: float, later_at: float) -> bool:
    return LEAST_S <= later_at - earlier_at <= MOST_S


def _earlier(scans: Sequence[_Scan], acquired_at: float) -> list[_Scan]:
    """The scans to compare with, from the first that shows a haematoma on; empty where none does.

    Of several series of one examination the first that was decided on stands for all.
    """
    kept: list[_Scan] = []
    for scan in sorted(scans, key=lambda each: (each.acquired_at, each.series_id)):
        same = any(
            one.study_instance_uid == scan.study_instance_uid and scan.acquired_at - one.acquired_at < LEAST_S
            for one in kept
        )
        if _in_window(scan.acquired_at, acquired_at) and scan.volume_ml is not None and not same:
            kept.append(scan)
    first = next((index for index, scan in enumerate(kept) if scan.volume_ml), len(kept))
    return kept[first:]


def _digest(earlier: Sequence[_Scan]) -> str:
    if not earlier:
        return ""
    first = earlier[0]
    curve = [(scan.acquired_at, round(scan.volume_ml or 0.0, DIGITS)) for scan in earlier]
    said = [first.series_instance_uid, first.seg_uid, first.weights_sha256, curve]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _baseline(connection: Connection, earlier: Sequence[_Scan]) -> Baseline | None:
    first = earlier[0]
    report, _ = _output(connection, first.report_uid)
    seg, seg_path = _output(connection, first.seg_uid)
    if report is None:
        return None
    return Baseline(
        study_instance_uid=first.study_instance_uid,
        acquired_at=first.acquired_at,
        volume_ml=first.volume_ml or 0.0,
        paths=image_paths(connection, first.series_id),
        report=report,
        seg_path=seg_path,
        seg=seg,
        earlier=tuple((scan.acquired_at, scan.volume_ml or 0.0) for scan in earlier),
        job_id=first.job_id,
        weights_sha256=first.weights_sha256,
    )


def _output(connection: Connection, uid: str | None) -> tuple[Reference | None, str | None]:
    """An object by its UID, and its path where it is still on disk."""
    row = connection.execute(select(OUTPUTS).where(OUTPUTS.c.sop_instance_uid == uid)).mappings().one_or_none()
    if row is None:
        return None, None
    reference = Reference(
        sop_class_uid=row["sop_class_uid"],
        sop_instance_uid=row["sop_instance_uid"],
        series_instance_uid=row["series_instance_uid"],
        profiles=tuple(row["profiles"]),
    )
    return reference, None if row["purged_at"] is not None else row["path"]


def _scans(connection: Connection, patient_key: str) -> list[_Scan]:
    """The result in force of each series of a patient."""
    query = (
        select(SERIES, RESULTS, SERIES.c.id.label("series_row"))
        .join(JOBS, JOBS.c.series_id == SERIES.c.id)
        .join(RESULTS, RESULTS.c.job_id == JOBS.c.id)
        .where(SERIES.c.patient_key == patient_key, may_be_in_force(JOBS, SERIES))
        .order_by(JOBS.c.finished_at, JOBS.c.id)
    )
    last = {row["series_row"]: row for row in connection.execute(query).mappings()}
    return [
        _Scan(
            series_id=series_id,
            volume_ml=None if row["facts"].get("undetermined") else row["volume_ml"],
            **{name: row[name] for name in ("study_instance_uid", "series_instance_uid", "acquired_at", "job_id")},
            **{name: row[name] for name in ("report_uid", "seg_uid", "compared")},
            weights_sha256=row["facts"].get("weights_sha256", ""),
        )
        for series_id, row in last.items()
        if row["acquired_at"] is not None
    ]


def may_be_in_force(job: FromClause, series: FromClause) -> ColumnElement[bool]:
    """Of the jobs with a result that fit, the one that ended last holds: of the newest settled revision of its series.

    A run with weights of its own is a trial and displaces nothing; one that was rejected takes no result back.
    """
    return and_(series.c.state == SeriesState.SETTLED, job.c.state == JobState.DONE, job.c.weights.is_(None))


def _taken(connection: Connection, series_id: int) -> tuple[str, float] | None:
    """Patient key and time of acquisition of a series in force; None where it can be no part of a follow-up."""
    row = connection.execute(select(SERIES).where(SERIES.c.id == series_id)).mappings().one()
    acquired_at = acquired_at_of(connection, series_id)
    named = INSTANCES.c.facts["identified"].as_boolean()
    unnamed = select(INSTANCES.c.id).where(_of_series(series_id), named.is_not(True)).limit(1)
    if acquired_at is None or row["state"] != SeriesState.SETTLED or connection.execute(unnamed).first():
        return None
    return str(row["patient_key"]), acquired_at


def acquired_at_of(connection: Connection, series_id: int) -> float | None:
    """When the first image of the series was taken."""
    at = INSTANCES.c.facts["acquired_at"].as_float()
    return connection.execute(select(func.min(at)).where(_of_series(series_id))).scalar()


def image_paths(connection: Connection, series_id: int) -> tuple[str, ...]:
    """The images of one revision of a series; none where one of them is deleted."""
    rows = connection.execute(select(INSTANCES.c.path, INSTANCES.c.purged_at).where(_of_series(series_id))).all()
    return () if any(purged_at is not None for _, purged_at in rows) else tuple(path for path, _ in rows)


def _of_series(series_id: int) -> ColumnElement[bool]:
    """The instances of one revision of a series."""
    uid = select(SERIES.c.series_instance_uid).where(SERIES.c.id == series_id).scalar_subquery()
    revision = select(SERIES.c.revision).where(SERIES.c.id == series_id).scalar_subquery()
    return and_(INSTANCES.c.series_instance_uid == uid, INSTANCES.c.revision <= revision)


def _is_awaited(connection: Connection, series_id: int) -> bool:
    """Whether a job waits that will compare the series anew, or one is at it that looks again at its end.

    A trial does neither: its result is not the one in force.
    """
    waits = and_(JOBS.c.state == JobState.QUEUED, JOBS.c.kind == "analyse")
    busy = and_(JOBS.c.series_id == series_id, JOBS.c.weights.is_(None), waits | (JOBS.c.state == JobState.RUNNING))
    return connection.execute(select(JOBS.c.id).where(busy).limit(1)).first() is not None
