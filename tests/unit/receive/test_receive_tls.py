"""The SCP over TLS: real sockets on the loopback, real certificates."""

import logging
import shutil
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from pynetdicom import AE
from sqlalchemy import select

from ichnode.domain.tls import TlsFiles
from ichnode.queue.tables import AUDIT
from ichnode.receive import listen as listen_module
from ichnode.receive.allow import AllowedPeer
from ichnode.receive.settings import TlsPort
from ichnode.tls.contexts import client_context
from tests.certificates import Authority

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def ours(authority) -> TlsFiles:
    return authority.issue()


@pytest.fixture(scope="module")
def theirs(authority) -> TlsFiles:
    return authority.issue(names="DNS:modality")


@pytest.fixture
def call():
    """Opens an association over TLS (or not, without a context)."""
    opened = []

    def _call(port, context, *, sop_classes=(VERIFICATION,), calling="MODALITY"):
        entity = AE(ae_title=calling)
        entity.connection_timeout = entity.acse_timeout = 10
        for sop_class in sop_classes:
            entity.add_requested_context(sop_class)
        tls = None if context is None else (context, "127.0.0.1")
        opened.append(entity.associate("127.0.0.1", port, ae_title="ICHNODE", tls_args=tls))
        return opened[-1]

    yield _call
    for association in opened:
        if association.is_established:
            association.abort()


def over(files: TlsFiles, **limits: ssl.TLSVersion) -> ssl.SSLContext:
    """A caller's context that shows the certificate of ``files``."""
    context = client_context(files, check_name=True)
    context.sslsocket_class = ssl.SSLSocket
    for name, value in limits.items():
        setattr(context, name, value)
    return context


def alarms(db) -> list[str]:
    with db.read() as connection:
        return list(connection.execute(select(AUDIT.c.text).where(AUDIT.c.alarm)).scalars())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_slice_arrives_over_each_version_of_tls(listen, call, ours, theirs, make_slice, version):
    receiver = listen(tls=TlsPort(port=0, files=ours))
    context = over(theirs, minimum_version=version, maximum_version=version)

    association = call(receiver.tls_port, context, sop_classes=[CT])

    assert association.send_c_store(make_slice()).Status == 0x0000
    assert association.dul.socket.socket.version() == version.name.replace("_", ".")
    association.release()


def test_the_two_ports_stand_beside_each_other(listen, call, ours, theirs):
    receiver = listen(tls=TlsPort(port=0, files=ours))

    assert receiver.port != receiver.tls_port
    for port, context in ((receiver.port, None), (receiver.tls_port, over(theirs))):
        assert call(port, context).send_c_echo().Status == 0x0000


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_old_versions_and_weak_ciphers_are_not_spoken(listen, call, ours, theirs):
    port = listen(tls=TlsPort(port=0, files=ours)).tls_port
    old = over(theirs)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    weak = over(theirs, maximum_version=ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA:AES128-SHA:ECDHE-ECDSA-AES256-CCM")

    assert not call(port, old).is_established
    assert not call(port, weak).is_established
    assert call(port, over(theirs)).is_established


def test_without_a_certificate_of_our_ca_nobody_is_let_in(listen, call, ours, tmp_path, db, wait_until):
    stranger = Authority(tmp_path / "other").issue()
    port = listen(tls=TlsPort(port=0, files=ours)).tls_port
    nobody = TlsFiles(ca=ours.ca)
    strange = TlsFiles(certificate=stranger.certificate, key=stranger.key, ca=ours.ca)

    assert not call(port, over(nobody)).is_established
    assert not call(port, over(strange)).is_established
    wait_until(lambda: len(alarms(db)) == 2)
    told = ["it shows no certificate", "its certificate is not of tls.ca"]
    assert alarms(db) == [f"refused 127.0.0.1: no TLS: {why}" for why in told]


def test_where_it_is_not_mutual_a_caller_needs_no_certificate(listen, call, ours):
    port = listen(tls=TlsPort(port=0, files=ours, mutual=False)).tls_port

    assert call(port, over(TlsFiles(ca=ours.ca))).send_c_echo().Status == 0x0000


def test_a_certificate_past_its_end_is_not_let_in(listen, call, authority, ours, db, wait_until):
    port = listen(tls=TlsPort(port=0, files=ours)).tls_port

    assert not call(port, over(authority.issue(days=-1))).is_established
    wait_until(lambda: alarms(db))
    assert alarms(db) == ["refused 127.0.0.1: no TLS: its certificate has expired, or that of its CA"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("certificate", "why"),
    [({"days": -1}, "expired"), ({"names": "DNS:other"}, "bad, as where it bears another name than was called")],
)
def test_a_certificate_of_ours_that_a_caller_does_not_accept_is_not_told_as_the_callers(
    listen, call, authority, theirs, db, wait_until, certificate, why, version
):
    port = listen(tls=TlsPort(port=0, files=authority.issue(**certificate))).tls_port

    assert not call(port, over(theirs, maximum_version=version)).is_established
    wait_until(lambda: alarms(db))
    assert alarms(db) == [f"refused 127.0.0.1: no TLS: the caller does not accept our certificate: {why}"]


def test_our_certificate_from_a_ca_that_the_caller_does_not_know_is_told(
    listen, call, theirs, tmp_path, db, wait_until
):
    port = listen(tls=TlsPort(port=0, files=Authority(tmp_path / "other").issue())).tls_port

    assert not call(port, over(theirs)).is_established
    wait_until(lambda: alarms(db))
    assert alarms(db)[0].endswith("does not accept our certificate: from a CA that it does not know")


def test_a_plain_call_on_the_port_for_tls_is_told_as_one(listen, call, ours, db, wait_until):
    port = listen(tls=TlsPort(port=0, files=ours)).tls_port

    assert not call(port, None).is_established
    wait_until(lambda: alarms(db))
    assert alarms(db) == ["refused 127.0.0.1: no TLS: it called in plain text"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1")
def test_what_we_have_no_words_for_keeps_those_of_openssl(listen, call, ours, theirs, db, wait_until):
    port = listen(tls=TlsPort(port=0, files=ours)).tls_port
    weak = over(theirs, maximum_version=ssl.TLSVersion.TLSv1_2)
    weak.set_ciphers("AES128-SHA")

    assert not call(port, weak).is_established
    wait_until(lambda: alarms(db))
    assert alarms(db) == ["refused 127.0.0.1: no TLS: no shared cipher"]


def test_a_port_that_is_taken_is_named_with_its_key(listen, ours):
    taken = listen(tls=TlsPort(port=0, files=ours))

    with pytest.raises(OSError, match="in use") as plain:
        listen(port=taken.port)
    with pytest.raises(OSError, match="in use") as over_tls:
        listen(tls=TlsPort(port=taken.tls_port, files=ours))

    assert plain.value.filename == f"127.0.0.1:{taken.port} (receive.port)"
    assert over_tls.value.filename == f"127.0.0.1:{taken.tls_port} (receive.tls_port)"


def test_who_must_use_tls_is_refused_on_the_plain_port_as_one_whom_we_do_not_know(listen, call, ours, theirs, db):
    allow = (
        AllowedPeer(ae_title="MODALITY", network="127.0.0.0/8", tls_required=True),
        AllowedPeer(ae_title="*", network="*"),  # the first entry that fits decides, not the kindest
    )
    receiver = listen(allow=allow, tls=TlsPort(port=0, files=ours))

    plain = call(receiver.port, None)

    answer = plain.acceptor.primitive
    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 3)
    assert call(receiver.tls_port, over(theirs)).is_established
    assert call(receiver.port, None, calling="OTHER").is_established
    assert alarms(db) == ["refused MODALITY at 127.0.0.1: it must use TLS"]


NAMED = AllowedPeer(ae_title="CT1", network="127.0.0.0/8", tls_names=("ct1.example.org", "ct1-new.example.org"))


@pytest.mark.parametrize(
    "certificate",
    [
        {"names": "DNS:ct1.example.org"},
        {"names": "DNS:other.example.org,DNS:CT1-new.example.org"},
        {"names": "IP:127.0.0.1", "common_name": "ct1.example.org"},
    ],
    ids=["its DNS name", "one of several", "its common name, for want of a DNS name"],
)
def test_a_title_that_is_bound_to_a_certificate_may_be_used_with_it(listen, call, authority, ours, certificate):
    receiver = listen(allow=(NAMED,), tls=TlsPort(port=0, files=ours))

    association = call(receiver.tls_port, over(authority.issue(**certificate)), calling="CT1")

    assert association.send_c_echo().Status == 0x0000


@pytest.mark.parametrize(
    ("certificate", "shown"),
    [
        ({"names": "DNS:ct2.example.org"}, "ct2.example.org"),
        ({"names": "DNS:ct2.example.org", "common_name": "ct1.example.org"}, "ct2.example.org"),
        ({"names": "DNS:*.example.org"}, "*.example.org"),
        ({"names": "URI:ct1.example.org", "common_name": "CT of ward 1"}, "ct of ward 1"),
    ],
    ids=["another", "a DNS name goes before the common name", "a wildcard is no name", "another kind of name"],
)
def test_a_title_that_is_bound_to_a_certificate_is_not_to_be_used_with_another(
    listen, call, authority, ours, db, certificate, shown
):
    allow = (NAMED, AllowedPeer(ae_title="*", network="*"))
    receiver = listen(allow=allow, tls=TlsPort(port=0, files=ours))
    context = over(authority.issue(**certificate))

    answer = call(receiver.tls_port, context, calling="CT1").acceptor.primitive

    assert (answer.result, answer.result_source, answer.diagnostic) == (1, 1, 3)
    assert call(receiver.tls_port, context, calling="CT2").is_established
    wanted = "ct1-new.example.org or ct1.example.org"
    assert alarms(db) == [f"refused CT1 at 127.0.0.1: its certificate is made out to {shown}, not to {wanted}"]


def test_the_names_of_certificates_are_told_in_bounds_and_counted_as_one_kind(listen, call, authority, ours, db):
    receiver = listen(allow=(NAMED,), tls=TlsPort(port=0, files=ours))
    many = ",".join(f"DNS:{number:03}.{'x' * 60}.{'y' * 60}" for number in range(100))
    for certificate in ({"names": many}, {"names": "DNS:ct2.example.org"}, {"names": "DNS:ct3.example.org"}):
        call(receiver.tls_port, over(authority.issue(**certificate)), calling="CT1")
    receiver.refusals.report()

    first, further = alarms(db)
    assert "made out to 000.xxx" in first
    assert "or 97 more, not to" in first
    assert len(first) < 450
    assert further == "refused CT1 at 127.0.0.1 2 times more: its certificate is made out to another name"


def test_a_title_that_is_bound_to_a_certificate_is_not_to_be_used_without_one(listen, call, ours, db):
    receiver = listen(allow=(NAMED,), tls=TlsPort(port=0, files=ours, mutual=False))

    assert not call(receiver.port, None, calling="CT1").is_established
    assert not call(receiver.tls_port, over(TlsFiles(ca=ours.ca)), calling="CT1").is_established

    told = ["it must use TLS", "it shows no certificate"]
    assert alarms(db) == [f"refused CT1 at 127.0.0.1: {why}" for why in told]


def test_an_address_that_nobody_calls_from_is_not_worth_a_handshake(listen, ours, db, wait_until):
    allow = (AllowedPeer(ae_title="*", network="10.0.0.0/8"),)
    port = listen(allow=allow, tls=TlsPort(port=0, files=ours)).tls_port

    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        assert connection.recv(1) == b""

    wait_until(lambda: alarms(db))
    assert alarms(db) == ["refused 127.0.0.1: not on the list of allowed peers"]


def test_silent_connections_hold_up_nobody_and_are_cut(listen, call, ours, theirs, monkeypatch):
    monkeypatch.setattr(listen_module, "HANDSHAKE_S", 1.0)
    port = listen(tls=TlsPort(port=0, files=ours)).tls_port
    silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(5)]
    started = time.monotonic()

    assert call(port, over(theirs)).send_c_echo().Status == 0x0000

    assert time.monotonic() - started < 1.0
    for connection in silent:
        assert connection.recv(1) == b""
        connection.close()


def test_one_address_cannot_take_all_handshakes(listen, ours, wait_until, db):
    port = listen(tls=TlsPort(port=0, files=ours)).tls_port
    most = listen_module.MOST_HANDSHAKES_OF_ONE
    silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(most + 1)]

    assert silent[-1].recv(1) == b""
    wait_until(lambda: alarms(db))
    assert alarms(db) == ["refused 127.0.0.1: too many TLS handshakes at once"]
    for connection in silent:
        connection.close()


def test_stopping_does_not_wait_for_silent_connections(listen, ours):
    receiver = listen(tls=TlsPort(port=0, files=ours))
    with socket.create_connection(("127.0.0.1", receiver.tls_port), timeout=10) as silent:
        threading.Event().wait(0.2)  # the handshake has begun
        started = time.monotonic()

        receiver.stop()

        assert time.monotonic() - started < 5
        assert silent.recv(1) == b""


def put(new: TlsFiles, place: TlsFiles) -> None:
    """Puts a new pair into the place of another, as a certificate's renewal does."""
    for name in ("certificate", "key"):
        fresh = getattr(place, name).with_suffix(".new")
        shutil.copy(getattr(new, name), fresh)
        fresh.replace(getattr(place, name))


def serial(port: int, context: ssl.SSLContext) -> str:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        return str(connection.getpeercert()["serialNumber"])


def test_a_new_certificate_is_taken_without_a_restart_and_cuts_nobody(
    listen, call, authority, theirs, tmp_path, make_slice
):
    first, second = authority.issue(), authority.issue()
    place = TlsFiles(certificate=tmp_path / "node.pem", key=tmp_path / "node.key", ca=authority.ca)
    put(first, place)
    port = listen(tls=TlsPort(port=0, files=place)).tls_port
    running = call(port, over(theirs), sop_classes=[CT])
    before = serial(port, over(theirs))

    put(second, place)

    assert serial(port, over(theirs)) != before
    assert running.send_c_store(make_slice()).Status == 0x0000


def test_a_certificate_that_cannot_be_used_leaves_the_old_one_in_use_with_one_alarm(
    listen, authority, theirs, tmp_path, db, caplog
):
    caplog.set_level(logging.INFO, logger="ichnode")
    place = TlsFiles(certificate=tmp_path / "node.pem", key=tmp_path / "node.key", ca=authority.ca)
    put(authority.issue(), place)
    port = listen(tls=TlsPort(port=0, files=place)).tls_port
    before = serial(port, over(theirs))

    place.certificate.write_text("not a certificate")

    assert [serial(port, over(theirs)) for _ in range(2)] == [before, before]
    (alarm,) = [text for text in alarms(db) if "node.pem" in text]
    assert "stays in use" in alarm
    assert alarm in caplog.text

    put(authority.issue(), place)
    assert serial(port, over(theirs)) != before
    assert f"{place.certificate} is in use, in place of the one from before" in caplog.text


def test_nothing_of_a_key_is_logged(listen, call, ours, theirs, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, logger="ichnode")
    call(listen(tls=TlsPort(port=0, files=ours)).tls_port, over(theirs)).release()

    secret = [line for line in Path(ours.key).read_text().splitlines() if not line.startswith("-")]
    assert not any(line in caplog.text for line in secret)
