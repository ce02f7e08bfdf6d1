"""From when until when certificates are valid, read from their PEM files."""

import re
import ssl
import time
from calendar import timegm
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

# X.690 8.1 and X.680 8.4
EXPLICIT_0: Final = 0xA0  # the version, which old certificates leave out
GENERALIZED_TIME: Final = 0x18


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """Both seconds since the epoch, both within. Source: RFC 5280 4.1.2.5."""

    begins: float
    ends: float

    def holds(self, now: float) -> bool:
        """Whether it is valid at that moment."""
        return self.begins <= now <= self.ends


def validities_of(path: Path) -> list[Validity]:
    """Of each certificate of a PEM file, in its order. Raises OSError, ValueError for what is none."""
    return validities_in(path.read_bytes())


def validities_in(pem: bytes) -> list[Validity]:
    """Of each certificate that stands there, in its order. Raises ValueError for what is none."""
    return [_validity(ssl.PEM_cert_to_DER_cert(found)) for found in PEM.findall(pem.decode("latin-1"))]


def _validity(der: bytes) -> Validity:
    """Walks Certificate > TBSCertificate > validity."""
    _, at, _ = _element(der, 0)
    _, at, _ = _element(der, at)
    tag, _, end = _element(der, at)
    if tag == EXPLICIT_0:
        at = end
    for _ in ("serialNumber", "signature", "issuer"):
        _, _, at = _element(der, at)
    _, at, _ = _element(der, at)
    _, _, after = _element(der, at)
    return Validity(begins=_time(der, at), ends=_time(der, after))


def _time(der: bytes, at: int) -> float:
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
