import math

import pytest
from pydicom import dcmread
from sqlalchemy import select

from ichnode.domain.states import Decision, SeriesState, Transfer
from ichnode.queue.series import mark_transfer, receiving, series, undecided
from ichnode.queue.tables import AUDIT, JOBS
from ichnode.receive import complete
from ichnode.receive import select as select_module
from ichnode.receive.complete import Limits
from ichnode.receive.intake import take
from ichnode.receive.select import Preference
from ichnode.receive.settle import SweepSettings, Swept, sweep
from ichnode.receive.silence import Silence

SETTINGS = SweepSettings(limits=Limits(quiet_s=60, give_up_s=900), study_quiet_s=60)


@pytest.fixture
def arrive(db, store, make_arrival, make_slice):
    """Slices of one series come at time ``now``."""

    def _arrive(numbers, *, series=1, now=0.0, **elements):
        for number in numbers:
            arrival = make_arrival(make_slice(number, series=series, **elements))
            assert take(arrival, db=db, store=store, floor_bytes=0, now=now).status == 0

    return _arrive


@pytest.fixture
def run(db):
    """A sweep at time ``now`` of a process that runs for long, but has just been asked for the first time."""
    told = set()

    def _run(now, *, is_open=lambda _uid: False, count=None, settings=SETTINGS) -> Swept:
        silence = Silence(begun=-math.inf)
        return sweep(db, settings, now=now, is_open=is_open, count=count, told=told, silence=silence)

    return _run


def jobs(db):
    with db.read() as connection:
        return connection.execute(select(JOBS.c.kind, JOBS.c.reason)).all()


def test_a_quiet_series_is_settled_decided_and_queued_once(arrive, run, db):
    arrive(range(1, 21))

    assert run(59) == Swept(settled=0, decided=0)
    assert run(60) == Swept(settled=1, decided=1)
    assert run(61) == Swept(settled=0, decided=0)

    row = series(db, 1)
    assert (row.state, row.decision, row.missing) == (SeriesState.SETTLED, Decision.ANALYSE, 0)
    assert row.settled_text == "complete: 20 images without a gap, quiet for 60 s"
    assert row.decision_text == "analysed: the only candidate (5 mm, 20 slices)"
    assert [kind for kind, _ in jobs(db)] == ["analyse"]


def test_a_series_that_is_still_being_sent_waits(arrive, run):
    arrive(range(1, 21))

    assert run(200, is_open=lambda uid: uid == "1.2.3.1").settled == 0
    assert run(200).settled == 1


def test_a_series_whose_association_was_cut_waits_and_is_flagged_when_given_up(arrive, run, db):
    arrive(range(1, 21))
    mark_transfer(db, "1.2.3.1", Transfer.CUT)

    assert run(899).settled == 0
    assert run(900).settled == 1
    assert series(db, 1).missing == 1
    assert "broke off" in series(db, 1).settled_text


def test_missing_slices_are_counted_and_the_series_is_analysed_flagged(arrive, run, db):
    arrive([n for n in range(1, 21) if n not in (7, 8, 9)])

    assert run(899).settled == 0
    assert run(900) == Swept(settled=1, decided=1)

    row = series(db, 1)
    assert (row.missing, row.decision) == (3, Decision.ANALYSE)
    assert row.settled_text.startswith("incomplete: 3 missing between the 17 that came")
    assert "3 slices missing" in row.decision_text


def test_missing_slices_forbid_the_analysis_where_configured_so_and_it_is_said(arrive, run, db):
    arrive([n for n in range(1, 21) if n != 7])
    strict = SweepSettings(limits=SETTINGS.limits, preference=Preference(analyse_incomplete=False))

    run(900, settings=strict)

    assert series(db, 1).decision is Decision.SKIP
    assert jobs(db) == [("explain", "not analysed: 1 slice missing")]


def test_the_count_of_the_pacs_settles_a_series_at_once(arrive, run):
    arrive(range(1, 21))

    assert run(5, count=lambda _study: {"1.2.3.1": 20}) == Swept(settled=1, decided=0)
    assert run(60).decided == 1


def test_the_count_of_the_pacs_holds_a_contiguous_series_back(arrive, run, db):
    arrive(range(1, 21))

    assert run(100, count=lambda _study: {"1.2.3.1": 28}).settled == 0
    assert run(900, count=lambda _study: {"1.2.3.1": 28}).settled == 1
    assert series(db, 1).missing == 8


def test_the_pacs_is_not_asked_while_slices_come(arrive, run):
    arrive(range(1, 21))
    asked = []

    def count(study):
        asked.append(study)
        return {}

    run(4, count=count)
    run(100, count=count, is_open=lambda _uid: True)
    assert asked == []
    run(5, count=count)
    assert asked == ["1.2.3"]


def test_a_count_in_the_headers_settles_at_once_even_while_the_association_is_open(arrive, run):
    arrive(range(1, 20), ImagesInAcquisition=20, AcquisitionNumber=1)
    assert run(0, is_open=lambda _uid: True).settled == 0

    arrive([20], ImagesInAcquisition=20, AcquisitionNumber=1)
    assert run(0, is_open=lambda _uid: True).settled == 1


def test_a_study_is_decided_only_when_all_its_series_have_settled(arrive, run, db):
    arrive(range(1, 21), series=1, SliceThickness=1)
    arrive(range(1, 21), series=2, now=50)

    assert run(60) == Swept(settled=1, decided=0)
    assert run(110) == Swept(settled=1, decided=2)

    assert series(db, 1).decision is Decision.SKIP
    assert series(db, 2).decision is Decision.ANALYSE
    assert "series 2 (5 mm) of the same study was preferred to this 1 mm series" in series(db, 1).decision_text


def test_a_series_that_comes_after_the_decision_is_compared_with_the_one_analysed(arrive, run, db):
    arrive(range(1, 21), series=2)
    run(60)
    arrive(range(1, 21), series=3, now=100, SliceThickness=1)
    run(160)

    assert series(db, 2).decision is Decision.SKIP
    assert "series 2 (5 mm) of the same study was analysed before" in series(db, 2).decision_text


def test_a_stalled_series_does_not_hold_back_a_complete_one(arrive, run, db):
    arrive(range(1, 21), series=2)
    arrive([n for n in range(1, 21) if n != 7], series=3)

    assert run(60, is_open=lambda uid: uid == "1.2.3.3").decided == 0
    assert run(60).decided == 1
    assert series(db, 1).decision is Decision.ANALYSE

    assert run(900) == Swept(settled=1, decided=1)
    assert series(db, 2).decision is Decision.SKIP
    assert "series 2 of the same study, complete, was analysed before" in series(db, 2).decision_text


def test_a_series_that_would_not_be_analysed_waits_for_the_stalled_one(arrive, run, db):
    arrive(range(1, 4), series=2)
    arrive([n for n in range(1, 21) if n != 7], series=3)

    assert run(60).decided == 0
    assert run(900).decided == 2
    assert [series(db, n).decision for n in (1, 2)] == [Decision.SKIP, Decision.ANALYSE]


def test_a_series_that_nobody_sends_any_more_though_the_books_say_so_was_cut(arrive, run, db):
    arrive(range(1, 21))
    mark_transfer(db, "1.2.3.1", Transfer.OPEN)

    assert run(100).settled == 0
    assert run(900).settled == 1
    assert "broke off" in series(db, 1).settled_text


def test_a_late_slice_of_the_analysed_series_makes_a_new_revision_that_is_analysed(arrive, run, db):
    arrive(range(1, 20))
    run(60)
    arrive([20], now=100)
    assert receiving(db)[0].revision == 2
    run(160)

    assert series(db, 1).state is SeriesState.SUPERSEDED
    assert (series(db, 2).decision, len(series(db, 2).instances)) == (Decision.ANALYSE, 20)
    assert [kind for kind, _ in jobs(db)] == ["analyse", "analyse"]
    assert undecided(db) == []


def node_alarms(db):
    with db.read() as connection:
        query = select(AUDIT.c.text).where(AUDIT.c.entity == "node", AUDIT.c.alarm)
        return list(connection.execute(query.order_by(AUDIT.c.id)).scalars())


@pytest.mark.parametrize(
    ("elements", "numbers"),
    [
        ({"SliceThickness": "1e-320"}, [1, 3, 5]),
        ({"SliceThickness": "1e-15"}, [1, 3, 5]),
        ({"ImagePositionPatient": ["0", "0", "1e30"]}, [1, 2, 3]),
        ({"ImageOrientationPatient": ["1e200", "1e200", "0", "0", "1e200", "1e200"]}, [1, 3, 5]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*value.*DS")
def test_numbers_that_no_scanner_means_do_not_stop_the_node(arrive, run, db, elements, numbers):
    arrive(range(1, 21), series=1)
    arrive(numbers, series=2, **elements)
    arrive([40], series=2)

    run(10_000)

    assert receiving(db) == []
    assert series(db, 2).missing < 50
    assert node_alarms(db) == []


def test_a_series_that_breaks_the_sweep_is_told_once_and_the_others_go_on(arrive, run, db, monkeypatch, caplog):
    def judge(arrival, **limits):
        if arrival.instances[0].series_number == 2:
            raise OverflowError("Doe^Jane")
        return complete.judge(arrival, **limits)

    monkeypatch.setattr("ichnode.receive.settle.judge", judge)
    arrive(range(1, 21), series=2, StudyInstanceUID="9.2")
    arrive(range(1, 21), series=3)

    assert run(60) == Swept(settled=1, decided=1)
    run(62)
    run(64)

    (alarm,) = node_alarms(db)
    assert alarm.startswith("series 1 cannot be settled: OverflowError at test_receive_settle.py:")
    assert "Doe" not in alarm + caplog.text
    monkeypatch.undo()
    assert run(66) == Swept(settled=1, decided=1)


def test_a_study_that_breaks_the_sweep_is_told_once_and_the_others_go_on(arrive, run, db, monkeypatch):
    def decide_study(pending, *rest, **more):
        if pending[0].number == 2:
            raise KeyError("Doe^Jane")
        return select_module.decide_study(pending, *rest, **more)

    monkeypatch.setattr("ichnode.receive.settle.decide_study", decide_study)
    arrive(range(1, 21), series=2, StudyInstanceUID="9.2")
    arrive(range(1, 21), series=3)

    assert run(60) == Swept(settled=2, decided=1)
    run(62)

    (alarm,) = node_alarms(db)
    assert alarm.startswith("the study of series 1 cannot be decided: KeyError at ")


def test_a_count_of_the_pacs_that_cannot_be_meant_goes_no_further_than_its_limit(arrive, run, db):
    arrive(range(1, 21))

    assert run(900, count=lambda _study: {"1.2.3.1": 10**30}).settled == 1
    assert series(db, 1).missing == 100_000


THIN_BONE = {"SliceThickness": 1, "ConvolutionKernel": "H70h", "AcquisitionNumber": 1, "ImagesInAcquisition": 60}
SOFT = {"SliceThickness": 5, "ConvolutionKernel": "H30s", "AcquisitionNumber": 1, "ImagesInAcquisition": 60}


@pytest.mark.parametrize("acquisition", [1, None])
def test_a_count_of_the_whole_acquisition_is_not_believed_because_the_other_reconstruction_has_settled(
    arrive, run, db, acquisition
):
    arrive(range(1, 61), series=1, **THIN_BONE | {"AcquisitionNumber": acquisition})
    assert run(0, is_open=lambda _uid: True).settled == 1
    arrive(range(1, 13), series=2, now=10, **SOFT | {"AcquisitionNumber": acquisition})

    assert run(70) == Swept(settled=1, decided=2)
    assert (series(db, 2).missing, series(db, 2).decision) == (0, Decision.ANALYSE)
    assert series(db, 1).decision is Decision.SKIP


def test_a_bone_reconstruction_is_no_reason_not_to_wait_for_a_stalled_soft_one(arrive, run, db):
    arrive(range(1, 21), series=1, ConvolutionKernel="H70h")
    arrive([n for n in range(1, 21) if n != 7], series=2, ConvolutionKernel="H30s")

    assert run(60) == Swept(settled=1, decided=0)
    assert run(900) == Swept(settled=1, decided=2)
    assert [series(db, n).decision for n in (1, 2)] == [Decision.SKIP, Decision.ANALYSE]


def test_every_step_is_in_the_history_in_words(arrive, run, db):
    arrive(range(1, 21))
    run(60)

    with db.read() as connection:
        told = [row.text for row in connection.execute(select(AUDIT).where(AUDIT.c.entity == "series"))]
    assert told[0] == "first slice"
    assert told[1].startswith("complete: 20 images")
    assert told[2].startswith("analysed: ")


def test_the_philips_study_is_analysed_once_and_every_other_series_has_its_reason(
    data, arrival_of_file, run, db, store
):
    for path in sorted((data / "dicom" / "philips-study").glob("*/*")):
        assert take(arrival_of_file(path), db=db, store=store, floor_bytes=0, now=0.0).status == 0

    assert run(60) == Swept(settled=5, decided=5)

    decided = {}
    for series_id in range(1, 6):
        row = series(db, series_id)
        decided[row.instances[0].facts.series_number] = row.decision_text
    assert decided[201].startswith("analysed: ")
    assert sum(text.startswith("analysed: ") for text in decided.values()) == 1
    assert decided[100] == "not analysed: localizer (scout)"
    assert "series 201 (5 mm) of the same study was preferred to this 1 mm series" in decided[202]
    assert decided[203] == "not analysed: bone kernel YA; soft-tissue series 201 of the same study chosen"
    assert decided[401] == "not analysed: its objects are not CT images"


def test_nothing_of_the_real_data_is_changed_on_the_way_in(data, arrival_of_file, db, store):
    source = min((data / "dicom" / "philips-study" / "S2030").iterdir())
    arrival = arrival_of_file(source)

    take(arrival, db=db, store=store, floor_bytes=0, now=0.0)

    kept = store.resolve(receiving(db)[0].instances[0].path)
    assert kept.read_bytes().endswith(arrival.data_set.getvalue())
    assert (dcmread(kept).pixel_array == dcmread(source).pixel_array).all()


def test_a_half_series_is_not_taken_for_a_whole_one_because_the_node_was_down(arrive, db):
    arrive(range(1, 11), now=0)
    begun = 5000.0  # monotonic: another machine's, after a restart
    clock = iter([begun + 5, begun + 61]).__next__
    silence = Silence(clock, begun=begun)

    def run_at(now) -> Swept:
        return sweep(db, SETTINGS, now=now, is_open=lambda _uid: False, told=set(), silence=silence)

    assert run_at(3605) == Swept(settled=0, decided=0)
    assert run_at(3661) == Swept(settled=1, decided=1)


@pytest.mark.parametrize("jump_s", [86400, -86400])
def test_a_clock_that_is_set_by_a_day_neither_hurries_nor_holds_up_a_series(arrive, db, jump_s):
    arrive(range(1, 6), now=100_000)
    clock = iter([5.0, 40.0, 70.0]).__next__
    silence = Silence(clock, begun=0.0)

    def run_at(now) -> Swept:
        return sweep(db, SETTINGS, now=now, is_open=lambda _uid: False, told=set(), silence=silence)

    assert run_at(100_005) == Swept(settled=0, decided=0)
    assert run_at(100_040 + jump_s) == Swept(settled=0, decided=0)
    assert run_at(100_070 + jump_s) == Swept(settled=1, decided=1)
