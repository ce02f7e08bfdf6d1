"""Reports on storage commitment that a peer could not be given for a week."""

import pytest

from ichnode.domain.commitment import Named, Report, Request
from ichnode.queue import purge, views
from ichnode.queue.intake import record
from ichnode.queue.promises import LONGEST_S, due_promise, forget_old, not_reported, promise, reported
from ichnode.queue.untold import give_up, try_again

DAY_S = 86400
LATE = 2 + LONGEST_S
MUCH_LATER = 10 * LONGEST_S


def ask(db, *uids, transaction="1.1", calling_ae="CT1", now=1.0):
    objects = tuple(Named(sop_class_uid="1.2", sop_instance_uid=uid) for uid in uids or ("1.2.3.1",))
    request = Request(transaction_uid=transaction, objects=objects)
    promise(db, request, calling_ae=calling_ae, address="127.0.0.1", now=now)


@pytest.fixture
def given_up(db, make_instance):
    """A report on one instance that is here, in vain for a week."""
    record(db, make_instance(1), now=0)
    ask(db)
    not_reported(db, due_promise(db, "CT1", now=1).id, reason="no connection", next_at=50)
    assert give_up(db, now=LATE) == 1


@pytest.mark.usefixtures("given_up")
def test_a_report_that_was_given_up_stays_to_be_seen_however_late_it_is(db):
    now = views.status(db, since=MUCH_LATER)
    assert [(row["calling_ae"], row["given_up"], row["reason"]) for row in now.untold] == [("CT1", 1, "no connection")]
    assert now.promises == {"given_up": 1}
    assert forget_old(db, now=MUCH_LATER) == 0
    assert due_promise(db, "CT1", now=LATE) is None


def test_a_report_still_tried_is_seen_however_long_ago_it_was_asked_for(db):
    ask(db)
    not_reported(db, due_promise(db, "CT1", now=1).id, reason="no connection", next_at=50)
    assert give_up(db, now=LONGEST_S) == 0
    assert len(views.status(db, since=LONGEST_S).untold) == 1


def test_one_that_nobody_even_tried_is_given_up_with_a_reason(db):
    ask(db, calling_ae="STRANGER")
    give_up(db, now=LATE)
    (row,) = views.status(db, since=LATE).untold
    assert row["reason"].startswith("never tried: no [[modality]], [[destination]] or [[pacs]] says where to report")


def test_one_that_was_never_tried_is_no_alarm_once_it_is_about_to_be(db):
    ask(db)
    give_up(db, now=LATE)
    assert try_again(db, ["CT1"], now=LATE) == 1
    assert views.status(db, since=0).untold == []
    not_reported(db, due_promise(db, "CT1", now=LATE).id, reason="no connection", next_at=MUCH_LATER)
    assert [row["reason"] for row in views.status(db, since=0).untold] == ["no connection"]


@pytest.mark.usefixtures("given_up")
def test_once_its_objects_are_gone_a_report_is_forgotten(db):
    with db.write() as connection:
        connection.exec_driver_sql("UPDATE instances SET purged_at = 9")
    assert forget_old(db, now=MUCH_LATER) == 1
    assert views.status(db, since=0).untold == []


@pytest.mark.usefixtures("given_up")
def test_tried_again_it_is_due_for_another_week_and_an_alarm_until_it_is_delivered(db):
    assert try_again(db, ["CT2"], now=LATE) == 0
    assert try_again(db, ["CT1"], now=LATE) == 1
    due = due_promise(db, "CT1", now=LATE)
    (row,) = views.status(db, since=LATE).untold
    assert (row["given_up"], row["reason"], row["attempts"]) == (0, "no connection", 1)
    reported(db, due.id, Report(transaction_uid="1.1", committed=due.request.objects, failed=()), now=LATE)
    assert views.status(db, since=0).untold == []


@pytest.mark.usefixtures("given_up")
def test_asked_for_once_more_by_its_peer_it_is_due_again(db):
    ask(db, now=LATE)
    assert due_promise(db, "CT1", now=LATE).attempts == 0
    assert views.status(db, since=0).untold == []


@pytest.mark.usefixtures("given_up")
def test_a_report_on_its_way_when_it_was_given_up_counts(db):
    with db.read() as connection:
        promise_id = connection.exec_driver_sql("SELECT id FROM promises").scalar()
    reported(db, promise_id, Report(transaction_uid="1.1", committed=(), failed=()), now=LATE)
    assert views.status(db, since=0).promises == {"reported": 1}


@pytest.mark.usefixtures("given_up")
def test_a_peer_with_many_hides_no_other_and_its_newest_tells_the_reason(db):
    for number in range(60):
        ask(db, transaction=f"2.{number}", calling_ae="NOISY", now=LATE + number)
        due = due_promise(db, "NOISY", now=LATE + number)
        not_reported(db, due.id, reason=f"refused {number}", next_at=MUCH_LATER)
    now = views.status(db, since=0)
    assert [(row["calling_ae"], row["count"], row["given_up"], row["reason"]) for row in now.untold] == [
        ("CT1", 1, 1, "no connection"),
        ("NOISY", 60, 0, "refused 59"),
    ]
    assert now.untold[1]["asked_at"] == LATE


@pytest.mark.usefixtures("given_up")
def test_a_report_that_became_due_while_the_node_was_off_is_tried_for_a_week_once_it_is_asked_for_again(db):
    ask(db, transaction="2.1", calling_ae="CT2")
    assert due_promise(db, "CT2", now=LATE) is None

    ask(db, transaction="2.1", calling_ae="CT2", now=LATE)

    assert due_promise(db, "CT2", now=LATE).request.transaction_uid == "2.1"
    assert give_up(db, now=LATE + LONGEST_S - 1) == 0
    assert give_up(db, now=LATE + LONGEST_S) == 1


def test_a_report_that_waits_for_its_next_attempt_is_tried_at_once_when_it_is_asked_for_again(db):
    ask(db)
    not_reported(db, due_promise(db, "CT1", now=1).id, reason="no connection", next_at=50)

    ask(db, now=9)

    assert due_promise(db, "CT1", now=9).attempts == 1


def test_a_report_that_is_asked_for_every_day_waits_since_it_was_asked_for_first_and_is_given_up_after_a_week(db):
    ask(db)
    for day in range(7):
        ask(db, now=1 + day * DAY_S)
        not_reported(db, due_promise(db, "CT1", now=1 + day * DAY_S).id, reason="no connection", next_at=MUCH_LATER)
        (row,) = views.status(db, since=0).untold
        assert (row["asked_at"], row["attempts"]) == (1, day + 1)
        assert give_up(db, now=1 + day * DAY_S) == 0
    assert give_up(db, now=1 + LONGEST_S) == 1


def test_a_report_that_was_asked_for_by_a_clock_since_set_back_waits_from_when_it_is_asked_for_again(db):
    ask(db, now=MUCH_LATER)
    ask(db, now=1)
    assert give_up(db, now=1 + LONGEST_S) == 1


@pytest.mark.usefixtures("given_up")
def test_a_purge_takes_it_along_and_waits_for_nothing_of_it(db):
    found = purge.stored(db, "1.2", (), now=LATE)
    assert not [text for text in found.waiting if "commitment" in text]
    purge.give_up(db, found, now=LATE)
    assert purge.forget(db, found, text="by hand", now=LATE)
    assert views.status(db, since=0).promises == {}
