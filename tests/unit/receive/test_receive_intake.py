import gc
import tracemalloc
import weakref
from io import BytesIO

import pytest
from pydicom import dcmread
from sqlalchemy import func, select

from ichnode.domain.errors import Rejected
from ichnode.domain.identity import MANUFACTURER, MODEL_NAME
from ichnode.queue.holds import held
from ichnode.queue.intake import foreign, kept
from ichnode.queue.series import receiving
from ichnode.queue.tables import AUDIT, INSTANCES, QUARANTINE
from ichnode.receive import intake
from ichnode.receive.intake import Outcome, adopt, take
from ichnode.store.reconcile import reconcile

EVERYTHING = 1 << 62


@pytest.fixture
def store_one(db, store, make_arrival):
    """C-STOREs one data set at time 0."""

    def _store(ds, *, floor_bytes=0, now=0.0, **command):
        return take(make_arrival(ds, **command), db=db, store=store, floor_bytes=floor_bytes, now=now)

    return _store


def _crash(*_args, **_kwargs):
    raise KeyboardInterrupt


def rows(db, table):
    with db.read() as connection:
        return connection.execute(select(table)).mappings().all()


def files(store):
    return sorted(path for path in store.root.rglob("*") if path.is_file())


def test_an_instance_is_kept_as_it_came(store_one, db, store, make_slice, make_arrival):
    ds = make_slice()
    sent = make_arrival(ds).data_set.getvalue()

    taken = store_one(ds)

    (path,) = files(store)
    (row,) = rows(db, INSTANCES)
    assert (taken.status, taken.outcome, taken.series_instance_uid) == (0x0000, Outcome.KEPT, "1.2.3.1")
    assert path == store.resolve(row["path"])
    assert path.read_bytes().endswith(sent)
    assert dcmread(path).pixel_array.sum() == 16
    assert (row["calling_ae"], row["size_bytes"]) == ("MODALITY", len(sent))
    assert row["facts"]["positions"] == [[0, 0, 5]]


def test_no_name_of_a_file_shows_anything_that_a_peer_sent(store_one, store, make_slice):
    store_one(make_slice())

    (path,) = files(store)
    assert not any(part in path.as_posix().removeprefix(store.root.as_posix()) for part in ("1.2.3", "P1", "MODALITY"))


def test_the_same_bytes_again_are_one_row_one_file_and_success(store_one, db, store, make_slice):
    store_one(make_slice())
    before = files(store)[0].stat()

    taken = store_one(make_slice(), calling_ae="OTHER", now=5.0)

    assert (taken.status, taken.outcome) == (0x0000, Outcome.DUPLICATE)
    assert len(rows(db, INSTANCES)) == 1
    assert files(store)[0].stat().st_ino == before.st_ino
    assert receiving(db)[0].last_at == 0


def test_the_same_uid_with_other_bytes_goes_to_quarantine(store_one, db, store, make_slice):
    store_one(make_slice())

    taken = store_one(make_slice(PatientComments="other"))
    again = store_one(make_slice(PatientComments="other"))

    (row,) = rows(db, QUARANTINE)
    assert (taken.status, taken.outcome) == (again.status, again.outcome) == (0x0000, Outcome.QUARANTINED)
    assert dcmread(store.resolve(row["path"])).PatientComments == "other"
    assert "other content" in row["reason"]
    assert len(rows(db, INSTANCES)) == 1
    assert len(files(store)) == 2


def test_two_associations_with_other_bytes_at_once_end_as_one_kept_and_one_in_quarantine(
    store_one, db, store, make_slice, monkeypatch
):
    store_one(make_slice())
    monkeypatch.setattr("ichnode.receive.intake.kept", lambda _db, _uid: None)  # the other one was not there yet

    taken = store_one(make_slice(PatientComments="other"))

    (instance,), (quarantined,) = rows(db, INSTANCES), rows(db, QUARANTINE)
    assert taken.outcome is Outcome.QUARANTINED
    assert "PatientComments" not in dcmread(store.resolve(instance["path"]))
    assert dcmread(store.resolve(quarantined["path"])).PatientComments == "other"
    assert len(files(store)) == 2


def test_a_second_patient_in_a_study_goes_to_quarantine(store_one, db, make_slice):
    store_one(make_slice(1))

    taken = store_one(make_slice(2, PatientID="P2"))

    assert (taken.status, taken.outcome) == (0x0000, Outcome.QUARANTINED)
    assert "another patient" in rows(db, QUARANTINE)[0]["reason"]
    assert store_one(make_slice(3)).outcome is Outcome.KEPT


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"StudyInstanceUID": "9.9.9"}, "another study"),
        ({"StudyInstanceUID": "9.9.9", "PatientID": "P2"}, "another patient"),
        ({"SeriesInstanceUID": "9.9.9", "PatientID": "P2"}, "another patient"),
    ],
)
@pytest.mark.parametrize("at_once", [False, True])
def test_a_series_belongs_to_one_study_and_one_patient(
    store_one, db, store, make_slice, monkeypatch, elements, reason, at_once
):
    store_one(make_slice(1))
    looks = []

    def late(*known):
        looks.append(known)
        return "" if len(looks) == 1 else foreign(*known)

    if at_once:  # the other association had recorded nothing yet when this one looked
        monkeypatch.setattr(intake, "foreign", late)

    taken = store_one(make_slice(2, **elements))

    (row,), (kept_one,) = rows(db, QUARANTINE), rows(db, INSTANCES)
    assert (taken.status, taken.outcome) == (0x0000, Outcome.QUARANTINED)
    assert reason in row["reason"]
    assert kept_one["sop_instance_uid"] == "1.2.3.1.1"
    assert store.resolve(row["path"]).exists()
    assert len(files(store)) == 2
    assert store_one(make_slice(3)).outcome is Outcome.KEPT


def test_a_file_of_another_patient_that_a_crash_left_is_not_adopted_into_the_series(
    store_one, db, store, make_slice, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(intake, "record", _crash)
        with pytest.raises(KeyboardInterrupt):
            store_one(make_slice(2, StudyInstanceUID="9.9.9", PatientID="P2"))
    store_one(make_slice(1))

    reconcile(store, db, lambda path: adopt(path, db=db, store=store, now=9.0), now=1e12)

    assert [row["sop_instance_uid"] for row in rows(db, INSTANCES)] == ["1.2.3.1.1"]
    assert "another patient" in rows(db, QUARANTINE)[0]["reason"]


def test_an_issuer_makes_another_patient_too(store_one, make_slice):
    store_one(make_slice(1))

    assert store_one(make_slice(2, IssuerOfPatientID="ELSEWHERE")).outcome is Outcome.QUARANTINED


def test_our_own_objects_coming_back_are_dropped(store_one, db, store, make_slice):
    taken = store_one(make_slice(Manufacturer=MANUFACTURER, ManufacturerModelName=MODEL_NAME))

    assert (taken.status, taken.outcome) == (0x0000, Outcome.DROPPED)
    assert files(store) == []
    assert rows(db, INSTANCES) == []
    assert "MODALITY" in rows(db, AUDIT)[-1]["text"]


def test_below_the_floor_nothing_is_written(store_one, db, store, make_slice):
    taken = store_one(make_slice(), floor_bytes=EVERYTHING)

    assert (taken.status, taken.outcome) == (0xA700, Outcome.REFUSED)
    assert files(store) == []
    assert rows(db, INSTANCES) == []
    assert store_one(make_slice()).status == 0x0000


@pytest.mark.parametrize("command", [{"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2.1"}, {"sop_instance_uid": "9.9.9"}])
def test_a_data_set_that_is_not_what_the_command_says_is_a900(store_one, store, make_slice, command):
    assert store_one(make_slice(), **command).status == 0xA900
    assert files(store) == []


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("value", [None, "", "../../etc", "1.2." + "3" * 70, "abc"])
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI", "ignore:The value length")
def test_an_instance_without_its_uids_is_c000(store_one, store, make_slice, missing, value):
    ds = make_slice()
    if value is None:
        delattr(ds, missing)
    else:
        setattr(ds, missing, value)

    assert store_one(ds).status == 0xC000
    assert files(store) == []


@pytest.mark.parametrize("rubbish", [b"", b"rubbish", bytes(range(256)) * 20, b"\x08\x00\x05\x00CS\xff\xff"])
def test_bytes_that_are_no_data_set_are_c000(store_one, store, make_slice, rubbish):
    assert store_one(make_slice(), data_set=BytesIO(rubbish)).status == 0xC000
    assert files(store) == []


def test_a_full_disk_leaves_no_file_and_no_row(store_one, db, store, make_slice, monkeypatch):
    def fail(_handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("ichnode.store.files.os.fsync", fail)
        with pytest.raises(OSError, match="No space"):
            store_one(make_slice())

    assert files(store) == []
    assert rows(db, INSTANCES) == []
    assert store_one(make_slice()).outcome is Outcome.KEPT


def test_the_file_is_durable_before_the_row_is_written(store_one, make_slice, monkeypatch):
    order = []
    write, record = intake.write_durably, intake.record
    monkeypatch.setattr(intake, "write_durably", lambda *a: (order.append("file"), write(*a))[1])
    monkeypatch.setattr(intake, "record", lambda *a, **k: (order.append("row"), record(*a, **k))[1])

    store_one(make_slice())

    assert order == ["file", "row"]


def test_a_lost_file_is_healed_when_the_same_bytes_come_again(store_one, db, store, make_slice):
    store_one(make_slice())
    path = store.resolve(kept(db, "1.2.3.1.1").path)
    path.unlink()

    assert store_one(make_slice()).outcome is Outcome.DUPLICATE
    assert path.exists()


def test_a_file_whose_row_a_crash_prevented_is_adopted_with_all_its_facts(
    store_one, db, store, make_slice, monkeypatch
):
    def crash(*_args, **_kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ichnode.receive.intake.record", crash)
        with pytest.raises(KeyboardInterrupt):
            store_one(make_slice(), calling_ae="SCANNER")
    assert rows(db, INSTANCES) == []

    done = reconcile(store, db, lambda path: adopt(path, db=db, store=store, now=9.0), now=1e12)

    (row,) = rows(db, INSTANCES)
    assert done.adopted == 1
    assert (row["sop_instance_uid"], row["calling_ae"]) == ("1.2.3.1.1", "SCANNER")
    assert store_one(make_slice()).outcome is Outcome.DUPLICATE


def test_a_file_under_a_name_that_is_not_its_own_is_not_adopted(store_one, db, store, make_slice):
    store_one(make_slice())
    (path,) = files(store)
    moved = path.with_name("0" * 62 + ".dcm")
    path.rename(moved)

    with pytest.raises(Rejected):
        adopt(moved, db=db, store=store, now=0)


def test_a_late_slice_opens_the_next_revision(store_one, db, make_slice):
    from ichnode.queue.series import settle

    store_one(make_slice(1), now=1.0)
    settle(db, receiving(db)[0].id, missing=0, text="complete", now=2.0)

    store_one(make_slice(2), now=3.0)

    (row,) = receiving(db)
    assert (row.revision, len(row.instances)) == (2, 2)


def test_a_large_instance_is_not_copied_over_and_over(store_one, db, store, make_slice, make_arrival):
    ds = make_slice()
    ds.PixelData = bytes(32 << 20)
    arrival = make_arrival(ds)
    store_one(make_slice(2))
    gc.collect()
    tracemalloc.start()
    try:
        assert take(arrival, db=db, store=store, floor_bytes=0, now=0.0).outcome is Outcome.KEPT
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 << 20


def test_a_header_is_let_go_before_the_next_large_one_is_read(store_one, make_slice, monkeypatch):
    """Its instance is hashed and written when it no longer holds up the others."""
    headers, there = [], []
    facts_of, content_key = intake.facts_of, intake.content_key

    def noted(header):
        headers.append(weakref.ref(header))
        return facts_of(header)

    def then(*content):
        there.append(headers[0]())
        return content_key(*content)

    monkeypatch.setattr(intake, "facts_of", noted)
    monkeypatch.setattr(intake, "content_key", then)

    assert store_one(make_slice()).outcome is Outcome.KEPT
    assert there == [None]


def test_counts_of_rows_stay_small_when_everything_comes_three_times(store_one, db, make_slice):
    for _ in range(3):
        for number in range(1, 6):
            store_one(make_slice(number))

    with db.read() as connection:
        assert connection.execute(select(func.count()).select_from(INSTANCES)).scalar() == 5
    assert len(receiving(db)) == 1


@pytest.mark.parametrize(
    ("changes", "is_held"),
    [
        ({"PatientName": "Roe^Jane"}, True),
        ({"PatientBirthDate": "19500102"}, True),
        ({"PatientName": "DOE^JANE^^"}, False),
        ({"PatientName": ""}, False),
    ],
)
def test_a_name_or_birth_date_that_was_corrected_since_holds_the_study(store_one, db, make_slice, changes, is_held):
    for number in (1, 2):
        ds = make_slice(number)
        ds.PatientName, ds.PatientBirthDate = "Doe^Jane", "19500101"
        for keyword, value in changes.items() if number == 2 else ():
            setattr(ds, keyword, value)
        assert store_one(ds).outcome == Outcome.KEPT

    assert bool(held(db, "1.2.3")) == is_held
