"""When certificates end, as openssl says it, and who is told."""

import errno
import logging
import os
import ssl
import subprocess
import time
from calendar import timegm
from dataclasses import replace
from pathlib import Path

import pytest

from ichnode.app.certificates import warn_of_certificates
from ichnode.config.file import load_config
from ichnode.domain.errors import ConfigError
from ichnode.domain.tls import TlsFiles
from ichnode.tls.certificates import ends_at, ends_of, faults, lapsed_cas
from ichnode.tls.contexts import read_pair, server_context
from ichnode.tls.pair import MFD_NOEXEC_SEAL
from tests.certificates import Authority, Caller

DAY_S = 86400.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def told_by_openssl(path) -> float:
    command = ["openssl", "x509", "-noout", "-enddate", "-in", str(path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return float(timegm(time.strptime(text, "notAfter=%b %d %H:%M:%S %Y GMT")))


@pytest.mark.parametrize("days", [-1, 1, 90, 9000, 20000])  # from 2050 on dates are written otherwise
def test_the_end_is_the_one_that_openssl_reads(authority, days):
    files = authority.issue(days=days)

    assert ends_at(files) == told_by_openssl(files.certificate)


def test_every_certificate_of_a_file_counts(authority, tmp_path):
    short, long = authority.issue(days=5), authority.issue(days=500)
    both = tmp_path / "chain.pem"
    both.write_text("".join(f"s: a name\n{files.certificate.read_text()}" for files in (long, short)))

    assert ends_of(both) == [told_by_openssl(long.certificate), told_by_openssl(short.certificate)]
    (fault,) = faults(replace(long, certificate=both), mutual=True, now=time.time())
    assert fault.startswith(f"Certificate 2 of {both} ends in 5 days, on ")


@pytest.mark.parametrize(("before_s", "word"), [(31 * DAY_S, ""), (29 * DAY_S, "ends in 29 days"), (-1.0, "ended on")])
def test_it_is_told_from_thirty_days_before(authority, before_s, word):
    files = authority.issue(days=60)
    end = ends_at(files)

    told = faults(files, mutual=True, now=end - before_s)

    assert [word in text for text in told] == [True] * bool(word)


def test_a_ca_that_ends_is_told_too_also_where_we_have_no_certificate(authority):
    end = told_by_openssl(authority.ca)

    (fault,) = faults(TlsFiles(ca=authority.ca), mutual=True, now=end - DAY_S)

    assert str(authority.ca) in fault


def test_a_service_warns_in_its_log(authority, tmp_path, caplog):
    files = authority.issue(days=7)
    path = tmp_path / "config.toml"
    keys = "\n".join(f'{name} = "{getattr(files, name)}"' for name in ("certificate", "key", "ca"))
    path.write_text(f'[[receive.peer]]\nae_title = "CT1"\nnetwork = "10.0.0.0/8"\n[tls]\n{keys}\n')

    with caplog.at_level(logging.WARNING):
        warn_of_certificates(load_config(path))

    assert "ends in 7 days" in caplog.text


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])
def test_what_is_no_certificate_is_told_and_not_believed(authority, tmp_path, text):
    files = replace(authority.issue(), certificate=tmp_path / "broken.pem")
    files.certificate.write_text(text)

    with pytest.raises(ConfigError):
        server_context(files, mutual=True)
    (fault,) = faults(files, mutual=True, now=0)
    assert "broken.pem" in fault


def test_a_revoked_certificate_is_refused_where_the_ca_file_holds_its_crl(authority, tmp_path):
    revoked, other = authority.issue(), authority.issue()
    crl = authority.revoke(revoked)
    together = tmp_path / "ca-and-crl.pem"
    together.write_text(authority.ca.read_text() + crl.read_text())
    server = server_context(replace(authority.issue(), ca=together), mutual=True)

    assert Caller(other).meets(server)
    assert not Caller(revoked).meets(server)


def test_a_ca_out_of_its_time_beside_a_good_one_is_a_warning_of_its_own(authority, tmp_path):
    files, old, early = authority.issue(), Authority(tmp_path / "old").ended(), authority.issue_ahead(days=9)
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(old.read_bytes() + authority.ca.read_bytes() + early.certificate.read_bytes())
    both, now = replace(files, ca=bundle), time.time()

    ended, begins = lapsed_cas(both, now=now)

    assert faults(both, mutual=True, now=now) == []
    assert Caller(files).meets(server_context(both, mutual=True))
    assert ended.startswith(f"Certificate 1 of {bundle} ended on ")
    assert begins.startswith(f"Certificate 3 of {bundle} is valid from ")
    for told in (ended, begins):
        assert told.endswith("peers whose certificate this CA alone vouches for are refused.")


def test_a_ca_that_was_renewed_with_its_key_vouches_for_its_peers_beside_its_ended_self(authority, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.ended().read_bytes() + authority.ca.read_bytes())

    assert Caller(authority.issue()).meets(server_context(replace(authority.issue(), ca=bundle), mutual=True))


def test_cas_of_which_none_is_valid_are_a_fault(authority, tmp_path):
    files, bundle = authority.issue(), tmp_path / "bundle.pem"
    bundle.write_bytes(b"".join(Authority(tmp_path / name).ended().read_bytes() for name in ("a", "b")))
    both, now = replace(files, ca=bundle), time.time()

    told = faults(both, mutual=True, now=now)

    assert [text.endswith(": no peer's certificate is accepted.") for text in told] == [True, True]
    assert lapsed_cas(both, now=now) == []
    assert not Caller(files).meets(server_context(both, mutual=True))


def test_cas_that_cannot_be_read_are_told_once_and_not_as_out_of_their_time(authority, tmp_path):
    files = replace(authority.issue(), ca=tmp_path / "nowhere.pem")

    assert len(faults(files, mutual=True, now=time.time())) == 1
    assert lapsed_cas(files, now=time.time()) == []


@pytest.mark.parametrize("days", [-1, 3])
def test_a_pair_out_of_its_time_is_told_by_who_shows_it(authority, days):
    files = authority.issue(days=days) if days < 0 else authority.issue_ahead(days=days)

    (told,) = faults(files, mutual=True, now=time.time())

    assert "peers refuse it. Our calls show it already; callers may see the one from before until the receiver" in told


def test_what_stands_between_our_certificate_and_its_ca_is_not_the_one_that_is_shown(authority, tmp_path):
    files, chain = authority.issue(), tmp_path / "chain.pem"
    chain.write_bytes(files.certificate.read_bytes() + Authority(tmp_path / "between").ended().read_bytes())

    (told,) = faults(replace(files, certificate=chain), mutual=True, now=time.time())

    assert told.startswith(f"Certificate 2 of {chain} ended on ")
    assert told.endswith(": peers that need it refuse ours.")


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_pair_in_memory_leaves_no_file_open_and_tells_nobody_its_key(authority):
    pair = read_pair(authority.issue())
    before = open_files()

    pair.show_in(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    assert open_files() == before
    assert repr(pair) == "Pair()"


@pytest.mark.parametrize("given", [0, MFD_NOEXEC_SEAL], ids=["an older kernel", "vm.memfd_noexec = 2"])
def test_a_pair_is_shown_whatever_memory_the_host_gives(authority, monkeypatch, given):
    create = os.memfd_create

    def memfd_create(name: str, flags: int = os.MFD_CLOEXEC) -> int:
        if flags & MFD_NOEXEC_SEAL != given:
            raise OSError(errno.EINVAL, "Invalid argument")
        return create(name)

    monkeypatch.setattr(os, "memfd_create", memfd_create)

    assert Caller(authority.issue()).meets(server_context(authority.issue(), mutual=True))
