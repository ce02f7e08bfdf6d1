"""Deleting and receiving the same bytes at once: what was acknowledged is on the disk, whichever comes first."""

import threading
from io import BytesIO
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode

from ichnode.domain.states import Decision, JobState
from ichnode.queue import jobs
from ichnode.queue import series as queue_series
from ichnode.queue.retention import known_files
from ichnode.receive import intake
from ichnode.receive.intake import Arrival, Outcome, take
from ichnode.store import purge as purging
from ichnode.store import reconcile as reconciling
from ichnode.store import retention
from ichnode.store.purge import look, purge
from ichnode.store.reconcile import reconcile
from ichnode.store.retention import RetentionLimits, enforce

CT = "1.2.840.10008.5.1.4.1.1.2"
OLD = 9e9  # s: everything is past its limit
ALL_GO = RetentionLimits(delivered_s=0, skipped_s=0, failed_s=0, quarantine_s=0, low_water_bytes=0)
IMAGE, OTHER = b"\1\2", b"\3\4"  # pixels of the slice as it came first, and as it came later: quarantined
CONTENTS = pytest.mark.parametrize("content", [IMAGE, OTHER], ids=["image", "quarantined"])
UNLOCKED_S = 0.5  # the longest that a slice takes where it waits for no lock
EVERYONE = pytest.mark.parametrize("who", ["retention", "reconciliation", "purge"])


@pytest.fixture
def send(db, store):
    """Sends one slice, its pixels ``content``. Returns the answer."""

    def _send(content: bytes = IMAGE):
        ds = Dataset()
        ds.SOPClassUID, ds.SOPInstanceUID = CT, "1.2.3.1"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality, ds.PatientID = "1.2", "1.2.3", "CT", "P1"
        ds.PixelData = content
        ds["PixelData"].VR = "OW"
        arrival = Arrival(
            sop_class_uid=CT,
            sop_instance_uid=ds.SOPInstanceUID,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            data_set=BytesIO(encode(ds, False, True)),
            calling_ae="MODALITY",
            address="127.0.0.1",
        )
        return take(arrival, db=db, store=store, floor_bytes=0, now=1.0)

    return _send


@pytest.fixture
def over(db, store, send):
    """The slice, and once more with other pixels, sent; its series rejected: nothing more is awaited of it. Returns
    the path of the file with these pixels."""

    def _over(content):
        send()
        assert send(OTHER).outcome == Outcome.QUARANTINED
        (row,) = queue_series.receiving(db)
        queue_series.settle(db, row.id, missing=0, text="complete", now=1)
        queue_series.decide(db, {row.id: (Decision.ANALYSE, "why")}, now=1)
        lease = jobs.claim(db, owner="test", now=1, lease_s=60, max_attempts=3)
        jobs.finish(db, lease, JobState.REJECTED, outputs=[], routes=[], reason="", now=1)

        paths = [known.path for known in known_files(db)]
        return next(path for path in paths if store.resolve(path).read_bytes().endswith(content))

    return _over


@pytest.fixture
def delete(db, store, monkeypatch):
    """Has ``who`` delete all that is over; in place of its step that deletes, ``step`` is run with that step."""

    def _delete(who, step):
        room = {"retention": retention, "reconciliation": reconciling, "purge": purging}[who]
        real = room.delete_purged

        def instead(store, db, paths):
            return step(paths, lambda: real(store, db, paths))

        if who == "reconciliation":  # what is left for it: marked, then killed
            with monkeypatch.context() as patch:
                patch.setattr(retention, "delete_purged", lambda *_: 0)
                enforce(store, db, ALL_GO, now=OLD)
        with monkeypatch.context() as patch:
            patch.setattr(room, "delete_purged", instead)
            {"retention": retain, "reconciliation": compare, "purge": forget}[who]()

    def retain():
        enforce(store, db, ALL_GO, now=OLD)

    def compare():
        reconcile(store, db, lambda path: pytest.fail(f"{path} was adopted"), now=OLD)

    def forget():
        def again():
            return look(store, db, "1.2", lambda _path: "", now=2)

        purge(store, db, again(), again, text="by hand", now=2)

    return _delete


@CONTENTS
@EVERYONE
def test_what_comes_again_between_its_mark_and_its_deletion_is_not_deleted(who, content, store, over, send, delete):
    path = over(content)
    answers, there = [], []

    def comes_first(paths, go):
        if path not in paths or answers:
            return go()
        answers.append(send(content).status)
        count = go()
        there.append(store.resolve(path).exists())
        return count

    delete(who, comes_first)

    assert answers == [intake.SUCCESS]
    assert there == [True]  # purge comes back for it, as for what had come a moment before


@CONTENTS
@EVERYONE
def test_what_is_deleted_between_its_write_and_its_row_is_written_once_more_before_it_is_acknowledged(
    who, content, db, store, over, send, delete, monkeypatch
):
    path = over(content)
    answers, written = [], []
    write = intake.write_durably

    def comes_too_early(paths, go):
        if path not in paths or answers:
            return go()
        counts = []

        def write_and_let_it_be_deleted(*arguments):
            write(*arguments)
            written.append(store.relative(arguments[0]))
            if len(written) == 1:
                counts.append(go())

        with monkeypatch.context() as patch:
            patch.setattr(intake, "write_durably", write_and_let_it_be_deleted)
            answers.append(send(content).status)
        assert store.resolve(path).exists()
        assert path in {known.path for known in known_files(db)}
        return counts[0]

    delete(who, comes_too_early)

    assert answers == [intake.SUCCESS]
    assert written == [path, path]
    assert [known.path for known in known_files(db) if not store.resolve(known.path).exists()] == []


@CONTENTS
@EVERYONE
def test_what_comes_again_while_it_is_being_deleted_is_there_once_it_is_acknowledged(
    who, content, db, store, over, send, delete, monkeypatch
):
    path = over(content)
    answers, senders = [], []
    unlink = Path.unlink

    def comes_before_it_is_unlinked(self, missing_ok=False):
        if self == store.resolve(path) and not senders:
            senders.append(threading.Thread(target=lambda: answers.append(send(content).status)))
            senders[0].start()
            senders[0].join(UNLOCKED_S)  # it is answered only if nothing holds it up
        unlink(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", comes_before_it_is_unlinked)
    delete(who, lambda _paths, go: go())
    senders[0].join(10)

    assert answers == [intake.SUCCESS]
    kept = [store.resolve(known.path) for known in known_files(db)]  # after a purge it is the first of its UID
    assert all(each.exists() for each in kept)
    assert any(each.read_bytes().endswith(content) for each in kept)


def test_a_purge_that_forgets_the_row_between_write_and_row_leaves_a_whole_instance(db, store, send, monkeypatch):
    """Two senders at once: the first has it recorded, and purged, while the second has just written the same file."""
    write, written = intake.write_durably, []

    def write_and_let_the_other_come_and_go(*arguments):
        write(*arguments)
        written.append(arguments[0])
        if len(written) == 1:
            send(IMAGE)
            found = look(store, db, "1.2", lambda _path: "", now=2)
            purge(store, db, found, lambda: found, text="by hand", now=2)
            assert not arguments[0].exists()

    monkeypatch.setattr(intake, "write_durably", write_and_let_the_other_come_and_go)

    assert send(IMAGE).status == intake.SUCCESS

    (known,) = known_files(db)
    assert store.resolve(known.path).exists()


@CONTENTS
def test_a_receiver_killed_between_write_and_row_of_what_was_deleted_before_leaves_nothing_in_doubt(
    content, db, store, over, send, monkeypatch
):
    path = over(content)
    enforce(store, db, ALL_GO, now=OLD)
    assert not store.resolve(path).exists()
    with monkeypatch.context() as patch:
        patch.setattr(intake, "record" if content == IMAGE else "quarantine", _killed)
        with pytest.raises(KeyboardInterrupt):
            send(content)
    assert store.resolve(path).exists()

    reconcile(store, db, lambda path: pytest.fail(f"{path} was adopted"), now=OLD)

    assert not store.resolve(path).exists()  # it was not acknowledged, and its row says that it is gone
    assert send(content).status == intake.SUCCESS
    assert store.resolve(path).exists()
    assert path in {known.path for known in known_files(db)}


def _killed(*_arguments, **_keywords):
    raise KeyboardInterrupt
