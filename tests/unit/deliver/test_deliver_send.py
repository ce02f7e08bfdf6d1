"""C-STORE against real peers on the loopback that answer, refuse, abort and hang."""

import time
from contextlib import closing
from io import BytesIO
from threading import Event, Thread

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import association as pynetdicom_association
from pynetdicom import evt

from ichnode.deliver.association import MAX_CONTEXTS, Timeouts
from ichnode.deliver.classify import Outcome
from ichnode.deliver.parcel import batches, contexts, dicom_files, read_parcel
from ichnode.deliver.send import send
from ichnode.domain.outputs import Peer
from ichnode.domain.profile import LABEL_MAP_SEGMENTATION, SOP_CLASSES

SC = SecondaryCaptureImageStorage
QUICK = Timeouts(connect_s=0.5, acse_s=0.5, dimse_s=0.5, network_s=0.5)  # for peers that hang


def _send(files, peer, **options):
    return list(send(files, peer, **options))


def _outcomes(answers):
    return [answer.outcome for answer in answers]


def test_files_go_in_their_order_over_one_association_byte_for_byte(start_scp, make_file):
    scp = start_scp()
    files = [make_file("1.1", sop_class_uid=SegmentationStorage), make_file("1.2"), make_file("1.3")]

    answers = _send(files, scp.peer)

    assert [(a.path, a.sop_instance_uid, a.outcome, a.status) for a in answers] == [
        (file, uid, Outcome.SENT, 0x0000) for file, uid in zip(files, ["1.1", "1.2", "1.3"], strict=True)
    ]
    assert scp.uids == ["1.1", "1.2", "1.3"]
    assert len(scp.associations) == 1
    for file, (_, data_set) in zip(files, scp.received, strict=True):
        assert data_set
        assert file.read_bytes().endswith(data_set)
        assert data_set.startswith(b"\x08\x00\x00\x00")


def test_a_warning_counts_as_sent(start_scp, make_file):
    scp = start_scp(lambda _: 0xB000)
    [answer] = _send([make_file()], scp.peer)
    assert (answer.outcome, answer.status) == (Outcome.SENT, 0xB000)
    assert answer.reason == "0xB000: stored, data elements coerced"


def test_a_refused_object_does_not_keep_the_others_back(start_scp, make_file):
    statuses = iter([0xA700, 0xC000, 0x0000])
    scp = start_scp(lambda _: next(statuses))
    answers = _send([make_file("1.1"), make_file("1.2"), make_file("1.3")], scp.peer)
    assert _outcomes(answers) == [Outcome.AGAIN, Outcome.DEAD, Outcome.SENT]


def test_the_peers_comment_stays_out_and_the_offending_elements_are_named(start_scp, make_file):
    def answer(_):
        status = Dataset()
        status.Status = 0xA900
        status.ErrorComment = "Doe^Jane has no pixels"
        status.OffendingElement = [0x00080020, 0x00080030]
        return status

    [result] = _send([make_file()], start_scp(answer).peer)
    assert result.reason == "0xA900: data set does not match SOP class, offending: (0008,0020), (0008,0030)"


def test_a_kind_of_object_that_the_peer_does_not_take_is_dead_and_the_rest_goes(start_scp, make_file):
    scp = start_scp(classes={SC: [ExplicitVRLittleEndian]})
    answers = _send([make_file("1.1", sop_class_uid=Comprehensive3DSRStorage), make_file("1.2")], scp.peer)
    assert _outcomes(answers) == [Outcome.DEAD, Outcome.SENT]
    assert answers[0].reason == "Comprehensive 3D SR Storage: the SOP class is not supported"


def test_a_class_younger_than_the_library_is_called_by_its_name_when_it_is_refused(start_scp, make_file):
    scp = start_scp(classes={SC: [ExplicitVRLittleEndian]})
    [answer] = _send([make_file("1.1", sop_class_uid=LABEL_MAP_SEGMENTATION)], scp.peer)
    assert answer.outcome == Outcome.DEAD
    assert answer.reason == "Label Map Segmentation Storage: the SOP class is not supported"


def test_every_class_that_a_profile_may_have_is_proposed_and_goes_as_it_is(start_scp, make_file):
    scp = start_scp(classes={uid: [ExplicitVRLittleEndian] for uid in SOP_CLASSES.values()})
    files = [make_file(f"1.{n}", sop_class_uid=uid) for n, uid in enumerate(SOP_CLASSES.values(), 1)]
    assert set(_outcomes(_send(files, scp.peer))) == {Outcome.SENT}
    assert len(scp.received) == len(SOP_CLASSES) == 9


def test_each_object_is_told_why_its_own_kind_was_refused(start_scp, make_file):
    scp = start_scp(classes={Comprehensive3DSRStorage: [JPEG2000Lossless], SC: [ExplicitVRLittleEndian]})
    kinds = [SegmentationStorage, Comprehensive3DSRStorage]
    answers = _send([make_file(f"1.{i}", sop_class_uid=kind) for i, kind in enumerate(kinds)], scp.peer)
    assert [a.reason for a in answers] == [
        "Segmentation Storage: the SOP class is not supported",
        "Comprehensive 3D SR Storage: none of the offered transfer syntaxes is supported",
    ]


def test_a_peer_that_takes_none_of_the_kinds_answers_for_each(start_scp, make_file):
    scp = start_scp(classes={CTImageStorage: [ExplicitVRLittleEndian]})
    assert _outcomes(_send([make_file("1.1"), make_file("1.2")], scp.peer)) == [Outcome.DEAD, Outcome.DEAD]


def test_an_object_is_re_encoded_where_the_peer_takes_implicit_only(start_scp, make_file):
    scp = start_scp(classes={SC: [ImplicitVRLittleEndian]})

    [answer] = _send([make_file("1.1")], scp.peer)

    assert answer.outcome == Outcome.SENT
    arrived = dcmread(BytesIO(scp.received[0][1]), force=True)
    assert arrived.original_encoding == (True, True)
    assert (arrived.SOPInstanceUID, arrived.PatientName) == ("1.1", "Doe^Jane")


def test_an_object_is_not_re_encoded_where_that_was_not_allowed(start_scp, make_file):
    scp = start_scp(classes={SC: [ImplicitVRLittleEndian]})
    [answer] = _send([make_file()], scp.peer, transfer_syntaxes=[ExplicitVRLittleEndian])
    assert answer.outcome == Outcome.DEAD
    assert scp.received == []


def test_an_object_that_may_travel_in_no_syntax_is_dead_without_a_call(free_port, make_file):
    peer = Peer(name="pacs", host="127.0.0.1", port=free_port, ae_title="PACS")
    [answer] = _send([make_file()], peer, transfer_syntaxes=[])
    assert answer.outcome == Outcome.DEAD


def test_a_compressed_file_is_offered_as_it_is_only(make_file):
    for syntax in (JPEG2000Lossless, ExplicitVRBigEndian):
        parcel = read_parcel(make_file("1.1"))
        assert [s for _, s in type(parcel)(**{**_fields(parcel), "transfer_syntax_uid": syntax}).offers([])] == [syntax]


def test_files_that_cannot_be_sent_are_answered_and_the_rest_goes(start_scp, make_file, tmp_path):
    scp = start_scp()
    text = tmp_path / "notes.txt"
    text.write_text("not DICOM")
    answers = _send([tmp_path / "gone.dcm", text, make_file("1.1")], scp.peer)
    assert [(a.outcome, a.reason) for a in answers[:2]] == [
        (Outcome.DEAD, "the file is gone"),
        (Outcome.DEAD, "notes.txt is not a DICOM file"),
    ]
    assert answers[2].outcome == Outcome.SENT


def test_nobody_listens(free_port, make_file):
    peer = Peer(name="pacs", host="127.0.0.1", port=free_port, ae_title="PACS")
    answers = _send([make_file("1.1"), make_file("1.2")], peer)
    assert _outcomes(answers) == [Outcome.UNREACHABLE] * 2
    assert answers[0].reason == f"pacs: no connection to 127.0.0.1:{free_port}: refused, or no route"


def test_a_host_name_that_nobody_knows(make_file):
    [answer] = _send([make_file()], Peer(name="pacs", host="pacs.invalid", port=104, ae_title="PACS"))
    assert answer.outcome == Outcome.UNREACHABLE
    assert "host name pacs.invalid is not known" in answer.reason


@pytest.mark.parametrize(
    ("setup", "sentence"),
    [
        ({"ae_title": "OTHER"}, "permanently: it does not know the called AE title PACS: correct it here"),
        (
            {"setup": lambda ae: setattr(ae, "require_calling_aet", ["SOMEONE"])},
            "permanently: it does not know the calling AE title ICHNODE: register it there",
        ),
    ],
)
def test_a_rejected_association_is_never_final_and_says_what_to_change(start_scp, make_file, setup, sentence):
    scp = start_scp(**setup)
    [answer] = _send([make_file()], scp.peer)
    assert answer.outcome == Outcome.UNREACHABLE
    assert answer.reason.endswith(sentence)


def test_a_peer_with_too_many_associations_is_tried_again(busy_peer, make_file):
    [answer] = _send([make_file()], busy_peer)
    assert answer.outcome == Outcome.UNREACHABLE
    assert answer.reason.endswith("for the moment: it has as many associations as it takes")


def test_a_peer_that_never_answers_the_request_is_given_up_in_time(silent_peer, make_file):
    started = time.monotonic()
    [answer] = _send([make_file()], silent_peer, timeouts=QUICK)
    assert time.monotonic() - started < 3
    assert answer.outcome == Outcome.UNREACHABLE
    assert answer.reason.endswith("did not answer the association request within 0.5 s")


def test_a_peer_that_never_answers_the_store_is_given_up_in_time(start_scp, make_file):
    released = Event()

    def hang(_):
        released.wait(20)
        return 0x0000

    scp = start_scp(hang)
    started = time.monotonic()
    answers = _send([make_file("1.1"), make_file("1.2")], scp.peer, timeouts=QUICK)
    took = time.monotonic() - started
    released.set()
    assert took < 5
    assert _outcomes(answers) == [Outcome.AGAIN, Outcome.UNREACHABLE]
    assert answers[0].reason == "the peer did not answer in time"
    assert answers[1].reason == "not sent: before its turn the peer did not answer in time"


def test_a_peer_that_stops_reading_does_not_block(start_scp, make_file):
    """The socket's buffers fill, and the sender's thread hangs in the kernel."""
    released = Event()

    def stop_reading(_):
        released.wait(20)

    scp = start_scp(handlers=[(evt.EVT_PDU_RECV, lambda e: stop_reading(e) if "P_DATA" in str(type(e.pdu)) else None)])
    file = make_file("1.1")
    file.write_bytes(file.read_bytes() + b"\xfc\xff\xfc\xffOB\x00\x00" + (30_000_000).to_bytes(4, "little"))
    with file.open("ab") as tail:
        tail.truncate(file.stat().st_size + 30_000_000)
    answers = []
    sender = Thread(target=lambda: answers.extend(_send([file], scp.peer, timeouts=QUICK)), daemon=True)
    sender.start()
    sender.join(15)  # the wait for the answer, which grows with the size, would be 5 minutes
    released.set()
    assert not sender.is_alive()
    assert _outcomes(answers) == [Outcome.AGAIN]


@pytest.mark.parametrize("how", ["abort", "close"])
def test_an_association_that_breaks_mid_way_leaves_the_rest_for_later(start_scp, make_file, how):
    def break_at_second(event):
        if event.request.AffectedSOPInstanceUID == "1.2":
            if how == "abort":
                event.assoc.abort(block=False)
            else:
                event.assoc.dul.socket.close()
        return 0x0000

    scp = start_scp(break_at_second)
    answers = _send([make_file("1.1"), make_file("1.2"), make_file("1.3")], scp.peer)

    assert _outcomes(answers) == [Outcome.SENT, Outcome.AGAIN, Outcome.UNREACHABLE]
    assert answers[1].reason == "the peer aborted the association, or the connection was lost"
    assert answers[2].reason.startswith("not sent: before its turn the peer aborted")


def test_a_peer_that_aborts_between_two_objects_is_noticed_at_once(start_scp, make_file):
    server_side = []
    scp = start_scp(lambda event: server_side.append(event.assoc) or 0x0000)
    started = time.monotonic()
    outcomes = []
    with closing(send([make_file("1.1"), make_file("1.2")], scp.peer)) as answers:  # the usual 60 s limits
        for answer in answers:
            outcomes.append(answer.outcome)
            if answer.outcome == Outcome.SENT:
                server_side[0].abort()
    assert outcomes == [Outcome.SENT, Outcome.UNREACHABLE]
    assert time.monotonic() - started < 10


def test_an_abort_while_an_object_is_being_prepared_does_not_hang(start_scp, make_file, monkeypatch):
    """pynetdicom looks at the association, reads the file, and then waits for a thread that may have died."""
    server_side = []
    scp = start_scp(lambda event: server_side.append(event.assoc) or 0x0000)
    split = pynetdicom_association.split_dataset

    def slow_split(path):
        if server_side:
            server_side[0].abort()
        return split(path)

    monkeypatch.setattr(pynetdicom_association, "split_dataset", slow_split)
    started = time.monotonic()
    answers = _send([make_file("1.1"), make_file("1.2")], scp.peer)
    assert _outcomes(answers) == [Outcome.SENT, Outcome.AGAIN]
    assert time.monotonic() - started < 10


def test_whoever_stops_early_releases_the_association(start_scp, make_file):
    ended = Event()
    aborted = Event()
    handlers = [(evt.EVT_RELEASED, lambda _: ended.set()), (evt.EVT_ABORTED, lambda _: aborted.set())]
    scp = start_scp(handlers=handlers)
    with closing(send([make_file("1.1"), make_file("1.2")], scp.peer)) as answers:
        next(answers)
    assert ended.wait(5)
    assert not aborted.is_set()
    assert scp.uids == ["1.1"]


def test_more_than_128_contexts_take_more_than_one_association(make_file):
    parcel = read_parcel(make_file())
    parcels = [type(parcel)(**{**_fields(parcel), "sop_class_uid": f"1.2.{i}"}) for i in range(150)]
    runs = list(batches(parcels, [ExplicitVRLittleEndian, ImplicitVRLittleEndian]))
    assert [p for run in runs for p in run] == parcels
    assert [len(contexts(run, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])) for run in runs] == [128, 128, 44]
    assert MAX_CONTEXTS == 128


def test_a_folder_is_searched_for_what_is_dicom(make_file, tmp_path):
    (tmp_path / "sub").mkdir()
    first = make_file("1.1").rename(tmp_path / "sub" / "no-suffix")
    second = make_file("1.2")
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "empty").touch()
    make_file("1.3", sop_class_uid="1.2.840.10008.1.3.10").rename(tmp_path / "DICOMDIR")
    assert dicom_files(tmp_path) == sorted([first, second])


def _fields(parcel):
    return {name: getattr(parcel, name) for name in type(parcel).__dataclass_fields__}
