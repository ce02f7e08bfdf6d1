"""The scans of one patient in time: what each is compared with, and who is compared again, whatever the order."""

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from ichnode.domain.errors import ConfigError
from ichnode.domain.figures import Figures
from ichnode.domain.outputs import ObjectKind, OutputFile
from ichnode.domain.states import Decision, JobState
from ichnode.queue.database import open_database
from ichnode.queue.followups import comparison
from ichnode.queue.intake import record
from ichnode.queue.jobs import JobKind, Told, claim, finish, replay, tell_onset
from ichnode.queue.outbox import Route
from ichnode.queue.results import onset_h, outcomes
from ichnode.queue.series import decide, receiving, settle
from ichnode.queue.tables import DELIVERIES, INSTANCES, JOBS, RESULTS

HOUR = 3600.0
T0 = 1_700_000_000.0
ROUTE = Route(destination="pacs", kinds=frozenset(ObjectKind), not_analysed=True)


@pytest.fixture
def arrive(db, make_instance):
    """A scan of a patient comes and is queued: ``hours`` after T0. Returns its series' row id."""

    def add(
        name: str, hours: float | None, *, patient: str = "p", identified: bool = True, first: int = 0, series: str = ""
    ) -> int:
        series, study = series or f"1.{name}.1", f"1.{name}"
        at = None if hours is None else T0 + hours * HOUR
        for number in range(first, first + 3):
            one = make_instance(number, series=series, study=study, patient=patient)
            facts = replace(one.facts, acquired_at=None if at is None else at + number, identified=identified)
            record(db, replace(one, facts=facts), now=number)
        [row] = receiving(db)
        settle(db, row.id, missing=0, text="complete", now=10)
        decide(db, {row.id: (Decision.ANALYSE, "because")}, now=10)
        return row.id

    return add


class Bench:
    """A worker that measures what it is told: a series by its row id has these mL."""

    def __init__(self, db):
        self.db, self.ml, self.now, self.told = db, {}, 100.0, []

    def run(self) -> list[tuple[int, JobKind]]:
        """Does all jobs that wait. Returns (series, kind) in order."""
        did = []
        while (lease := self.claim()) is not None:
            self.end(lease, comparison(self.db, lease.series_id))
            did.append((lease.series_id, lease.kind))
            assert len(did) < 30, "it goes on for ever"
        return did

    def claim(self):
        self.now += 1
        return claim(self.db, owner="w", now=self.now, lease_s=60, max_attempts=3)

    def reject(self) -> int:
        """Refuses the next job. Returns its series."""
        lease = self.claim()
        finish(self.db, lease, JobState.REJECTED, outputs=[], routes=[ROUTE], reason="no head", now=self.now)
        return lease.series_id

    def end(self, lease, compared):
        self.now += 1
        ml = self.ml[lease.series_id]
        first = compared.baseline
        said = f"{lease.series_id}.{ml:g}.{compared.digest[:8]}.{onset_h(self.db, lease.series_id)}"
        uids = {kind: f"2.25.{abs(hash((kind, said)))}" for kind in (ObjectKind.SEG, ObjectKind.SR)}
        outputs = [output(kind, uid) for kind, uid in uids.items() if lease.kind != JobKind.REPORT or kind == "SR"]
        figures = Figures(
            volume_ml=ml,
            report_uid=uids[ObjectKind.SR],
            seg_uid=uids[ObjectKind.SEG],
            expansion_probability=0.7,
            expansion_threshold=0.5,
            expansion_trained=True,
            baseline_job_id=first.job_id if first else None,
            growth_ml=ml - first.volume_ml if first else None,
            expanded=ml - first.volume_ml >= 6 if first else None,
            facts={"weights": "w 1", "weights_sha256": "ab" * 32},
        )
        finish(
            self.db, lease, JobState.DONE, outputs=outputs, routes=[ROUTE], reason="", now=self.now,
            figures=figures, compared=compared,
        )  # fmt: skip


def output(kind: ObjectKind, uid: str) -> OutputFile:
    return OutputFile(
        kind=kind, number=1, sop_class_uid="1.2", sop_instance_uid=uid, series_instance_uid=f"{uid}.1",
        path=f"outputs/{uid}", sha256="0",
    )  # fmt: skip


@pytest.fixture
def bench(db):
    return Bench(db)


def growth(db, series_id: int) -> float | None:
    """mL, as the newest result of the series has it."""
    query = (
        select(RESULTS.c.growth_ml)
        .join(JOBS, RESULTS.c.job_id == JOBS.c.id)
        .where(JOBS.c.series_id == series_id)
        .order_by(RESULTS.c.id.desc())
    )
    with db.read() as connection:
        return connection.execute(query.limit(1)).scalar()


def deliveries(db) -> int:
    with db.read() as connection:
        return len(connection.execute(select(DELIVERIES.c.id)).all())


def test_a_later_scan_of_a_patient_is_compared_with_the_earlier_one(db, arrive, bench):
    first = arrive("1", 0)
    bench.ml[first] = 10.0
    bench.run()
    later = arrive("2", 24)
    found = comparison(db, later)
    assert found.acquired_at == T0 + 24 * HOUR
    assert found.baseline is not None
    assert (found.baseline.study_instance_uid, found.baseline.volume_ml) == ("1.1", 10.0)
    assert found.baseline.paths == tuple(f"instances/1.1.1.{n}.dcm" for n in range(3))
    assert found.baseline.seg_path == f"outputs/{found.baseline.seg.sop_instance_uid}"
    assert found.baseline.earlier == ((T0, 10.0),)


@pytest.mark.parametrize(
    ("why", "options"),
    [
        ("another patient", {"patient": "q"}),
        ("nobody: no patient ID", {"identified": False}),
        ("no time of acquisition", {"hours": None}),
        ("less than an hour later", {"hours": 0.9}),
        ("more than seven days later", {"hours": 7 * 24 + 1}),
        ("earlier", {"hours": -5}),
    ],
)
def test_what_is_no_follow_up_is_compared_with_nothing(db, arrive, bench, why, options):
    bench.ml[arrive("1", 0)] = 10.0
    bench.run()
    later = arrive("2", options.pop("hours", 24), **options)
    assert comparison(db, later).baseline is None, why


def test_the_earliest_scan_with_a_haematoma_is_the_baseline_and_all_make_the_curve(db, arrive, bench):
    for name, hours, ml in (("1", 0, 0.0), ("2", 2, 8.0), ("3", 20, 9.0)):
        bench.ml[arrive(name, hours)] = ml
        bench.run()
    found = comparison(db, arrive("4", 30)).baseline
    assert (found.study_instance_uid, found.volume_ml) == ("1.2", 8.0)
    assert found.earlier == ((T0 + 2 * HOUR, 8.0), (T0 + 20 * HOUR, 9.0))


def test_an_earlier_scan_that_shows_no_brain_is_no_volume_of_nothing(db, arrive, bench):
    bench.ml[arrive("1", 0)] = 10.0
    bench.ml[arrive("2", 5)] = 0.0
    bench.run()
    with db.write() as connection:
        connection.execute(update(RESULTS).where(RESULTS.c.volume_ml == 0).values(facts={"undetermined": True}))
    assert comparison(db, arrive("3", 24)).baseline.earlier == ((T0, 10.0),)


def test_images_that_retention_deleted_are_not_handed_on_while_the_volume_still_counts(db, arrive, bench):
    bench.ml[arrive("1", 0)] = 10.0
    bench.run()
    with db.write() as connection:
        connection.execute(update(INSTANCES).where(INSTANCES.c.id == 1).values(purged_at=1))
    found = comparison(db, arrive("2", 24)).baseline
    assert (found.volume_ml, found.paths) == (10.0, ())


@pytest.mark.parametrize("order", [("1", "2", "3"), ("3", "2", "1"), ("2", "3", "1"), ("3", "1", "2")])
def test_in_whatever_order_scans_arrive_the_same_growth_is_found_in_the_end(db, arrive, bench, order):
    hours, ml = {"1": 0, "2": 6, "3": 24}, {"1": 10.0, "2": 14.0, "3": 19.0}
    ids = {}
    for name in order:
        ids[name] = arrive(name, hours[name])
        bench.ml[ids[name]] = ml[name]
        bench.run()
    assert [growth(db, ids[name]) for name in "123"] == [None, 4.0, 9.0]
    with db.read() as connection:
        last = (
            select(RESULTS.c.compared)
            .join(JOBS, RESULTS.c.job_id == JOBS.c.id)
            .where(JOBS.c.series_id == ids["3"])
            .order_by(RESULTS.c.id.desc())
        )
        assert connection.execute(last.limit(1)).scalar() == comparison(db, ids["3"]).digest


def test_an_earlier_scan_that_arrives_late_revises_the_follow_up_once_behind_new_studies(db, arrive, bench):
    later = arrive("2", 24)
    bench.ml[later] = 19.0
    bench.run()
    first = arrive("1", 0)
    bench.ml[first] = 10.0
    lease = bench.claim()
    bench.end(lease, comparison(db, first))
    new = arrive("9", 0, patient="q")
    bench.ml[new] = 1.0
    assert bench.run() == [(new, JobKind.ANALYSE), (later, JobKind.ANALYSE)]
    assert bench.run() == []


def test_two_earlier_scans_that_arrive_late_revise_the_follow_up_once(db, arrive, bench):
    later = arrive("3", 24)
    bench.ml[later] = 19.0
    bench.run()
    bench.ml |= {arrive("1", 0): 10.0, arrive("2", 5): 14.0}
    for _ in range(2):
        lease = bench.claim()
        bench.end(lease, comparison(db, lease.series_id))
    assert [series for series, _ in bench.run()].count(later) == 1


def test_a_replay_of_the_baseline_that_says_the_same_changes_nothing_twice(db, arrive, bench):
    first, later = arrive("1", 0), arrive("2", 24)
    bench.ml |= {first: 10.0, later: 19.0}
    bench.run()
    sent = deliveries(db)
    replay(db, [first], weights=None, now=bench.now)
    assert bench.run() == [(first, JobKind.ANALYSE)]
    assert deliveries(db) == sent
    assert comparison(db, later).baseline.report.sop_instance_uid  # though the newest job has no object of its own


def test_a_replay_of_the_baseline_that_changes_its_volume_revises_the_follow_up(db, arrive, bench):
    first, later = arrive("1", 0), arrive("2", 24)
    bench.ml |= {first: 10.0, later: 19.0}
    bench.run()
    bench.ml[first] = 12.0
    replay(db, [first], weights=None, now=bench.now)
    assert bench.run() == [(first, JobKind.ANALYSE), (later, JobKind.ANALYSE)]
    assert growth(db, later) == 7.0


def test_a_volume_that_differs_beyond_a_hundredth_of_a_millilitre_revises_nothing(db, arrive, bench):
    first, later = arrive("1", 0), arrive("2", 24)
    bench.ml |= {first: 10.0, later: 19.0}
    bench.run()
    told = comparison(db, later).digest
    with db.write() as connection:
        connection.execute(update(RESULTS).where(RESULTS.c.volume_ml == 10.0).values(volume_ml=10.0000001))
    assert comparison(db, later).digest == told


def test_a_trial_of_other_weights_displaces_no_baseline_and_no_follow_up(db, arrive, bench):
    first, later = arrive("1", 0), arrive("2", 24)
    bench.ml |= {first: 10.0, later: 19.0}
    bench.run()
    bench.ml |= {first: 1.0, later: 2.0}
    replay(db, [first, later], weights="weights/trial", now=bench.now)
    assert bench.run() == [(first, JobKind.ANALYSE), (later, JobKind.ANALYSE)]  # and nothing is compared again
    assert comparison(db, later).baseline.volume_ml == 10.0
    assert [found.growth_ml for found in outcomes(db)] == [9.0]


def test_a_trial_that_waits_does_not_stand_for_a_follow_up_that_is_to_be_revised(db, arrive, bench):
    first, later = arrive("1", 0), arrive("2", 24)
    bench.ml |= {first: 10.0, later: 19.0}
    bench.run()
    bench.ml[first] = 12.0
    replay(db, [first], weights=None, now=bench.now)
    replay(db, [later], weights="weights/trial", now=bench.now)
    bench.end(bench.claim(), comparison(db, first))
    revision = bench.claim()
    assert (revision.series_id, revision.weights) == (later, None)


def test_what_the_weights_of_the_baseline_were_is_handed_on(db, arrive, bench):
    bench.ml[arrive("1", 0)] = 10.0
    bench.run()
    later = arrive("2", 24)
    assert comparison(db, later).baseline.weights_sha256 == "ab" * 32
    told = comparison(db, later).digest
    with db.write() as connection:
        connection.execute(update(RESULTS).values(facts={"weights_sha256": "cd" * 32}))
    assert comparison(db, later).digest != told


def test_a_baseline_that_ends_while_its_follow_up_is_analysed_is_not_forgotten(db, arrive, bench):
    first, later = arrive("1", 0), arrive("2", 24)
    bench.ml |= {first: 10.0, later: 19.0}
    one, other = bench.claim(), bench.claim()
    began = comparison(db, later)
    assert began.baseline is None
    bench.end(one, comparison(db, first))
    bench.end(other, began)
    assert bench.run() == [(later, JobKind.ANALYSE)]
    assert growth(db, later) == 9.0


def test_late_slices_of_the_baseline_revise_the_follow_up_when_their_volume_is_known(db, arrive, bench):
    first, later = arrive("1", 0), arrive("2", 24)
    bench.ml |= {first: 10.0, later: 19.0}
    bench.run()
    revised = arrive("1", 0, first=3)
    bench.ml[revised] = 11.0
    assert bench.run() == [(revised, JobKind.ANALYSE), (later, JobKind.ANALYSE)]
    assert growth(db, later) == 8.0


def test_a_baseline_whose_late_slices_cannot_be_analysed_takes_its_growth_with_it(db, arrive, bench):
    first, later = arrive("1", 0), arrive("2", 24)
    bench.ml |= {first: 10.0, later: 19.0}
    bench.run()
    arrive("1", 0, first=3)
    bench.reject()
    assert bench.run() == [(later, JobKind.ANALYSE)]
    assert growth(db, later) is None


def test_a_replay_that_is_rejected_takes_no_result_back(db, arrive, bench):
    first, later = arrive("1", 0), arrive("2", 24)
    bench.ml |= {first: 10.0, later: 19.0}
    bench.run()
    replay(db, [first], weights=None, now=bench.now)
    bench.reject()
    assert bench.run() == []
    assert comparison(db, later).baseline.volume_ml == 10.0
    assert len(tell_onset(db, "1.1", 1.5, now=bench.now).made) == 1


def test_a_revision_that_is_rejected_is_not_tried_for_ever(db, arrive, bench):
    later = arrive("2", 24)
    bench.ml[later] = 19.0
    bench.run()
    first = arrive("1", 0)
    bench.ml[first] = 10.0
    bench.end(bench.claim(), comparison(db, first))
    assert bench.reject() == later
    assert bench.run() == []


def test_a_follow_up_without_its_images_stays_as_it_is(db, arrive, bench):
    later = arrive("2", 24)
    bench.ml[later] = 19.0
    bench.run()
    with db.write() as connection:
        connection.execute(update(INSTANCES).values(purged_at=1))
    bench.ml[arrive("1", 0)] = 10.0
    assert len(bench.run()) == 1


def test_outcomes_are_what_the_baseline_predicted_beside_what_came(db, arrive, bench):
    for name, hours, ml in (("1", 0, 10.0), ("2", 24, 19.0), ("3", 48, 12.0)):
        bench.ml[arrive(name, hours)] = ml
    bench.run()
    found = outcomes(db)
    assert [(o.baseline_study, o.followup_study, o.hours, o.growth_ml, o.expanded) for o in found] == [
        ("1.1", "1.2", 24.0, 9.0, True),
        ("1.1", "1.3", 48.0, 2.0, False),
    ]
    assert (found[0].probability, found[0].threshold, found[0].trained, found[0].weights) == (0.7, 0.5, True, "w 1")


def test_an_onset_told_later_makes_the_report_alone_anew(db, arrive, bench):
    series = arrive("1", 0)
    bench.ml[series] = 10.0
    assert tell_onset(db, "1.1", 1.5, now=bench.now) == Told(made=(), waiting=(1,))  # it will take the onset up
    bench.run()
    assert tell_onset(db, "1.1", 2.0, now=bench.now) == Told(made=(2,), waiting=())
    assert onset_h(db, series) == 2.0
    assert tell_onset(db, "1.1", 2.5, now=bench.now) == Told(made=(), waiting=(2,))
    assert bench.run() == [(series, JobKind.REPORT)]


def test_an_onset_told_is_not_left_to_a_replay_behind_all_others(db, arrive, bench):
    series, other = arrive("1", 0), arrive("2", 0, patient="q")
    bench.ml |= {series: 10.0, other: 1.0}
    bench.run()
    replay(db, [other, series], weights=None, now=bench.now)
    assert tell_onset(db, "1.1", 1.5, now=bench.now) == Told(made=(5,), waiting=())
    assert bench.run() == [(series, JobKind.REPORT), (other, JobKind.ANALYSE), (series, JobKind.ANALYSE)]


def test_an_onset_makes_the_report_anew_with_the_weights_in_force_not_those_of_a_trial(db, arrive, bench):
    series = arrive("1", 0)
    bench.ml[series] = 10.0
    bench.run()
    replay(db, [series], weights="weights/trial", now=bench.now)
    bench.run()
    assert tell_onset(db, "1.1", 1.5, now=bench.now).made
    assert bench.claim().weights is None


def test_a_later_ct_of_the_study_is_so_much_later_after_the_onset_that_was_told(db, arrive, bench):
    first, later = arrive("1", 0), arrive("1", 6, series="1.1.2")
    again = arrive("1", 0.1, series="1.1.3")  # the same scan in another reconstruction
    tell_onset(db, "1.1", 1.5, now=bench.now)
    assert [onset_h(db, series) for series in (first, later, again)] == [1.5, 7.5, 1.5]
    tell_onset(db, "1.1", 167, now=bench.now)
    assert [onset_h(db, series) for series in (first, later)] == [167, None]  # more than seven days are not told


def test_without_a_time_of_acquisition_an_onset_is_what_was_told(db, arrive, bench):
    first, later = arrive("1", 0), arrive("1", None, series="1.1.2")
    tell_onset(db, "1.1", 1.5, now=bench.now)
    assert [onset_h(db, series) for series in (first, later)] == [1.5, 1.5]


def test_an_onset_told_while_the_analysis_runs_is_said_after_it(db, arrive, bench):
    series = arrive("1", 0)
    bench.ml[series] = 10.0
    lease = bench.claim()
    assert len(tell_onset(db, "1.1", 1.5, now=bench.now).made) == 1
    bench.end(lease, comparison(db, series))
    assert bench.run() == [(series, JobKind.REPORT)]


def test_an_onset_is_taken_back(db, arrive, bench):
    series = arrive("1", 0)
    bench.ml[series] = 10.0
    bench.run()
    tell_onset(db, "1.1", 1.5, now=bench.now)
    bench.run()
    assert len(tell_onset(db, "1.1", None, now=bench.now).made) == 1
    assert onset_h(db, series) is None


@pytest.mark.parametrize("hours", [-0.1, 168.1, float("nan")])
def test_an_onset_that_cannot_be_is_refused_and_nothing_is_kept(db, arrive, bench, hours):
    series = arrive("1", 0)
    with pytest.raises(ConfigError, match="cannot be"):
        tell_onset(db, "1.1", hours, now=bench.now)
    assert onset_h(db, series) is None


def test_two_workers_that_tell_the_same_growth_do_not_revise_each_other(tmp_path, db, arrive, bench):
    """Every job of a chain of five, each ended by a worker with its own connection: it comes to an end."""
    ids = [arrive(str(n), 5 * n) for n in (5, 3, 1, 4, 2)]
    bench.ml |= {i: 5.0 + i for i in ids}
    other = Bench(open_database(tmp_path / "queue.sqlite"))
    other.ml, other.now = bench.ml, bench.now
    ended = 0
    while (lease := bench.claim()) is not None:
        second = other.claim()
        for worker, mine in ((bench, lease), (other, second)):
            if mine is not None:
                worker.end(mine, comparison(db, mine.series_id))
                ended += 1
        assert ended < 40
    other.db.close()
    with db.read() as connection:
        assert connection.execute(select(JOBS.c.id).where(JOBS.c.state != JobState.DONE)).all() == []
