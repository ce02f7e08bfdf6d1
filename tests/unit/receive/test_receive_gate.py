"""What each peer may ask, and how much of it it may send."""

import socket
import struct
import time
from io import BytesIO
from threading import Thread
from types import SimpleNamespace

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import select

from ichnode.queue.series import receiving
from ichnode.queue.tables import AUDIT
from ichnode.receive import listen as listen_module
from ichnode.receive import scp
from ichnode.receive.allow import AllowedPeer, Right, peer_for, right_of
from ichnode.receive.contexts import ACCEPT_ALSO, COMMITMENT, CT_CLASSES, VERIFICATION
from ichnode.receive.limits import MOST_COMMAND_BYTES, MOST_UNANSWERED, Inflow, Rate
from ichnode.receive.refusals import MOST_KINDS, Refusals
from tests.fuzz import wire

CT = CT_CLASSES[0]


def peer(**changes) -> AllowedPeer:
    return AllowedPeer(**({"ae_title": "*", "network": "*"} | changes))


def alarms(db) -> list[str]:
    with db.read() as connection:
        return list(connection.execute(select(AUDIT.c.text).where(AUDIT.c.alarm)).scalars())


@pytest.mark.parametrize(
    ("sop_class", "right"),
    [(VERIFICATION, Right.ECHO), (COMMITMENT, Right.COMMITMENT), *((c, Right.STORE) for c in CT_CLASSES + ACCEPT_ALSO)],
)
def test_every_class_that_is_accepted_needs_a_right(listen, associate, sop_class, right):
    assert right_of(sop_class) is right
    others = frozenset(Right) - {right}

    refused = associate(listen(allow=(peer(may=others),)).port, sop_classes=[sop_class])
    accepted = associate(listen(allow=(peer(may=frozenset({right})),)).port, sop_classes=[sop_class])

    assert [context.abstract_syntax for context in refused.rejected_contexts] == [sop_class]
    assert not refused.accepted_contexts
    assert [context.abstract_syntax for context in accepted.accepted_contexts] == [sop_class]


def test_a_missing_right_takes_away_its_contexts_alone_and_is_told(listen, associate, db, make_slice):
    receiver = listen(allow=(peer(may=frozenset({Right.STORE})),))

    association = associate(receiver.port, sop_classes=[CT, VERIFICATION])

    assert [context.abstract_syntax for context in association.accepted_contexts] == [CT]
    assert association.send_c_store(make_slice()).Status == 0x0000
    association.release()
    assert alarms(db) == ["refused MODALITY at 127.0.0.1: it has no right to echo"]


def test_the_first_entry_that_fits_decides():
    allow = (peer(ae_title="CT1", may=frozenset({Right.ECHO})), peer(network="10.0.0.0/8"))

    assert peer_for(allow, "CT1", "10.1.1.1") is allow[0]
    assert peer_for(allow, "CT2", "10.1.1.1") is allow[1]
    assert peer_for(allow, "CT2", "11.1.1.1") is None


def test_the_answer_to_a_stranger_does_not_tell_whether_title_or_network_was_wrong(listen, associate):
    allow = (peer(ae_title="CT1", network="10.0.0.0/8"), peer(ae_title="CT2", network="127.0.0.0/8", tls_required=True))
    port = listen(allow=allow).port
    answers = set()
    for calling in ("CT1", "CT2", "CT3"):
        for called in ("ICHNODE", "WRONG"):
            rejected = associate(port, calling=calling, called=called).acceptor.primitive
            answers.add((rejected.result, rejected.result_source, rejected.diagnostic))

    assert answers == {(1, 1, 3)}


@pytest.mark.parametrize("left", [0x30, 0x40], ids=["abstract", "transfer"])
def test_a_context_that_lacks_a_syntax_is_rejected_and_told(left, listen, associate, db):
    receiver = listen(allow=(peer(),))
    request = wire.associate([(1, b"1.2.3", b"1.2")])
    both, one = wire.item(0x30, b"1.2.3") + wire.item(0x40, b"1.2"), wire.item(left, b"1.2.3.4.5.67")
    assert len(both) == len(one)

    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10) as stranger:
        stranger.sendall(request.replace(both, one))
        answer = stranger.recv(64)

    assert answer == bytes([3, 0, 0, 0, 0, 4, 0, 1, 1, 1])  # A-ASSOCIATE-RJ: permanent, service user, no reason
    assert alarms(db) == ["refused FUZZ at 127.0.0.1: it proposes a presentation context that lacks a syntax"]
    assert associate(receiver.port).is_established


def test_one_peer_has_its_own_limit_of_associations_and_others_are_not_touched(listen, associate, wait_until):
    receiver = listen(allow=(peer(ae_title="CT1", max_associations=2), peer()))
    first, second = (associate(receiver.port, calling="CT1") for _ in range(2))

    third = associate(receiver.port, calling="CT1")

    answer = third.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
    assert associate(receiver.port, calling="CT2").is_established
    first.release()
    wait_until(lambda: associate(receiver.port, calling="CT1").is_established)
    second.release()


def test_an_instance_that_grows_beyond_the_limit_is_cut_off_while_it_comes(
    listen, associate, make_slice, db, wait_until
):
    receiver = listen(allow=(peer(ae_title="SMALL", max_instance_bytes=100_000), peer()))
    large = make_slice(PixelData=bytes(2_000_000))
    cut, whole = associate(receiver.port, calling="SMALL"), associate(receiver.port)

    status = cut.send_c_store(large)

    assert "Status" not in status
    wait_until(lambda: not cut.is_established)
    assert not receiving(db)
    assert alarms(db) == ["refused SMALL at 127.0.0.1: an instance of more than 100000 bytes"]
    assert whole.send_c_store(large).Status == 0x0000
    whole.release()


def test_instances_that_follow_each_other_are_measured_each_for_itself(listen, associate, make_slice):
    association = associate(listen(maximum_instance_bytes=100_000).port)

    statuses = [association.send_c_store(make_slice(n, PixelData=bytes(60_000))).Status for n in range(1, 6)]

    assert statuses == [0x0000] * 5
    association.release()


def a_connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def test_a_pdu_that_claims_four_gigabytes_is_not_waited_for(listen):
    with a_connection(listen().port) as connection:
        connection.sendall(struct.pack(">BBL", 0x04, 0, 0xFFFFFFFE) + bytes(1000))
        started = time.monotonic()

        assert connection.recv(1) in (b"", b"\x07")

        assert time.monotonic() - started < 5


def test_a_connection_that_stops_in_the_middle_of_a_pdu_is_given_up(listen):
    with a_connection(listen(acse_timeout_s=0.5).port) as connection:
        connection.sendall(struct.pack(">BBL", 0x01, 0, 1000) + bytes(10))

        assert connection.recv(1) in (b"", b"\x07")


def test_a_sender_over_its_rate_is_slowed_and_then_refused_for_the_moment(listen, associate, make_slice, monkeypatch):
    monkeypatch.setattr(scp, "LONGEST_WAIT_S", 0.3)
    association = associate(listen(allow=(peer(max_per_minute=240),)).port)
    for number in range(1, 241):  # the budget of a minute at once
        assert association.send_c_store(make_slice(1)).Status == 0x0000, number
    started = time.monotonic()

    statuses = [association.send_c_store(make_slice(1)).Status for _ in range(12)]

    assert time.monotonic() - started > 0.2
    assert set(statuses) <= {0x0000, 0xA700}
    association.release()


def test_the_rate_is_a_budget_that_fills_evenly():
    now = [0.0]
    rate = Rate(lambda: now[0])

    assert [rate.wait_s("a", 60, most_s=20) for _ in range(60)] == [0.0] * 60
    assert rate.wait_s("a", 60, most_s=20) == pytest.approx(1.0)
    assert rate.wait_s("b", 60, most_s=20) == 0.0
    now[0] = 121.0
    assert rate.wait_s("a", 60, most_s=20) == 0.0


def test_what_is_refused_costs_nothing_so_that_a_sender_that_insists_is_not_shut_out_for_longer():
    now = [0.0]
    rate = Rate(lambda: now[0])
    for _ in range(1000):
        rate.wait_s("a", 60, most_s=20)
    assert rate.wait_s("a", 60, most_s=20) == pytest.approx(21.0)

    now[0] = 2.0

    assert rate.wait_s("a", 60, most_s=20) == pytest.approx(19.0)


STORE, ECHO = 0x0001, 0x0030  # command fields, PS3.7 E.1
ONE = 0b10  # message control header: the one fragment of a data set


def comes(inflow: Inflow, command_field: int, message_id: int, size: int) -> str:
    """A whole message; why it was not taken."""
    why = inflow.grows("a", [bytes([ONE]) + bytes(size)])
    if not why:
        inflow.came("a", command_field, message_id, size)
    return why


def test_what_waits_unanswered_is_counted_and_what_is_answered_is_not():
    inflow = Inflow(1000)
    inflow.opens("a", 100)

    assert comes(inflow, STORE, 1, 40) == ""
    assert comes(inflow, STORE, 2, 40) == ""
    assert "more than 100 bytes" in comes(inflow, STORE, 3, 40)
    inflow.ends("a")
    inflow.opens("a", 100)
    for message_id in range(1000):
        assert comes(inflow, STORE, message_id, 60) == ""
        inflow.answered("a", STORE, message_id)


def test_an_answer_to_another_request_sets_no_instance_free():
    inflow = Inflow(1000)
    inflow.opens("a", 100)
    whys = []
    for message_id in range(1, 5):
        whys.append(comes(inflow, STORE, message_id, 30))
        whys.append(comes(inflow, ECHO, message_id, 0))
        inflow.answered("a", ECHO, message_id)
        inflow.answered("a", STORE, 77)

    assert any("more than 100 bytes" in why for why in whys)


def test_more_requests_than_anybody_sends_unanswered_are_not_taken():
    inflow = Inflow(10**9)
    inflow.opens("a", 10**9)

    whys = [comes(inflow, ECHO, message_id, 0) for message_id in range(MOST_UNANSWERED + 2)]

    assert not any(whys[: MOST_UNANSWERED + 1])
    assert "messages at once" in whys[-1]


def test_a_command_set_that_none_can_be_is_cut_off_while_it_comes(listen, associate, db, wait_until):
    association = associate(listen().port)
    context_id = association.accepted_contexts[0].context_id
    pdv = bytes([context_id, 0b01]) + bytes(60_000)
    pdv = struct.pack(">L", len(pdv)) + pdv

    for _ in range(2):
        association.dul.socket.send(struct.pack(">BBL", 0x04, 0, len(pdv)) + pdv)

    wait_until(lambda: not association.is_established)
    assert alarms(db) == ["refused MODALITY at 127.0.0.1: a command set of more than 65536 bytes"]


def test_command_sets_are_measured_each_for_itself():
    inflow = Inflow(10**9)
    inflow.opens("a", 10**9)

    whys = [inflow.grows("a", [bytes([0b11]) + bytes(200)]) for _ in range(MOST_COMMAND_BYTES // 100)]

    assert not any(whys)


@pytest.mark.parametrize("command_field", [0x8100, 0x0FFF])  # N-EVENT-REPORT-RSP, C-CANCEL-RQ
def test_what_nobody_answers_does_not_wait_for_an_answer_and_counts_until_the_end(
    command_field, listen, associate, wait_until
):
    receiver = listen()
    associate(receiver.port)
    wait_until(lambda: receiver._gate._open)
    (theirs,) = receiver._gate._open
    message = SimpleNamespace(
        command_set=Dataset(), encoded_command_set=BytesIO(bytes(100)), data_set=BytesIO(bytes(100))
    )
    message.command_set.CommandField = command_field
    for _ in range(MOST_UNANSWERED + 2):
        receiver._gate._inflow.grows(theirs, [bytes([0b01]) + bytes(100)])
        receiver._gate.came(theirs, message)

    inbox = receiver._gate._inflow._inboxes[theirs]
    assert inbox.whole == []
    assert inbox.held == 100 * (MOST_UNANSWERED + 2)


def test_every_answer_sets_free_what_it_answers(listen, associate, make_slice):
    receiver = listen()
    association = associate(receiver.port, sop_classes=[CT, VERIFICATION])
    for number in range(1, 4):
        assert association.send_c_store(make_slice(number)).Status == 0x0000
        assert association.send_c_echo().Status == 0x0000

        (inbox,) = receiver._gate._inflow._inboxes.values()
        assert (inbox.whole, inbox.held) == ([], 0)
    association.release()


def test_all_peers_together_have_a_limit_too():
    inflow = Inflow(150)
    inflow.opens("a", 100)
    inflow.opens("b", 100)

    assert inflow.grows("a", [bytes(90)]) == ""
    assert "from all peers" in inflow.grows("b", [bytes(90)])
    inflow.ends("a")
    assert inflow.grows("b", [bytes(1)]) == ""


def test_refusals_are_told_once_and_then_counted():
    told: list[str] = []
    refusals = Refusals(told.append)
    for _ in range(5):
        refusals.note("CT1 at 10.0.0.1", "not on the list of allowed peers")
    assert told == ["refused CT1 at 10.0.0.1: not on the list of allowed peers"]

    refusals.report()
    refusals.report()

    assert told[1:] == ["refused CT1 at 10.0.0.1 4 times more: not on the list of allowed peers"]


def test_what_differs_from_call_to_call_is_told_but_makes_no_kind_of_its_own():
    told: list[str] = []
    refusals = Refusals(told.append)
    for number in range(2):
        refusals.note("CT1", "another name", in_full=f"made out to \x1b[31m{number}\n, not to CT1")
    refusals.report()

    assert told == ["refused CT1: made out to [31m0, not to CT1", "refused CT1 once more: another name"]


def test_a_scanner_that_changes_its_name_each_time_does_not_fill_the_queue():
    told: list[str] = []
    refusals = Refusals(told.append)

    for number in range(10 * MOST_KINDS):
        refusals.note(f"X{number}\x1b[31m\n", "not on the list of allowed peers")
    refusals.report()

    assert len(told) == MOST_KINDS + 2
    assert "refused others 899 times more" in told[-1]
    assert all(text.isprintable() for text in told)


def test_a_flood_of_strangers_leaves_one_alarm_and_others_are_served(listen, associate, db, make_slice):
    receiver = listen(allow=(peer(ae_title="MODALITY"),))
    threads = [Thread(target=associate, args=(receiver.port,), kwargs={"calling": "EVIL"}) for _ in range(20)]
    for thread in threads:
        thread.start()
    association = associate(receiver.port)
    uid = generate_uid()

    assert association.send_c_store(make_slice(SOPInstanceUID=uid)).Status == 0x0000
    for thread in threads:
        thread.join()
    association.release()
    receiver.stop()

    told = [text for text in alarms(db) if "EVIL" in text]
    assert told[0] == "refused EVIL at 127.0.0.1: not on the list of allowed peers"
    assert len(told) <= 2


def test_the_port_of_no_use_is_told_as_an_error(listen):
    taken = listen().port

    with pytest.raises(OSError, match="in use"):
        listen(port=taken)


def test_the_limit_of_a_pdu_bears_the_largest_association_request():
    """128 contexts, each with nine syntaxes of 64 characters, and the items of user information."""
    assert listen_module.MOST_PDU_BYTES > 128 * (8 + 10 * 68) + 65536
