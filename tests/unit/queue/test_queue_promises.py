"""Storage commitment that others ask of us, as it is written down."""

from contextlib import contextmanager

from sqlalchemy import select

from ichnode.domain.commitment import Named, Report, Request
from ichnode.queue import views
from ichnode.queue.promises import (
    KEPT_S,
    LONGEST_S,
    Promised,
    due_promise,
    forget_old,
    next_report_at,
    not_reported,
    promise,
    promise_of,
    reported,
)
from ichnode.queue.tables import AUDIT, PROMISE_ITEMS, PROMISES
from ichnode.queue.untold import give_up


def _request(transaction="1.1", *uids):
    objects = tuple(Named(sop_class_uid="1.2", sop_instance_uid=uid) for uid in uids or ("5.1", "5.2"))
    return Request(transaction_uid=transaction, objects=objects)


def _promise(db, request, now=1.0, calling_ae="CT1"):
    return promise(db, request, calling_ae=calling_ae, address="127.0.0.1", now=now)


def test_a_request_is_due_to_who_asked_and_to_nobody_else(db):
    assert _promise(db, _request()) == Promised.NEW
    due = due_promise(db, "CT1", now=1)
    assert (due.request, due.attempts) == (_request(), 0)
    assert due_promise(db, "CT2", now=1) is None
    assert views.status(db, since=0).promises == {"due": 1}


def test_the_same_request_again_is_one_request_and_is_reported_once_more(db):
    _promise(db, _request())
    assert _promise(db, _request()) == Promised.AGAIN
    due = due_promise(db, "CT1", now=1)
    reported(db, due.id, Report(transaction_uid="1.1", committed=due.request.objects, failed=()), now=2)
    assert due_promise(db, "CT1", now=3) is None
    assert _promise(db, _request(), now=4) == Promised.AGAIN
    assert due_promise(db, "CT1", now=4).id == due.id


def test_a_transaction_uid_stands_for_one_set_of_objects_of_one_peer(db):
    _promise(db, _request())
    assert _promise(db, _request("1.1", "5.1")) == Promised.CONFLICT
    assert _promise(db, _request("1.1", "5.1"), calling_ae="CT2") == Promised.NEW
    assert promise_of(db, "1.1", "CT1").request == _request()


def test_a_report_that_could_not_be_delivered_waits_and_is_told_and_ends_after_a_week(db):
    _promise(db, _request())
    not_reported(db, due_promise(db, "CT1", now=1).id, reason="no connection", next_at=50)
    assert due_promise(db, "CT1", now=49) is None
    assert next_report_at(db, "CT1", now=1) == 50
    assert due_promise(db, "CT1", now=50).attempts == 1
    (untold,) = views.status(db, since=0).untold
    assert (untold["calling_ae"], untold["reason"]) == ("CT1", "no connection")
    assert due_promise(db, "CT1", now=1 + LONGEST_S) is None


def _rows(db):
    with db.read() as connection:
        history = select(AUDIT).where(AUDIT.c.entity == "promise")
        return [len(connection.execute(query).all()) for query in (select(PROMISES), select(PROMISE_ITEMS), history)]


def test_a_request_is_forgotten_a_week_after_its_report_was_delivered(db):
    _promise(db, _request())
    due = due_promise(db, "CT1", now=1)
    reported(db, due.id, Report(transaction_uid="1.1", committed=due.request.objects, failed=()), now=100)
    assert forget_old(db, now=100 + KEPT_S) == 0
    assert _rows(db) == [1, 2, 2]
    assert forget_old(db, now=101 + KEPT_S) == 1
    assert _rows(db) == [0, 0, 0]
    assert _promise(db, _request("1.1", "5.1"), now=200 + KEPT_S) == Promised.NEW


def test_a_request_that_is_asked_for_again_while_old_ones_are_forgotten_is_kept(db):
    _promise(db, _request())
    due = due_promise(db, "CT1", now=1)
    reported(db, due.id, Report(transaction_uid="1.1", committed=due.request.objects, failed=()), now=2)

    class AskedAgainMeanwhile:
        """The queue: once it was looked through, the peer asks again."""

        write = staticmethod(db.write)

        @contextmanager
        def read(self):
            with db.read() as connection:
                yield connection
            _promise(db, _request(), now=3 + KEPT_S)

    assert forget_old(AskedAgainMeanwhile(), now=3 + KEPT_S) == 0
    assert due_promise(db, "CT1", now=3 + KEPT_S).request == _request()


def test_a_request_whose_report_is_due_is_kept_until_a_week_after_it_was_given_up(db):
    _promise(db, _request("1.1"))
    _promise(db, _request("1.2"), now=LONGEST_S)
    assert give_up(db, now=1 + LONGEST_S) == 1
    assert forget_old(db, now=1 + LONGEST_S + KEPT_S) == 0
    assert forget_old(db, now=2 + LONGEST_S + KEPT_S) == 1
    assert promise_of(db, "1.1", "CT1") is None
    assert promise_of(db, "1.2", "CT1").request == _request("1.2")
