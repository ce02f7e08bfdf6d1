"""When certificates end, as openssl says it, and who is told."""

import logging
import ssl
import subprocess
import time
from calendar import timegm
from dataclasses import replace

import pytest

from ichnode.app.certificates import warn_of_certificates
from ichnode.config.file import load_config
from ichnode.domain.errors import ConfigError
from ichnode.domain.tls import TlsFiles
from ichnode.tls.certificates import ends_at, ends_of, faults
from ichnode.tls.contexts import server_context
from tests.certificates import Authority

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

    assert _meets(server, other, authority)
    assert not _meets(server, revoked, authority)


def _meets(server: ssl.SSLContext, files: TlsFiles, authority: Authority) -> bool:
    """Whether a handshake in memory, and a word after it, come through."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(authority.ca)
    client.load_cert_chain(files.certificate, files.key)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(there, back, server_side=True)
    theirs = client.wrap_bio(back, there, server_hostname="127.0.0.1")
    for _ in range(4):
        for side in (theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    theirs.write(b"x")
    return ours.read(1) == b"x"
