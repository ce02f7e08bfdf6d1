"""What is wrong with our certificates, or soon will be."""

import math
import re
import ssl
import time
from calendar import timegm
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ichnode.domain.errors import ConfigError
from ichnode.domain.tls import TlsFiles
from ichnode.tls.contexts import client_context, server_context

WARN_BEFORE_S: Final = 30 * 86400.0
ALARM_BEFORE_S: Final = 7 * 86400.0
PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

# X.690 8.1 and X.680 8.4
EXPLICIT_0: Final = 0xA0  # the version, which old certificates leave out
GENERALIZED_TIME: Final = 0x18


def faults(files: TlsFiles, *, mutual: bool, now: float, within_s: float = WARN_BEFORE_S) -> list[str]:
    """A sentence for each thing that a person must mend: files that cannot be used, certificates at their end."""
    try:
        if files.certificate is not None:
            server_context(files, mutual=mutual)
        client_context(files, check_name=False)
    except ConfigError as error:
        return [f"{error} {error.hint}"]
    return [*_ending(files.certificate, now, within_s), *_ending(files.ca, now, within_s)]


def ends_at(files: TlsFiles) -> float | None:
    """When the first of our own certificates ends, seconds since the epoch. Raises OSError, ValueError."""
    return None if files.certificate is None else min(ends_of(files.certificate))


def ends_of(path: Path) -> list[float]:
    """When each certificate of a PEM file ends, seconds since the epoch. Raises OSError, ValueError for what is none.

    Source: RFC 5280 4.1.
    """
    return [_not_after(ssl.PEM_cert_to_DER_cert(pem)) for pem in PEM.findall(path.read_text(encoding="latin-1"))]


def names_of(certificate: Mapping[str, Any]) -> frozenset[str]:
    """The names that a peer's certificate, as ``SSLSocket.getpeercert`` gives it, is made out to, in lower case: its
    DNS names or, in want of any, its common names. Of one that was not verified nothing is given, so it has none.

    Source: RFC 6125 6.4.4.
    """
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS"]
    if not names:
        pairs = [pair for part in certificate.get("subject", ()) for pair in part]
        names = [name for kind, name in pairs if kind == "commonName"]
    return frozenset(name.lower().rstrip(".") for name in names)


def _ending(path: Path | None, now: float, within_s: float) -> Iterator[str]:
    ends = [] if path is None else ends_of(path)
    for number, at in enumerate(ends, 1):
        which = f"The certificate {path}" if len(ends) == 1 else f"Certificate {number} of {path}"
        day = time.strftime("%Y-%m-%d", time.gmtime(at))
        if at <= now:
            yield f"{which} ended on {day}: over TLS nobody is reached, or reaches us."
        elif at - now < within_s:
            yield f"{which} ends in {math.ceil((at - now) / 86400)} days, on {day}: put a new one in its place."


def _not_after(der: bytes) -> float:
    """Walks Certificate > TBSCertificate > validity > notAfter."""
    _, at, _ = _element(der, 0)
    _, at, _ = _element(der, at)
    tag, _, end = _element(der, at)
    if tag == EXPLICIT_0:
        at = end
    for _ in ("serialNumber", "signature", "issuer"):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)
    _, _, at = _element(der, at)
    tag, start, end = _element(der, at)
    text = der[start:end].decode("ascii")
    if tag != GENERALIZED_TIME:  # UTCTime: two digits, 50 to 99 are of the last century
        text = ("19" if text[:2] >= "50" else "20") + text
    return float(timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """(tag, first byte of the content, first byte after it) of the element at ``at``. Raises ValueError."""
    try:
        tag, length, start = der[at], der[at + 1], at + 2
    except IndexError as error:
        raise ValueError("The certificate is cut off.") from error
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    return tag, start, start + length
