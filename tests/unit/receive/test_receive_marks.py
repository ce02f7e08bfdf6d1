"""How transfers stand in the queue, also when it cannot be written at the moment they end."""

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
