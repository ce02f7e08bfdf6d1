"""What is wrong with our certificates, or soon will be."""

import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ichnode.domain.errors import ConfigError
from ichnode.domain.tls import TlsFiles
from ichnode.tls.contexts import client_context, server_context
from ichnode.tls.validity import validities_of

WARN_BEFORE_S: Final = 30 * 86400.0
ALARM_BEFORE_S: Final = 7 * 86400.0


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
    return [validity.ends for validity in validities_of(path)]


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
    found = [] if path is None else validities_of(path)
    for number, validity in enumerate(found, 1):
        which = f"The certificate {path}" if len(found) == 1 else f"Certificate {number} of {path}"
        at = validity.ends
        day = time.strftime("%Y-%m-%d", time.gmtime(at))
        if validity.begins > now:
            begins = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(validity.begins))
            yield f"{which} is valid from {begins} on: until then over TLS nobody is reached, or reaches us."
        elif at <= now:
            yield f"{which} ended on {day}: over TLS nobody is reached, or reaches us."
        elif at - now < within_s:
            yield f"{which} ends in {math.ceil((at - now) / 86400)} days, on {day}: put a new one in its place."
