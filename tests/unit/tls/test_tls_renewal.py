"""A pair of the past or the future does not take the place of one that is good."""

import shutil
import ssl
import time

import pytest

from ichnode.domain.tls import TlsFiles
from ichnode.tls.renewal import ServerContext
from ichnode.tls.validity import validities_of
from tests.certificates import Authority, Caller

DAY_S = 86400.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def place(authority, tmp_path) -> TlsFiles:
    shutil.copy(authority.ca, tmp_path / "ca.pem")
    return TlsFiles(certificate=tmp_path / "node.pem", key=tmp_path / "node.key", ca=tmp_path / "ca.pem")


@pytest.fixture(scope="module")
def peer(authority) -> TlsFiles:
    return authority.issue()


def put(new: TlsFiles, place: TlsFiles) -> None:
    for name in ("certificate", "key"):
        fresh = getattr(place, name).with_suffix(".new")
        shutil.copy(getattr(new, name), fresh)
        fresh.replace(getattr(place, name))


def shown(files: TlsFiles) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files.certificate.read_text())


class Node:
    """A context with a clock that is set by hand, and what it told."""

    def __init__(self, place: TlsFiles) -> None:
        self.now = time.time()
        self.told: list[str] = []
        self.context = ServerContext(place, mutual=True, tell=self.told.append, clock=lambda: self.now)

    def shows(self, peer: TlsFiles) -> bytes | None:
        """Its certificate; None where it does not let the peer in."""
        return Caller(peer).meets(self.context.current())


def test_a_pair_that_has_expired_leaves_the_old_one_in_use_until_that_ends_too(authority, place, peer, caplog):
    good, ended = authority.issue(days=30), authority.issue(days=-1)
    put(good, place)
    node = Node(place)

    put(ended, place)

    assert [node.shows(peer) for _ in range(2)] == [shown(good)] * 2
    (told,) = node.told
    assert told.startswith(f"The certificate from before stays in use: {place.certificate} ended at ")
    assert told in caplog.text
    node.now += 31 * DAY_S
    assert node.shows(peer) == shown(ended)
    assert node.told == [told]


def test_a_pair_that_is_not_yet_valid_is_used_from_its_hour_on(authority, place, peer):
    good, early = authority.issue(days=30), authority.issue_ahead(days=5)
    put(good, place)
    node = Node(place)

    put(early, place)

    assert node.shows(peer) == shown(good)
    (told,) = node.told
    assert f"{place.certificate} is not valid before " in told
    (validity,) = validities_of(place.certificate)
    node.now = validity.begins - 1
    assert node.shows(peer) == shown(good)
    node.now = validity.begins
    assert node.shows(peer) == shown(early)


def test_a_good_pair_after_a_bad_one_is_used_at_once(authority, place, peer):
    put(authority.issue(), place)
    new = authority.issue()
    node = Node(place)  # with a clock that stands: what is issued later may not be valid yet
    put(authority.issue(days=-1), place)
    node.context.current()

    put(new, place)

    assert node.shows(peer) == shown(new)
    assert len(node.told) == 1


def test_a_service_that_starts_with_an_expired_pair_changes_to_the_next_whatever_that_is(authority, place, peer):
    put(authority.issue(days=-1), place)
    node = Node(place)
    node.context.current()
    next_ = authority.issue(days=-1)

    put(next_, place)

    assert node.shows(peer) == shown(next_)
    assert node.told == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("unfit", ["early", "ended", "broken"])
def test_a_revocation_counts_at_once_while_a_new_pair_must_wait(authority, place, peer, unfit, version):
    good, revoked = authority.issue(), authority.issue()
    put(good, place)
    node, caller = Node(place), Caller(revoked, version=version)
    put_unfit(unfit, authority, place)
    assert caller.meets(node.context.current()) == shown(good)

    place.ca.write_bytes(authority.ca.read_bytes() + authority.revoke(revoked).read_bytes())

    assert caller.meets(node.context.current()) is None
    assert node.shows(revoked) is None
    assert node.shows(peer) == shown(good)
    assert len(node.told) == 1


def put_unfit(what: str, authority: Authority, place: TlsFiles) -> None:
    if what == "broken":
        place.certificate.write_text("no certificate")
        place.key.unlink()
    else:
        put(authority.issue_ahead(days=3) if what == "early" else authority.issue(days=-1), place)


def test_a_ca_that_was_taken_away_is_trusted_no_longer_while_a_new_pair_must_wait(authority, place, peer, tmp_path):
    other = Authority(tmp_path / "other", "other CA")
    place.ca.write_bytes(authority.ca.read_bytes() + other.ca.read_bytes())
    good, stranger = authority.issue(), other.issue()
    put(good, place)
    node = Node(place)
    put(authority.issue_ahead(days=3), place)
    assert node.shows(stranger) == shown(good)

    shutil.copy(authority.ca, place.ca)

    assert node.shows(stranger) is None
    assert node.shows(peer) == shown(good)


def test_cas_that_cannot_be_used_leave_all_from_before_in_use_and_that_is_told(authority, place, peer):
    good, revoked = authority.issue(), authority.issue()
    put(good, place)
    place.ca.write_bytes(authority.ca.read_bytes() + authority.revoke(revoked).read_bytes())
    node = Node(place)
    assert node.shows(peer) == shown(good)
    put(authority.issue(), place)

    place.ca.write_text("no CA")

    assert (node.shows(peer), node.shows(revoked)) == (shown(good), None)
    (told,) = node.told
    assert told.startswith("The certificate, CAs and CRLs from before stay in use: The CA certificates ")
