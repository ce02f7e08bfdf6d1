"""Connections that ask for nothing, and associations whose thread dies, take no place from others."""

import socket
import struct
import time
from contextlib import ExitStack

import pytest
from pynetdicom.dul import DULServiceProvider

from ichnode.domain.states import Transfer
from ichnode.queue.series import receiving
from ichnode.queue.tables import AUDIT
from ichnode.receive import waiting as waiting_module
from ichnode.receive.allow import AllowedPeer

PLACES = 3


def alarms(db) -> list[str]:
    with db.read() as connection:
        return list(connection.execute(AUDIT.select().where(AUDIT.c.alarm).with_only_columns(AUDIT.c.text)).scalars())


def connect(port: int, address: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))


def test_more_silent_connections_than_places_keep_nobody_out(listen, associate, make_slice):
    receiver = listen(maximum_associations=PLACES)
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(receiver.port)) for _ in range(2 * PLACES)]

        association = associate(receiver.port)

        assert association.send_c_store(make_slice(1)).Status == 0x0000
        association.release()
        assert all(each.send(b"\x01") for each in silent)  # nobody had to go for it


def test_a_request_that_trickles_is_given_up_though_a_byte_comes_now_and_then(listen, db, wait_until):
    receiver = listen(acse_timeout_s=1.0)
    with connect(receiver.port) as slow:
        slow.sendall(struct.pack(">BBL", 0x01, 0, 1000))
        begun = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012 - which send notices that the other side has closed is up to TCP
            while time.monotonic() < begun + 10:
                slow.sendall(b"\0")
                time.sleep(0.05)

    assert time.monotonic() - begun < 4
    wait_until(lambda: alarms(db) == ["refused 127.0.0.1: no association request within 1 s"])


def test_a_pdu_that_trickles_within_an_association_is_given_up_too(listen, associate, wait_until, monkeypatch):
    monkeypatch.setattr("ichnode.receive.listen.SLOWEST_BYTES_PER_S", 1_000_000)
    association = associate(listen(network_timeout_s=0.5).port)
    wire = association.dul.socket.socket
    wire.sendall(struct.pack(">BBL", 0x04, 0, 1000))
    begun = time.monotonic()

    def dripped() -> bool:
        try:
            wire.sendall(b"\0")
        except OSError:
            return True
        return not association.is_established

    wait_until(dripped)
    assert time.monotonic() - begun < 4


def test_who_has_waited_longest_gives_way_to_the_next_of_the_same_address(listen, associate, db, wait_until):
    receiver = listen()
    with ExitStack() as stack:
        first = stack.enter_context(connect(receiver.port))
        other = stack.enter_context(connect(receiver.port, "127.0.0.2"))
        time.sleep(0.2)
        for _ in range(waiting_module.MOST_OF_ONE):
            stack.enter_context(connect(receiver.port))

        assert first.recv(1) == b""  # closed
        other.settimeout(0.2)
        with pytest.raises(TimeoutError):
            other.recv(1)
        assert associate(receiver.port).is_established
    wait_until(lambda: "refused 127.0.0.1: too many connections that ask for nothing" in alarms(db))


def test_a_connection_that_comes_and_goes_without_a_word_is_no_alarm(listen, associate, db):
    """So does a monitor that looks whether the port is open."""
    receiver = listen()
    for _ in range(3):
        connect(receiver.port).close()

    associate(receiver.port).release()

    assert alarms(db) == []


def test_strangers_take_no_place_though_they_stay(listen, associate):
    receiver = listen(maximum_associations=1, allow=(AllowedPeer(ae_title="MODALITY", network="*"),))
    mine = associate(receiver.port)
    assert mine.is_established

    stranger = associate(receiver.port, calling="EVIL")
    late = associate(receiver.port)

    assert stranger.is_rejected
    assert stranger.acceptor.primitive.diagnostic == 3  # calling AE title not recognised, not "too many"
    assert (late.acceptor.primitive.result_source, late.acceptor.primitive.diagnostic) == (3, 2)
    mine.release()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_association_whose_reactor_died_of_an_exception_leaves_nothing_behind(
    listen, associate, make_slice, db, wait_until, monkeypatch
):
    receiver = listen(network_timeout_s=30)
    association = associate(receiver.port)
    assert association.send_c_store(make_slice(1)).Status == 0x0000
    process = DULServiceProvider._process_recv_primitive

    def breaks(self: DULServiceProvider) -> bool:
        if self.assoc.is_acceptor:
            raise RuntimeError("as a bug of the library would")
        return process(self)

    monkeypatch.setattr(DULServiceProvider, "_process_recv_primitive", breaks)

    wait_until(lambda: not (receiver._tallies or receiver._receptions or receiver._gate._open))
    wait_until(lambda: not association.is_established)
    wait_until(lambda: [row.transfer for row in receiving(db)] == [Transfer.CUT])  # an end is written later
    [row] = receiving(db)
    assert not receiver.transfers.is_open(row.series_instance_uid)
