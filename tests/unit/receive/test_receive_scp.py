import logging
import threading
import time
import unittest.mock

import pytest
from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from sqlalchemy import func, select

from ichnode.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE
from ichnode.domain.identity import MANUFACTURER, MODEL_NAME
from ichnode.domain.states import Transfer
from ichnode.queue.series import cut_open_transfers, receiving
from ichnode.queue.tables import AUDIT, INSTANCES
from ichnode.receive import scp
from ichnode.receive.allow import AllowedPeer
from ichnode.receive.contexts import CT_CLASSES, TRANSFER_SYNTAXES

CT, ENHANCED, LEGACY = CT_CLASSES
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


def count(db, table=INSTANCES) -> int:
    with db.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


def transfer_of(db) -> Transfer:
    return receiving(db)[0].transfer


def test_an_echo_is_answered(listen, associate):
    association = associate(listen().port, sop_classes=[VERIFICATION])

    assert association.send_c_echo().Status == 0x0000
    association.release()


def test_a_stored_instance_is_durable_when_success_is_answered(listen, associate, make_slice, db, store):
    association = associate(listen().port)

    assert association.send_c_store(make_slice()).Status == 0x0000

    (row,) = receiving(db)
    kept = dcmread(store.resolve(row.instances[0].path))
    assert kept.PixelData == make_slice().PixelData
    assert kept.file_meta.SourceApplicationEntityTitle == "MODALITY"
    assert (row.calling_ae, row.transfer) == ("MODALITY", Transfer.OPEN)
    association.release()


@pytest.mark.parametrize("sop_class", CT_CLASSES)
@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_each_class_is_accepted_in_each_lossless_syntax(listen, associate, sop_class, syntax):
    association = associate(listen().port, sop_classes=[sop_class], syntaxes=[syntax])

    assert [cx.transfer_syntax[0] for cx in association.accepted_contexts] == [syntax]
    association.release()


def test_a_lossy_syntax_is_not_accepted(listen, associate):
    association = associate(listen().port, sop_classes=[CT, VERIFICATION], syntaxes=[JPEG_BASELINE, IMPLICIT])
    accepted = {cx.abstract_syntax: cx.transfer_syntax[0] for cx in association.accepted_contexts}
    assert accepted == {CT: IMPLICIT, VERIFICATION: IMPLICIT}
    association.release()


def test_our_preference_decides_among_the_syntaxes_that_are_offered(listen, associate):
    association = associate(listen().port, syntaxes=list(reversed(TRANSFER_SYNTAXES)))

    assert association.accepted_contexts[0].transfer_syntax == [EXPLICIT]
    association.release()


def test_a_class_that_is_not_configured_is_rejected_as_a_context(listen, associate):
    mr = "1.2.840.10008.5.1.4.1.1.4"
    association = associate(listen(accept_also=()).port, sop_classes=[CT, mr])

    assert [cx.abstract_syntax for cx in association.rejected_contexts] == [mr]
    association.release()


@pytest.mark.parametrize(
    ("allow", "calling", "called", "reason"),
    [
        (AllowedPeer(ae_title="CT1", network="127.0.0.0/8"), "CT1", "ICHNODE", None),
        (AllowedPeer(ae_title="CT1", network="127.0.0.0/8"), "CT2", "ICHNODE", (1, 1, 3)),
        (AllowedPeer(ae_title="CT1", network="10.0.0.0/8"), "CT1", "ICHNODE", (1, 1, 3)),
        (AllowedPeer(ae_title="*", network="*"), "CT1", "WRONG", (1, 1, 7)),
    ],
)
def test_only_listed_peers_that_call_us_by_our_name_are_let_in(listen, associate, allow, calling, called, reason):
    association = associate(listen(allow=(allow,)).port, calling=calling, called=called)

    assert association.is_established is (reason is None)
    if reason is not None:
        answer = association.acceptor.primitive
        assert association.is_rejected
        assert (answer.result, answer.result_source, answer.diagnostic) == reason


def test_one_association_too_many_is_rejected_as_local_limit_exceeded(listen, associate):
    receiver = listen(maximum_associations=2)
    first, second = associate(receiver.port), associate(receiver.port)

    third = associate(receiver.port)

    answer = third.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
    first.release()
    second.release()


def test_the_same_study_twice_makes_no_second_row(listen, associate, make_slice, db):
    receiver = listen()
    for _ in range(2):
        association = associate(receiver.port)
        assert [association.send_c_store(make_slice(n)).Status for n in range(1, 4)] == [0, 0, 0]
        association.release()

    assert count(db) == 3
    assert len(receiving(db)) == 1


def test_each_trouble_has_its_status(listen, associate, make_slice):
    association = associate(listen().port)
    nameless = make_slice()
    del nameless.StudyInstanceUID

    assert association.send_c_store(nameless).Status == 0xC000
    assert association.send_c_store(make_slice()).Status == 0x0000
    association.release()


def test_below_the_disk_floor_a700_and_accepted_again_when_there_is_room(
    listen, associate, make_slice, db, store, monkeypatch, wait_until
):
    association = associate(listen(floor_bytes=1000).port)
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "free_bytes", lambda _self: 1000)
        assert association.send_c_store(make_slice()).Status == 0xA700
    assert count(db) == 0

    assert association.send_c_store(make_slice()).Status == 0x0000
    association.release()

    def alarms():
        with db.read() as connection:
            return connection.execute(select(AUDIT.c.text).where(AUDIT.c.alarm)).scalars().all()

    wait_until(alarms)
    assert alarms() == ["refused from MODALITY: 1 because the disk is below its floor"]


def test_a_full_disk_while_writing_is_a700_and_leaves_nothing(listen, associate, make_slice, db, store, monkeypatch):
    def fail(*_args):
        raise OSError(28, "No space left on device")

    association = associate(listen().port)
    with monkeypatch.context() as patch:
        patch.setattr("ichnode.store.files._write_and_sync", fail)
        assert association.send_c_store(make_slice()).Status == 0xA700

    assert count(db) == 0
    assert [p for p in store.root.rglob("*") if p.is_file()] == []
    assert association.send_c_store(make_slice()).Status == 0x0000
    association.release()


@pytest.mark.parametrize(("comes_again", "transfer"), [(False, Transfer.CUT), (True, Transfer.CLOSED)])
def test_a_series_of_which_an_instance_found_no_room_is_not_complete_until_it_comes_again(
    comes_again, transfer, listen, associate, make_slice, db, monkeypatch, wait_until
):
    def fail(*_args):
        raise OSError(28, "No space left on device")

    receiver = listen()
    association = associate(receiver.port)
    assert association.send_c_store(make_slice(1)).Status == 0x0000
    with monkeypatch.context() as patch:
        patch.setattr("ichnode.store.files._write_and_sync", fail)
        assert association.send_c_store(make_slice(2)).Status == 0xA700
    if comes_again:
        assert association.send_c_store(make_slice(2)).Status == 0x0000

    association.release()

    wait_until(lambda: transfer_of(db) is not Transfer.OPEN)
    assert transfer_of(db) is transfer


@pytest.mark.parametrize("refused_by", ["the disk", "its rate"])
def test_a_refused_image_keeps_its_own_series_waiting_alone_until_a_later_association_brings_it(
    refused_by, listen, associate, make_slice, db, store, monkeypatch, wait_until
):
    def transfers():
        return {row.series_instance_uid: row.transfer for row in receiving(db)}

    receiver = listen(floor_bytes=1000)
    association = associate(receiver.port)
    for series in (1, 2):
        assert association.send_c_store(make_slice(1, series=series)).Status == 0x0000
    with monkeypatch.context() as patch:
        if refused_by == "the disk":
            patch.setattr(type(store), "free_bytes", lambda _self: 1000)
        else:
            patch.setattr(receiver._gate, "wait_s", lambda _association, most_s: most_s + 1)
        assert association.send_c_store(make_slice(2, series=2)).Status == 0xA700
    association.release()
    wait_until(lambda: Transfer.OPEN not in transfers().values())
    assert transfers() == {"1.2.3.1": Transfer.CLOSED, "1.2.3.2": Transfer.CUT}

    association = associate(receiver.port)
    assert association.send_c_store(make_slice(2, series=2)).Status == 0x0000
    association.release()

    wait_until(lambda: set(transfers().values()) == {Transfer.CLOSED})


def no_room(store):
    return unittest.mock.patch.object(type(store), "free_bytes", return_value=1000)


def test_a_node_that_dies_knows_of_a_series_that_it_was_cut_although_its_first_image_found_no_room(
    listen, associate, make_slice, db, store
):
    association = associate(listen(floor_bytes=1000).port)
    with no_room(store):
        assert association.send_c_store(make_slice(1)).Status == 0xA700
    assert association.send_c_store(make_slice(2)).Status == 0x0000

    assert cut_open_transfers(db) == 1  # as at the next start


def test_a_node_that_dies_knows_of_a_series_that_an_image_found_no_room_in_another_association(
    listen, associate, make_slice, db, store, wait_until
):
    receiver = listen(floor_bytes=1000)
    association = associate(receiver.port)
    assert association.send_c_store(make_slice(1)).Status == 0x0000
    association.release()
    wait_until(lambda: transfer_of(db) is Transfer.CLOSED)
    with no_room(store):
        assert associate(receiver.port).send_c_store(make_slice(2)).Status == 0xA700

    receiver.catch_up()

    assert cut_open_transfers(db) == 1


@pytest.mark.parametrize("when", ["before it was refused", "after it"])
def test_a_refused_image_that_another_sender_has_brought_is_not_waited_for(
    when, listen, associate, make_slice, db, store, wait_until
):
    receiver = listen(floor_bytes=1000)
    first, second = associate(receiver.port), associate(receiver.port, calling="PACS")
    assert first.send_c_store(make_slice(2)).Status == 0x0000
    if when == "before it was refused":
        assert first.send_c_store(make_slice(1)).Status == 0x0000
    with no_room(store):
        assert second.send_c_store(make_slice(1)).Status == 0xA700
    if when == "after it":
        assert first.send_c_store(make_slice(1)).Status == 0x0000

    first.release()
    second.release()

    wait_until(lambda: transfer_of(db) is not Transfer.OPEN)
    assert transfer_of(db) is Transfer.CLOSED


def test_a_refused_copy_of_an_image_that_is_there_keeps_its_series_not_open(
    listen, associate, make_slice, db, store, wait_until
):
    receiver = listen(floor_bytes=1000)
    first, second = associate(receiver.port), associate(receiver.port, calling="PACS")
    assert first.send_c_store(make_slice(1)).Status == 0x0000
    first.release()
    wait_until(lambda: transfer_of(db) is Transfer.CLOSED)

    with no_room(store):
        assert second.send_c_store(make_slice(1)).Status == 0xA700

    (row,) = receiving(db)
    assert not receiver.transfers.is_open(row.series_instance_uid)


def test_a_refused_image_that_cannot_be_read_keeps_nothing_waiting(
    listen, associate, make_slice, db, store, monkeypatch, wait_until
):
    association = associate(listen(floor_bytes=1000).port)
    assert association.send_c_store(make_slice(1)).Status == 0x0000
    nameless = make_slice(2)
    del nameless.SeriesInstanceUID
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "free_bytes", lambda _self: 1000)
        assert association.send_c_store(nameless).Status == 0xA700

    association.release()

    wait_until(lambda: transfer_of(db) is Transfer.CLOSED)


def test_an_unexpected_error_is_a_status_and_quotes_no_patient(listen, associate, make_slice, monkeypatch, caplog):
    def fail(*_args, **_kwargs):
        raise RuntimeError("PatientName Doe^Jane is odd")

    association = associate(listen().port)
    with monkeypatch.context() as patch, caplog.at_level(logging.DEBUG, logger="ichnode"):
        patch.setattr(scp, "take", fail)
        assert association.send_c_store(make_slice()).Status == 0xC000

    assert "RuntimeError" in caplog.text
    assert "Doe" not in caplog.text
    assert association.send_c_store(make_slice()).Status == 0x0000
    association.release()


def test_nothing_of_a_patient_is_logged(listen, associate, make_slice, caplog, wait_until, db):
    with caplog.at_level(logging.DEBUG, logger="ichnode"):
        association = associate(listen().port)
        association.send_c_store(make_slice(PatientID="P4711"))
        association.send_c_store(make_slice(2, PatientID="OTHER"))
        association.release()
        wait_until(
            lambda: "released" in " ".join(r.message for r in caplog.records) or "association from" in caplog.text
        )

    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("ichnode"))
    assert "1 kept, 1 quarantined" in ours
    assert not any(secret in ours for secret in ("4711", "OTHER", "Doe", "1.2.3"))
    assert count(db) == 1


def test_our_own_objects_are_not_kept(listen, associate, make_slice, db):
    sr = "1.2.840.10008.5.1.4.1.1.88.34"
    association = associate(listen().port, sop_classes=[sr])
    ours = make_slice(SOPClassUID=sr, Manufacturer=MANUFACTURER, ManufacturerModelName=MODEL_NAME)
    ours.file_meta.MediaStorageSOPClassUID = UID(sr)

    assert association.send_c_store(ours).Status == 0x0000
    assert count(db) == 0
    association.release()


def test_a_release_closes_the_transfer_and_an_abort_cuts_it(listen, associate, make_slice, db, wait_until):
    receiver = listen()
    association = associate(receiver.port)
    association.send_c_store(make_slice(1))
    assert receiver.transfers.is_open("1.2.3.1")
    association.abort()
    wait_until(lambda: transfer_of(db) is Transfer.CUT)
    assert not receiver.transfers.is_open("1.2.3.1")

    association = associate(receiver.port)
    association.send_c_store(make_slice(2))
    assert transfer_of(db) is Transfer.OPEN
    association.release()
    wait_until(lambda: transfer_of(db) is Transfer.CLOSED)


def test_a_connection_that_breaks_without_a_word_is_a_cut(listen, associate, make_slice, db, wait_until):
    association = associate(listen().port)
    association.send_c_store(make_slice(1))

    association.dul.socket.close()

    wait_until(lambda: transfer_of(db) is Transfer.CUT)


def test_an_association_that_falls_silent_is_ended_by_the_network_time_out(
    listen, associate, make_slice, db, wait_until
):
    association = associate(listen(network_timeout_s=0.3).port)
    association.send_c_store(make_slice(1))

    wait_until(lambda: transfer_of(db) is Transfer.CUT)


def test_what_stood_open_when_the_node_died_counts_as_cut(listen, associate, make_slice, db):
    receiver = listen()
    association = associate(receiver.port)
    association.send_c_store(make_slice(1))
    assert transfer_of(db) is Transfer.OPEN

    other = listen()  # a fresh process on the same database

    assert transfer_of(db) is Transfer.CUT
    assert not other.transfers.is_open("1.2.3.1")


def test_stop_lets_the_instance_in_hand_finish_and_refuses_new_associations(
    listen, associate, make_slice, db, monkeypatch, wait_until
):
    receiver = listen()
    association, other = associate(receiver.port), associate(receiver.port)
    entered, go_on, answers = threading.Event(), threading.Event(), []
    take = scp.take

    def slow(*args, **kwargs):
        entered.set()
        assert go_on.wait(10)
        return take(*args, **kwargs)

    monkeypatch.setattr(scp, "take", slow)
    sender = threading.Thread(target=lambda: answers.append(association.send_c_store(make_slice()).get("Status")))
    sender.start()
    assert entered.wait(10)
    stopper = threading.Thread(target=receiver.stop)
    stopper.start()
    wait_until(lambda: not receiver.is_listening)

    late = associate(receiver.port)
    assert not late.is_established
    assert other.send_c_store(make_slice(2)).Status == 0xA700

    go_on.set()
    sender.join(10)
    stopper.join(10)
    assert answers == [0x0000]
    assert count(db) == 1
    wait_until(lambda: association.is_aborted)
    assert transfer_of(db) is Transfer.CUT


def test_ten_associations_at_once_are_all_kept(listen, associate, make_slice, db):
    receiver = listen(maximum_associations=10)
    statuses = []

    def send(series):
        association = associate(receiver.port)
        statuses.extend(association.send_c_store(make_slice(n, series=series)).Status for n in range(1, 21))
        association.release()

    senders = [threading.Thread(target=send, args=(series,)) for series in range(1, 11)]
    for sender in senders:
        sender.start()
    deadline = time.monotonic() + 60
    for sender in senders:
        sender.join(deadline - time.monotonic())

    assert statuses == [0x0000] * 200
    assert count(db) == 200
    assert {len(row.instances) for row in receiving(db)} == {20}


def test_a_message_of_our_own_does_not_make_an_instance_count_as_answered(
    listen, associate, make_slice, monkeypatch, wait_until
):
    receiver, goes_on = listen(), threading.Event()
    take = scp.take
    monkeypatch.setattr(scp, "take", lambda *args, **options: goes_on.wait(10) and take(*args, **options))
    association = associate(receiver.port)
    sending = threading.Thread(target=association.send_c_store, args=(make_slice(),))
    sending.start()
    wait_until(lambda: receiver._in_hand)
    (theirs,) = receiver._in_hand
    report = N_EVENT_REPORT()
    report.MessageID, report.EventTypeID = 1, 1
    report.AffectedSOPClassUID, report.AffectedSOPInstanceUID = UID(PUSH_MODEL), UID(PUSH_MODEL_INSTANCE)

    theirs.dimse.send_msg(report, 1)

    assert receiver._in_hand == {theirs}
    goes_on.set()
    sending.join()
    wait_until(lambda: not receiver._in_hand)
