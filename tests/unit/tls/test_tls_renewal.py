"""A pair of the past or the future does not take the place of one that is good."""

import shutil
import time

import pytest

from ichnode.domain.tls import TlsFiles
from ichnode.tls.renewal import ServerContext
from ichnode.tls.validity import validities_of
from tests.certificates import Authority

DAY_S = 86400.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def place(authority, tmp_path) -> TlsFiles:
    return TlsFiles(certificate=tmp_path / "node.pem", key=tmp_path / "node.key", ca=authority.ca)


def put(new: TlsFiles, place: TlsFiles) -> None:
    for name in ("certificate", "key"):
        fresh = getattr(place, name).with_suffix(".new")
        shutil.copy(getattr(new, name), fresh)
        fresh.replace(getattr(place, name))


class Node:
    """A context with a clock that is set by hand, and what it told."""

    def __init__(self, place: TlsFiles) -> None:
        self.now = time.time()
        self.told: list[str] = []
        self.context = ServerContext(place, mutual=True, tell=self.told.append, clock=lambda: self.now)


def test_a_pair_that_has_expired_leaves_the_old_one_in_use_until_that_ends_too(authority, place, caplog):
    put(authority.issue(days=30), place)
    node = Node(place)
    good = node.context.current()

    put(authority.issue(days=-1), place)

    assert [node.context.current() for _ in range(2)] == [good, good]
    (told,) = node.told
    assert told.startswith(f"The certificate from before stays in use: {place.certificate} ended at ")
    assert told in caplog.text
    node.now += 31 * DAY_S
    assert node.context.current() is not good
    assert node.told == [told]


def test_a_pair_that_is_not_yet_valid_is_used_from_its_hour_on(authority, place):
    put(authority.issue(days=30), place)
    node = Node(place)
    good = node.context.current()

    put(authority.issue_ahead(days=5), place)

    assert node.context.current() is good
    (told,) = node.told
    assert f"{place.certificate} is not valid before " in told
    (validity,) = validities_of(place.certificate)
    node.now = validity.begins - 1
    assert node.context.current() is good
    node.now = validity.begins
    assert node.context.current() is not good


def test_a_good_pair_after_a_bad_one_is_used_at_once(authority, place):
    put(authority.issue(), place)
    node = Node(place)
    good = node.context.current()
    put(authority.issue(days=-1), place)
    node.context.current()

    put(authority.issue(), place)

    assert node.context.current() is not good
    assert len(node.told) == 1


def test_a_service_that_starts_with_an_expired_pair_changes_to_the_next_whatever_that_is(authority, place):
    put(authority.issue(days=-1), place)
    node = Node(place)
    first = node.context.current()

    put(authority.issue(days=-1), place)

    assert node.context.current() is not first
    assert node.told == []
