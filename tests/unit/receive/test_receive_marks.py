"""How transfers stand in the queue, also when it cannot be written at the moment they end."""

import threading
import time

import pytest
from sqlalchemy.exc import OperationalError

from ichnode.domain.states import Transfer
from ichnode.queue.series import receiving
from ichnode.receive import marks


@pytest.fixture
def locked(monkeypatch):
    """Makes the queue refuse to be written, until it is called."""
    mark_transfer = marks.mark_transfer

    def fail(*_args):
        raise OperationalError("", {}, Exception("database is locked"))

    monkeypatch.setattr(marks, "mark_transfer", fail)
    return lambda: monkeypatch.setattr(marks, "mark_transfer", mark_transfer)


@pytest.fixture
def sent(listen, associate, make_slice):
    """A receiver, and an association that has sent it a slice."""
    receiver = listen()
    association = associate(receiver.port)
    assert association.send_c_store(make_slice()).Status == 0x0000
    return receiver, association


def how(db) -> Transfer:
    (row,) = receiving(db)
    return row.transfer


def test_an_end_that_the_queue_cannot_take_is_written_down_later(sent, request, db, caplog, wait_until):
    receiver, association = sent
    unlock = request.getfixturevalue("locked")
    association.release()
    wait_until(lambda: "to be noted later" in caplog.text)
    receiver.catch_up()
    assert how(db) is Transfer.OPEN

    unlock()
    receiver.catch_up()

    assert how(db) is Transfer.CLOSED


def test_what_is_sent_again_meanwhile_is_not_ended_by_the_end_from_before(
    sent, request, db, caplog, wait_until, associate, make_slice
):
    receiver, association = sent
    unlock = request.getfixturevalue("locked")
    association.release()
    wait_until(lambda: "to be noted later" in caplog.text)
    unlock()
    assert associate(receiver.port).send_c_store(make_slice(2)).Status == 0x0000

    receiver.catch_up()

    assert how(db) is Transfer.OPEN


def test_what_else_is_to_be_told_of_an_association_is_told_though_the_queue_cannot_be_written(
    sent, request, caplog, wait_until
):
    receiver, association = sent
    caplog.set_level("INFO")
    request.getfixturevalue("locked")

    association.release()

    wait_until(lambda: "association from MODALITY released: 1 kept" in caplog.text)
    assert not receiver._receptions


def test_nobody_waits_for_a_queue_that_another_thread_waits_for(db, monkeypatch):
    entered, goes_on = threading.Event(), threading.Event()

    def waits(*_args):
        entered.set()
        assert goes_on.wait(10)

    monkeypatch.setattr(marks, "mark_transfer", waits)
    noted = marks.Marks(db)
    writer = threading.Thread(target=noted.end, args=({"1.2": Transfer.CLOSED},))
    writer.start()
    assert entered.wait(10)

    began = time.monotonic()
    noted.end({"1.3": Transfer.CUT})
    noted.open_later("1.4")
    noted.catch_up()
    took = time.monotonic() - began

    goes_on.set()
    writer.join(10)
    assert took < 1


def test_what_is_left_by_others_is_written_by_who_writes(db, monkeypatch):
    written, noted = [], marks.Marks(db)

    def writes(_db, uid, transfer):
        written.append((uid, transfer))
        if uid == "1.2":
            noted.end({"1.3": Transfer.CUT})  # as another thread would, which finds this one at it

    monkeypatch.setattr(marks, "mark_transfer", writes)
    noted.open("1.2")

    assert written == [("1.2", Transfer.OPEN), ("1.3", Transfer.CUT)]


def test_an_opening_that_failed_is_tried_again_with_the_next_image(db, request, monkeypatch):
    unlock = request.getfixturevalue("locked")
    noted, written = marks.Marks(db), []
    with pytest.raises(OperationalError):
        noted.open("1.2")
    unlock()
    monkeypatch.setattr(marks, "mark_transfer", lambda _db, uid, transfer: written.append((uid, transfer)))

    noted.open("1.2")
    noted.open("1.2")

    assert written == [("1.2", Transfer.OPEN)]
