import os

import pytest
from sqlalchemy import select

from ichnode.domain.errors import Rejected
from ichnode.domain.states import Decision, JobState
from ichnode.queue.jobs import claim, finish
from ichnode.queue.retention import Ended, Expendable, known_file, purged
from ichnode.queue.series import decide, receiving, settle
from ichnode.queue.tables import AUDIT, QUARANTINE
from ichnode.store.reconcile import Reconciled, reconcile


@pytest.fixture
def adopted():
    return []


@pytest.fixture
def run(store, db, adopted):
    def _run(*, now=1e12, min_age_s=0.0, adopt=None):
        return reconcile(store, db, adopt or adopted.append, now=now, min_age_s=min_age_s)

    return _run


def rows(db, table):
    with db.read() as connection:
        return connection.execute(select(table)).mappings().all()


def refuse(_path):
    raise Rejected("not a DICOM file")


NOTHING = Reconciled(adopted=0, quarantined=0, deleted=0, missing=0)


def test_a_house_in_order_stays_as_it_is(run, keep, adopted):
    keep("1.2.3.1")

    assert run() == NOTHING
    assert adopted == []


def test_a_file_without_a_row_is_adopted(run, keep, store, adopted):
    orphan = keep("1.2.3.1", record_it=False)

    assert run().adopted == 1
    assert adopted == [store.resolve(orphan.path)]


def test_a_file_that_cannot_be_adopted_goes_to_quarantine_and_is_reported(run, keep, store, db):
    orphan = keep("1.2.3.1", content=b"rubbish", record_it=False)

    assert run(adopt=refuse).quarantined == 1

    (row,) = rows(db, QUARANTINE)
    assert not store.resolve(orphan.path).exists()
    assert store.resolve(row["path"]).read_bytes() == b"rubbish"
    assert orphan.path in row["reason"]
    assert any(r["alarm"] for r in rows(db, AUDIT))
    assert run(adopt=refuse) == NOTHING


def test_a_half_written_file_is_never_adopted_but_kept_in_quarantine(run, store, db, adopted):
    part = store.instances / "ab" / ("c" * 62 + ".dcm.0123456789abcdef.part")
    part.parent.mkdir()
    part.write_bytes(b"half")

    assert run().quarantined == 1

    (row,) = rows(db, QUARANTINE)
    assert adopted == []
    assert not part.exists()
    assert store.resolve(row["path"]).read_bytes() == b"half"


@pytest.mark.parametrize("folder", ["instances", "outputs", "quarantine"])
def test_a_stray_file_anywhere_is_reported_and_not_dropped(run, store, db, folder):
    (store.root / folder / "stray.txt").write_bytes(b"who put me here?")

    assert run().quarantined == 1

    (row,) = rows(db, QUARANTINE)
    assert store.resolve(row["path"]).read_bytes() == b"who put me here?"
    assert run() == NOTHING


def test_young_files_are_left_alone_while_the_node_runs(run, keep, store):
    path = store.resolve(keep("1.2.3.1", record_it=False).path)
    os.utime(path, (1000, 1000))

    assert run(now=1500, min_age_s=600) == NOTHING
    assert run(now=1601, min_age_s=600).adopted == 1


@pytest.mark.parametrize(
    "path", ["outputs/ab/result.dcm", "instances/ab/slice.dcm.0123456789abcdef.part", "quarantine/ab/other.dcm"]
)
def test_what_another_process_may_be_writing_is_left_alone_for_an_hour_even_at_start_up(run, store, path):
    being_written = store.root / path
    being_written.parent.mkdir()
    being_written.write_bytes(b"its row follows")
    os.utime(being_written, (1000, 1000))

    assert run(now=1001, min_age_s=0) == NOTHING
    assert run(now=4599, min_age_s=0) == NOTHING
    assert being_written.exists()
    assert run(now=4601, min_age_s=0).quarantined == 1


def test_an_instance_without_a_row_is_adopted_at_once_at_start_up(run, keep, store):
    path = store.resolve(keep("1.2.3.1", record_it=False).path)
    os.utime(path, (1000, 1000))

    assert run(now=1001, min_age_s=0).adopted == 1


def test_a_row_without_a_file_raises_an_alarm(run, keep, store, db):
    lost = keep("1.2.3.1")
    keep("1.2.3.2")
    store.resolve(lost.path).unlink()

    assert run().missing == 1

    alarm = [r for r in rows(db, AUDIT) if r["alarm"]]
    assert len(alarm) == 1
    assert lost.path in alarm[0]["text"]


def test_an_unlink_that_a_crash_prevented_is_finished(run, keep, store, db):
    kept = keep("1.2.3.1")
    item = Expendable(
        series_instance_uid="1.2.3", ended=Ended.DELIVERED, ended_at=0, instances=(kept.path,), outputs=()
    )
    row = receiving(db)[0]
    settle(db, row.id, missing=0, text="", now=1)
    decide(db, {row.id: (Decision.SKIP, "")}, now=1)
    lease = claim(db, owner="test", now=1, lease_s=60, max_attempts=1)
    finish(db, lease, JobState.REJECTED, outputs=[], routes=[], reason="", now=1)
    assert purged(db, item, why="old", now=1)

    assert run().deleted == 1

    assert not store.resolve(kept.path).exists()
    assert known_file(db, kept.path).purged
    assert run() == NOTHING
