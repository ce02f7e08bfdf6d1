"""Calling peers over TLS: real sockets on the loopback, real certificates."""

import ssl
from dataclasses import replace

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import SecondaryCaptureImageStorage, Verification

from ichnode.deliver.association import Timeouts
from ichnode.deliver.classify import Outcome
from ichnode.deliver.echo import echo
from ichnode.deliver.send import send
from ichnode.domain.outputs import Peer
from ichnode.domain.tls import PeerTls, TlsFiles
from ichnode.tls.contexts import server_context
from tests.certificates import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def ours(authority) -> TlsFiles:
    return authority.issue()


@pytest.fixture
def start_pacs():
    """Starts a PACS over TLS; it shows the certificate of ``files``. Returns how it is called with ``ours``."""
    servers = []

    def start(files: TlsFiles, ours: TlsFiles, *, name: str = "127.0.0.1", mutual: bool = True) -> Peer:
        entity = AE(ae_title="PACS")
        for sop_class in (Verification, SecondaryCaptureImageStorage):
            entity.add_supported_context(sop_class)
        context = server_context(files, mutual=mutual)
        servers.append(entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context))
        port = servers[-1].server_address[1]
        tls = PeerTls(files=ours, name=name)
        return Peer(name="pacs", host="127.0.0.1", port=port, ae_title="PACS", tls=tls)

    yield start
    for server in servers:
        server.shutdown()


def test_a_peer_is_called_over_tls(start_pacs, authority, ours):
    assert echo(start_pacs(authority.issue(), ours)).ok


def test_without_a_certificate_of_ours_a_peer_that_asks_for_none_is_called(start_pacs, authority):
    assert echo(start_pacs(authority.issue(), TlsFiles(ca=authority.ca), mutual=False)).ok


def test_a_peer_whose_certificate_our_ca_did_not_sign_gets_nothing(start_pacs, ours, tmp_path, make_file):
    pacs = start_pacs(Authority(tmp_path / "other").issue(), ours)

    (answer,) = send([make_file()], pacs)

    assert answer.outcome == Outcome.UNREACHABLE
    assert "the certificate of 127.0.0.1" in answer.reason
    assert answer.reason.endswith("is not accepted: it is not of tls.ca")


@pytest.mark.parametrize(
    ("names", "expected", "ok"),
    [
        ("DNS:pacs.example", "127.0.0.1", False),
        ("DNS:pacs.example", "pacs.example", True),
        ("DNS:pacs.example", "*", True),
        ("DNS:other.example", "pacs.example", False),
    ],
)
def test_the_name_in_the_certificate_is_the_one_that_is_called(start_pacs, authority, ours, names, expected, ok):
    answer = echo(start_pacs(authority.issue(names=names), ours, name=expected))

    assert answer.ok is ok
    assert ok or "match" in answer.reason


def test_a_certificate_past_its_end_is_not_accepted(start_pacs, authority, ours):
    answer = echo(start_pacs(authority.issue(days=-1), ours))

    assert "it has expired" in answer.reason
    assert "needs a new certificate" in answer.hint


def test_a_peer_that_does_not_take_our_certificate_is_told_in_words(start_pacs, authority):
    answer = echo(start_pacs(authority.issue(), TlsFiles(ca=authority.ca)))

    assert not answer.ok
    assert "no TLS with 127.0.0.1" in answer.reason
    assert answer.reason.endswith(": it asks for a certificate of ours")
    assert answer.hint == "Set tls.certificate and tls.key."


def test_a_certificate_of_ours_that_a_peer_does_not_accept_is_told_as_ours(start_pacs, authority):
    answer = echo(start_pacs(authority.issue(), authority.issue(days=-1)))

    assert answer.reason.endswith("it does not accept our certificate: expired")
    assert "tls.certificate" in answer.hint


def test_over_tls_nothing_goes_to_a_peer_that_speaks_plain_text_and_plain_text_goes_to_none_over_tls(
    start_scp, start_pacs, authority, ours
):
    patience = Timeouts(connect_s=3, acse_s=3, dimse_s=3, network_s=3)
    plain = replace(start_scp().peer, tls=PeerTls(files=ours, name="*"))
    over_tls = replace(start_pacs(authority.issue(), ours), tls=None)

    for answer, why, hint in (
        (echo(plain, timeouts=patience), "it answers in plain text", "port for TLS"),
        (echo(over_tls, timeouts=patience), "closed the connection", "not over TLS alone"),
    ):
        assert not answer.ok
        assert why in answer.reason
        assert hint in answer.hint


def test_a_silent_peer_does_not_hang_in_the_handshake(silent_peer, ours):
    peer = replace(silent_peer, tls=PeerTls(files=ours, name="*"))

    answer = echo(peer, timeouts=Timeouts(connect_s=0.3, acse_s=10))

    assert not answer.ok
    assert answer.seconds < 5


def test_our_new_certificate_is_shown_without_a_restart(start_pacs, authority, tmp_path):
    place = TlsFiles(certificate=tmp_path / "node.pem", key=tmp_path / "node.key", ca=authority.ca)
    pacs = start_pacs(authority.issue(), place)
    expired, fresh = authority.issue(days=-1), authority.issue()
    for files, ok in ((expired, False), (fresh, True)):
        place.certificate.write_bytes(files.certificate.read_bytes())
        place.key.write_bytes(files.key.read_bytes())

        assert echo(pacs).ok is ok


def test_files_that_cannot_be_used_are_named(start_pacs, authority, ours, tmp_path):
    other = authority.issue()
    pacs = start_pacs(authority.issue(), ours)
    for files, word in (
        (replace(ours, key=other.key), "key values mismatch"),
        (replace(ours, certificate=tmp_path / "missing.pem"), "No such file"),
        (replace(ours, ca=tmp_path / "missing.pem"), "No such file"),
    ):
        answer = echo(replace(pacs, tls=PeerTls(files=files, name="*")))

        assert not answer.ok
        assert word in answer.reason


def test_no_version_below_1_2_is_offered(ours):
    assert server_context(ours, mutual=True).minimum_version == ssl.TLSVersion.TLSv1_2
