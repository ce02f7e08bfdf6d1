"""Storage commitment at the SCP: requests of modalities, and reports of destinations."""

import threading
import time
from io import BytesIO

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.dsutils import encode
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from ichnode import commitment as messages
from ichnode.commitment import (
    LARGEST_BYTES,
    MOST_OBJECTS,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    read_report,
    report_data,
    request_data,
    request_in,
)
from ichnode.domain.commitment import Named, Report, Request
from ichnode.domain.errors import Rejected
from ichnode.metered import ONE_AT_A_TIME
from ichnode.queue import views
from ichnode.queue.promises import due_promise
from ichnode.queue.tables import AUDIT, COMMITMENTS, PROMISES
from ichnode.receive import commitment, scp
from ichnode.receive.allow import AllowedPeer

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


@pytest.fixture
def call():
    """Opens an association for storage commitment; keeps the reports that come over it."""
    opened = []

    def _call(port, *, scp=False, calling="MODALITY", status=0x0000, slow_s=0.0):
        reports = []

        def on_report(event):
            time.sleep(slow_s)
            reports.append(read_report(event.event_information))
            return status, None

        entity = AE(ae_title=calling)
        entity.add_requested_context(PUSH_MODEL)
        entity.add_requested_context(CT)
        roles = [build_role(PUSH_MODEL, scp_role=True)] if scp else []
        handlers = [(evt.EVT_N_EVENT_REPORT, on_report)]
        association = entity.associate("127.0.0.1", port, ae_title="ICHNODE", ext_neg=roles, evt_handlers=handlers)
        assert association.is_established
        opened.append(association)
        return association, reports

    yield _call
    for association in opened:
        if association.is_established:
            association.abort()


def _ask(association, *uids, transaction="7.7", action=1, instance=PUSH_MODEL_INSTANCE):
    objects = tuple(Named(sop_class_uid=CT, sop_instance_uid=uid) for uid in uids)
    data = request_data(Request(transaction_uid=transaction, objects=objects))
    return association.send_n_action(data, action, PUSH_MODEL, instance)[0].Status


def _tell(association, transaction="7.7", event=1, instance=PUSH_MODEL_INSTANCE):
    named = (Named(sop_class_uid=CT, sop_instance_uid="5.1"),)
    _, data = report_data(Report(transaction_uid=transaction, committed=named, failed=()))
    return association.send_n_event_report(data, event, PUSH_MODEL, instance)[0].Status


def test_a_request_is_durable_when_success_is_answered(listen, call, db):
    association, _ = call(listen(reported_later=frozenset({"MODALITY"})).port)
    assert _ask(association, "1.2.3.1.1", "5.2") == 0x0000
    due = due_promise(db, "MODALITY", now=time.time())
    assert [each.sop_instance_uid for each in due.request.objects] == ["1.2.3.1.1", "5.2"]
    assert due.request.transaction_uid == "7.7"


def test_a_peer_without_an_address_is_told_over_its_own_association(listen, call, db, make_slice, wait_until):
    association, reports = call(listen().port)
    assert association.send_c_store(make_slice()).Status == 0x0000
    assert _ask(association, "1.2.3.1.1", "5.2") == 0x0000
    wait_until(lambda: reports)
    (report,) = reports
    assert report.transaction_uid == "7.7"
    assert [each.sop_instance_uid for each in report.committed] == ["1.2.3.1.1"]
    assert [(each.sop_instance_uid, reason) for each, reason in report.failed] == [("5.2", 0x0112)]
    wait_until(lambda: views.status(db, since=0).promises == {"reported": 1})
    association.release()
    assert association.is_released, "the association lives on"


def test_a_peer_that_hangs_up_before_its_report_is_kept_and_told(listen, call, db, wait_until, monkeypatch):
    held = threading.Event()
    judge = commitment.judge
    monkeypatch.setattr(commitment, "judge", lambda *a, **k: held.wait(10) and judge(*a, **k))
    association, reports = call(listen().port)
    assert _ask(association, "5.1") == 0x0000
    association.release()
    held.set()
    wait_until(lambda: views.status(db, since=0).untold)
    assert "[[modality]]" in views.status(db, since=0).untold[0]["reason"]
    assert reports == []
    again, reports = call(association.acceptor.port)
    assert _ask(again, "5.1") == 0x0000
    wait_until(lambda: reports)


def test_what_the_peer_sends_before_it_answers_a_report_is_not_taken_for_its_answer(
    listen, call, db, make_slice, wait_until, monkeypatch
):
    monkeypatch.setattr(commitment, "QUIET_S", 0.0)
    association, reports = call(listen().port, slow_s=0.2)
    for number in range(1, 6):
        assert _ask(association, "5.1", transaction=f"7.{number}") == 0x0000
        time.sleep(0.1)  # the report is out, and its answer is not
        assert association.send_c_store(make_slice(number)).Status == 0x0000
    wait_until(lambda: views.status(db, since=0).promises == {"reported": 5})
    assert [report.transaction_uid for report in reports] == [f"7.{number}" for number in range(1, 6)]
    association.release()
    assert association.is_released


def test_a_peer_that_sends_on_is_reported_to_when_it_pauses(listen, call, make_slice, wait_until):
    association, reports = call(listen().port)
    assert _ask(association, "5.1") == 0x0000
    for number in range(1, 9):
        assert association.send_c_store(make_slice(number)).Status == 0x0000
        assert reports == []
        time.sleep(0.1)
    wait_until(lambda: reports)


@pytest.mark.parametrize(
    ("change", "status"), [({"action": 2}, 0x0123), ({"instance": "1.2.3"}, 0x0112), ({"transaction": ""}, 0x0115)]
)
def test_a_request_that_is_none_is_refused(listen, call, db, change, status):
    association, _ = call(listen().port)
    assert _ask(association, "5.1", **change) == status
    assert due_promise(db, "MODALITY", now=1e10) is None
    assert association.is_established


def test_a_request_for_nothing_is_refused(listen, call):
    association, _ = call(listen().port)
    assert _ask(association) == 0x0115


def test_a_transaction_uid_that_stands_for_other_objects_is_refused(listen, call):
    association, _ = call(listen(reported_later=frozenset({"MODALITY"})).port)
    assert _ask(association, "5.1") == 0x0000
    assert _ask(association, "5.1") == 0x0000, "the same once more"
    assert _ask(association, "5.2") == 0x0115


def test_when_the_queue_fails_the_answer_says_so_and_nothing_is_promised(listen, call, monkeypatch):
    def fail(*_args, **_options):
        raise OperationalError("", {}, Exception("disk"))

    monkeypatch.setattr("ichnode.receive.commitment.promise", fail)
    association, _ = call(listen().port)
    assert _ask(association, "5.1") == 0x0110
    assert association.is_established


@pytest.fixture
def asked(db):
    """A request of ours to PACS that is not reported yet."""
    with db.write() as connection:
        values = {"transaction_uid": "7.7", "destination": "pacs", "ae_title": "PACS", "state": "open"}
        connection.execute(COMMITMENTS.insert().values(values | {"asked_at": 0, "deadline": 9}))


def _state(db):
    with db.read() as connection:
        return connection.execute(select(COMMITMENTS.c.state)).scalar_one()


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("scp", [True, False], ids=["as SCP, as the standard says", "without roles, as some do"])
def test_a_report_over_a_later_association_is_taken(listen, call, db, scp):
    association, _ = call(listen().port, scp=scp, calling="PACS")
    context = next(c for c in association.accepted_contexts if c.abstract_syntax == PUSH_MODEL)
    assert (context.as_scu, context.as_scp) == (not scp, scp)
    assert _tell(association) == 0x0000
    assert _state(db) == "reported"
    assert _tell(association) == 0x0000, "the same once more"
    association.release()


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("change", "status"), [({"event": 3}, 0x0113), ({"instance": "1.2.3"}, 0x0112), ({"transaction": "8.8"}, 0x0115)]
)
def test_a_report_that_nobody_asked_for_is_answered_and_not_believed(listen, call, db, change, status):
    association, _ = call(listen().port, scp=True, calling="PACS")
    assert _tell(association, **change) == status
    assert _state(db) == "open"
    assert association.is_established


@pytest.mark.usefixtures("asked")
def test_a_report_of_another_peer_is_not_believed_and_noted(listen, call, db):
    association, _ = call(listen().port, scp=True, calling="STRANGER")
    assert _tell(association) == 0x0115
    assert _state(db) == "open"
    with db.read() as connection:
        assert any("STRANGER" in text for text in connection.execute(select(AUDIT.c.text)).scalars())


@pytest.mark.usefixtures("asked")
def test_nonsense_in_a_report_is_answered_and_the_receiver_lives(listen, call, db):
    association, _ = call(listen().port, scp=True, calling="PACS")
    for keyword, value in (("TransactionUID", ""), ("ReferencedSOPSequence", [Dataset()])):
        data = Dataset()
        data.TransactionUID = "7.7"
        setattr(data, keyword, value)
        status, _ = association.send_n_event_report(data, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        assert status.Status == 0x0115
    status, _ = association.send_n_event_report(None, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    assert status.Status in (0x0110, 0x0115)
    assert _state(db) == "open"


@pytest.mark.usefixtures("asked")
def test_when_the_queue_fails_a_report_is_answered_so_that_it_comes_again(listen, call, db, monkeypatch):
    def fail(*_args, **_options):
        raise OperationalError("", {}, Exception("disk"))

    with monkeypatch.context() as broken:
        broken.setattr("ichnode.queue.commitments.take_report", fail)
        association, _ = call(listen().port, scp=True, calling="PACS")
        assert _tell(association) == 0x0110
    assert _tell(association) == 0x0000
    assert _state(db) == "reported"
    with db.read() as connection:
        assert connection.execute(select(PROMISES)).all() == []


def test_below_the_floor_of_the_disk_no_request_is_taken(listen, call, db):
    association, _ = call(listen(floor_bytes=1 << 60).port)
    assert _ask(association, "5.1") == 0x0213
    assert due_promise(db, "MODALITY", now=1e10) is None
    assert association.is_established


def test_requests_keep_to_the_rate_of_their_peer(listen, call, db, monkeypatch):
    monkeypatch.setattr(scp, "LONGEST_WAIT_S", 0.0)
    allow = (AllowedPeer(ae_title="*", network="*", max_per_minute=3),)
    association, _ = call(listen(allow=allow, reported_later=frozenset({"MODALITY"})).port)
    statuses = [_ask(association, "5.1", transaction=f"7.{number}") for number in range(1, 6)]
    assert statuses == [0x0000] * 3 + [0x0213] * 2
    assert _promises(db) == 3


def test_reports_that_nobody_asked_for_leave_one_row_however_many_come(listen, call, db):
    receiver = listen()
    association, _ = call(receiver.port, scp=True, calling="STRANGER")
    assert [_tell(association, transaction=f"8.{number}") for number in range(1, 20)] == [0x0115] * 19
    with db.read() as connection:
        texts = list(connection.execute(select(AUDIT.c.text)).scalars())
    told = "refused STRANGER at 127.0.0.1: a commitment report of a transaction that was not asked of it"
    assert [text for text in texts if "STRANGER" in text] == [told]


def _promises(db):
    with db.read() as connection:
        return len(connection.execute(select(PROMISES.c.id)).all())


def test_no_message_can_be_deflated(listen):
    entity = AE(ae_title="MODALITY")
    entity.add_requested_context(PUSH_MODEL, ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
    association = entity.associate("127.0.0.1", listen().port, ae_title="ICHNODE")
    assert association.rejected_contexts
    assert not association.accepted_contexts


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_the_largest_request_is_read(syntax):
    objects = tuple(Named(sop_class_uid=CT, sop_instance_uid=f"1.2.3.{n}") for n in range(MOST_OBJECTS))
    request = Request(transaction_uid="7.7", objects=objects)
    data = request_data(request)
    encoded = BytesIO(encode(data, syntax == IMPLICIT, True))
    assert request_in(encoded, syntax) == request


@pytest.mark.parametrize("kind", ["request", "report"])
def test_a_large_message_is_understood_by_one_thread_at_a_time(kind, monkeypatch):
    alone = []
    read = getattr(messages, f"read_{kind}")
    monkeypatch.setattr(messages, f"read_{kind}", lambda data: alone.append(ONE_AT_A_TIME.locked()) or read(data))
    objects = tuple(Named(sop_class_uid=CT, sop_instance_uid=f"1.2.3.{n}") for n in range(5_000))
    data = request_data(Request(transaction_uid="7.7", objects=objects))

    getattr(messages, f"{kind}_in")(BytesIO(encode(data, False, True)), EXPLICIT)

    assert alone == [True]
    assert not ONE_AT_A_TIME.locked()


def test_a_message_of_empty_items_is_refused_before_it_fills_the_memory():
    items = (b"\xfe\xff\x00\xe0" + bytes(4)) * 300_000
    sequence = b"\x08\x00\x99\x11" + len(items).to_bytes(4, "little") + items
    with pytest.raises(Rejected, match="more elements and items"):
        request_in(BytesIO(sequence), IMPLICIT)


def test_what_is_no_data_set_is_refused():
    for encoded in (None, BytesIO(b"\x08\x00\x95\x11SQ\0\0\xff\xff\xff\xffrubbish")):
        with pytest.raises(Rejected):
            request_in(encoded, EXPLICIT)


def test_a_message_too_large_to_be_a_request_is_refused_before_it_is_parsed():
    with pytest.raises(Rejected, match=f"{LARGEST_BYTES + 1} bytes"):
        request_in(BytesIO(bytes(LARGEST_BYTES + 1)), EXPLICIT)
