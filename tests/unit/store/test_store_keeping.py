"""What the node commits to: objects that are recorded, on disk and of the class that is asked for."""

import pytest

from ichnode.domain.commitment import Named, Request
from ichnode.queue.intake import quarantine
from ichnode.queue.promises import PAGE
from ichnode.queue.tables import INSTANCES
from ichnode.store.keeping import judge

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def judged(db, store):
    """The failures among objects, by their UIDs."""

    def _judged(*uids, sop_class=CT):
        objects = tuple(Named(sop_class_uid=sop_class, sop_instance_uid=uid) for uid in uids)
        report = judge(Request(transaction_uid="1.1", objects=objects), db=db, store=store)
        assert len(report.committed) + len(report.failed) == len(uids)
        return {named.sop_instance_uid: reason for named, reason in report.failed}

    return _judged


def test_what_is_recorded_and_on_disk_is_committed_to(keep, judged):
    keep("5.1")
    assert judged("5.1") == {}


def test_what_never_came_is_no_such_instance(keep, judged):
    keep("5.1")
    keep("5.3", record_it=False)
    assert judged("5.1", "5.2", "5.3") == {"5.2": 0x0112, "5.3": 0x0112}


def test_an_instance_of_another_class_is_a_conflict(keep, judged):
    keep("5.1")
    assert judged("5.1", sop_class="1.2") == {"5.1": 0x0119}


def test_what_retention_took_or_the_disk_lost_is_no_such_instance(db, store, keep, judged):
    lost, purged = keep("5.1"), keep("5.2")
    store.resolve(lost.path).unlink()
    with db.write() as connection:
        connection.execute(INSTANCES.update().where(INSTANCES.c.path == purged.path).values(purged_at=1.0))
    assert judged("5.1", "5.2") == {"5.1": 0x0112, "5.2": 0x0112}


def test_an_instance_of_which_other_bytes_lie_in_quarantine_is_not_committed_to(db, keep, judged):
    instance = keep("5.1")
    quarantine(db, instance, reason="other bytes", now=1)
    assert judged("5.1") == {"5.1": 0x0110}


def test_a_request_of_thousands_is_judged(keep, judged):
    keep("5.1")
    assert len(judged("5.1", *(f"6.{number}" for number in range(3 * PAGE)))) == 3 * PAGE
