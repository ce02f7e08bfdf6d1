"""Results whose patient is another by now: held before they go out, in words that quote nobody."""

import logging
from random import Random
from threading import Event

import pytest
from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find

from ichnode.deliver.loop import deliver_due
from ichnode.domain.outputs import Peer
from ichnode.domain.states import DeliveryState
from ichnode.queue import outbox, views
from ichnode.queue.holds import held, hold_study, release
from ichnode.queue.tables import DELIVERIES

STUDY = "1.2"


@pytest.fixture
def knower(start_scp):
    """A PACS that says whose the study is: ``known``, a list that a test fills; its questions are in ``asked``."""
    known, asked = [], []

    def on_find(event):
        asked.append(event.identifier)
        for values in known:
            answer = Dataset()
            answer.SpecificCharacterSet = "ISO_IR 192"
            for keyword, value in ({"StudyInstanceUID": STUDY} | values).items():
                setattr(answer, keyword, value)
            yield 0xFF00, answer
        yield 0x0000, None

    scp = start_scp(classes={Find: ["1.2.840.10008.1.2"]}, name="archive", handlers=[(evt.EVT_C_FIND, on_find)])
    scp.known, scp.asked = known, asked
    return scp


@pytest.fixture
def go(db, outputs, destination, start_scp):
    """Delivers a round of what is due, asking ``knower``. Returns what arrived so far."""
    pacs = start_scp()

    def _go(knower_peer, now=0.0):
        place = destination(pacs.peer, identity_at=knower_peer)
        _go.turn = deliver_due(db, place, outputs, clock=lambda: now, rng=Random(1), stop=Event())
        return pacs.uids

    _go.destination = destination(pacs.peer)
    return _go


def states(db):
    with db.read() as connection:
        return {row.state for row in connection.execute(DELIVERIES.select())}


@pytest.mark.parametrize(
    "known",
    [
        [],  # not archived yet
        [{"PatientID": "", "PatientName": "Doe^Jane"}],
        [{"PatientName": "DOE^JANE^^"}],
        [{"PatientBirthDate": "19500101", "IssuerOfPatientID": "CITY"}],  # our objects state neither
    ],
)
def test_results_go_out_where_the_pacs_does_not_contradict_them(db, add_result, knower, go, known):
    uids = add_result(STUDY, go.destination)
    knower.known.extend(known)

    assert go(knower.peer) == uids

    assert held(db, STUDY) == []
    (asked,) = knower.asked
    assert (asked.QueryRetrieveLevel, asked.StudyInstanceUID) == ("STUDY", STUDY)


@pytest.mark.parametrize(
    ("known", "named"),
    [
        ([{"PatientID": "4711"}], "PatientID"),  # ours is empty: somebody has been identified
        ([{"PatientName": "Roe^Jane"}], "PatientName"),
        ([{"PatientName": "Doe^Jane"}, {"PatientName": "Roe^Jane", "PatientID": "4711"}], "PatientID, PatientName"),
    ],
)
def test_results_of_another_patient_are_held_and_told_without_naming_anybody(
    db, add_result, knower, go, known, named, caplog
):
    add_result(STUDY, go.destination)
    knower.known.extend(known)

    with caplog.at_level(logging.INFO, logger="ichnode"):
        assert go(knower.peer) == []

    assert held(db, STUDY) == [f"archive has another {named} for the study than its images"]
    assert states(db) == {DeliveryState.PENDING}
    assert outbox.due(db, "pacs", now=1e9) == []
    assert outbox.next_due_at(db, "pacs") is None
    log = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("ichnode"))
    told = log + str(views.history(db, 1)) + str(views.status(db, since=0))
    assert "held" in log
    assert not [mark for mark in ("Roe", "Doe", "4711", "Jane") if mark in told]


def test_released_by_a_person_they_go_out_until_the_identity_changes_once_more(db, add_result, knower, go):
    uids = add_result(STUDY, go.destination)
    knower.known.append({"PatientID": "4711"})
    go(knower.peer)
    assert release(db, STUDY, by="somebody", now=1) == 1

    assert go(knower.peer) == uids

    outbox.resend(db, job_ids=[1], destination=None, now=2)
    knower.known[0] = {"PatientID": "4712"}
    assert go(knower.peer, now=3) == uids
    assert (
        held(db, STUDY)
        == ["archive has another PatientID for the study than its images; 0 objects had gone out before"]
        or len(held(db, STUDY)) == 1
    )


def test_where_it_cannot_be_asked_results_wait_and_are_tried_again(db, add_result, go, free_port):
    add_result(STUDY, go.destination)

    assert go(Peer(name="archive", host="127.0.0.1", port=free_port, ae_title="PACS")) == []

    assert go.turn.not_before > 0
    assert held(db, STUDY) == []
    with db.read() as connection:
        reasons = {row.reason for row in connection.execute(DELIVERIES.select())}
    assert all(reason.startswith("whose study it is cannot be asked: ") for reason in reasons)
    assert len(outbox.due(db, "pacs", now=go.turn.not_before)) == 3


def test_a_doubt_that_comes_while_results_go_out_stops_those_that_have_not_gone(
    db, outputs, add_result, start_scp, destination
):
    def doubt(_event):
        hold_study(db, STUDY, told="other", reason="a later image has another patient ID", now=0)
        return 0x0000

    pacs = start_scp(doubt, name="slow")
    place = destination(pacs.peer)
    uids = add_result(STUDY, place)

    deliver_due(db, place, outputs, clock=lambda: 0.0, rng=Random(1), stop=Event())

    assert pacs.uids == uids[:1]
    assert states(db) == {DeliveryState.SENT, DeliveryState.PENDING}


def test_a_study_whose_identity_cannot_be_told_does_not_hold_up_the_others(
    db, outputs, add_result, destination, start_scp
):
    def on_find(event):
        yield (0xC000 if event.identifier.StudyInstanceUID == STUDY else 0x0000), None

    pacs = start_scp()
    knower = start_scp(classes={Find: ["1.2.840.10008.1.2"]}, name="archive", handlers=[(evt.EVT_C_FIND, on_find)])
    place = destination(pacs.peer, identity_at=knower.peer)
    add_result(STUDY, place)
    add_result("1.3", place)

    turns = [deliver_due(db, place, outputs, clock=lambda: 1000.0, rng=Random(1), stop=Event()) for _ in range(2)]

    assert [turn.not_before for turn in turns] == [0.0, 0.0]
    assert len(pacs.uids) == 3  # all objects of the other one
