"""What is wrong with our certificates, or soon will be."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ichnode.domain.errors import ConfigError
from ichnode.domain.tls import TlsFiles
from ichnode.tls.contexts import client_context, server_context
from ichnode.tls.validity import Validity, validities_of

WARN_BEFORE_S: Final = 30 * 86400.0
ALARM_BEFORE_S: Final = 7 * 86400.0

# What follows where a certificate has ended, or is not valid yet.
OURS: Final = (
    "peers refuse it. Our calls show it already; callers may see the one from before until the receiver is restarted."
)
BETWEEN: Final = "peers that need it refuse ours."
EVERY_CA: Final = "no peer's certificate is accepted."
ONE_CA: Final = "peers whose certificate this CA alone vouches for are refused."


def faults(files: TlsFiles, *, mutual: bool, now: float, within_s: float = WARN_BEFORE_S) -> list[str]:
    """A sentence for each thing that a person must mend: files that cannot be used, certificates at their end.

    CAs that are out of their time are such only where none is left (``lapsed_cas`` has the others).
    Raises OSError, ValueError.
    """
    try:
        if files.certificate is not None:
            server_context(files, mutual=mutual)
        client_context(files, check_name=False)
    except ConfigError as error:
        return [f"{error} {error.hint}"]
    own, cas = _found(files.certificate), _found(files.ca)
    told = [_lapsed(*each, now, BETWEEN if number else OURS) for number, each in enumerate(own)]
    if not _any_holds(cas, now):
        told += [_lapsed(*ca, now, EVERY_CA) for ca in cas]
    told += [_ending(*each, now, within_s) for each in (*own, *cas)]
    return [sentence for sentence in told if sentence]


def lapsed_cas(files: TlsFiles, *, now: float) -> list[str]:
    """A sentence for each CA that has ended, or is not valid yet, beside one that is good: as while CAs are changed.

    None where they cannot be read: ``faults`` tells that.
    """
    try:
        cas = _found(files.ca)
    except (OSError, ValueError):
        return []
    told = [_lapsed(*ca, now, ONE_CA) for ca in cas] if _any_holds(cas, now) else []
    return [sentence for sentence in told if sentence]


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


def _found(path: Path | None) -> list[tuple[str, Validity]]:
    """Each certificate of a file, by what it is called in a sentence."""
    found = [] if path is None else validities_of(path)
    if len(found) == 1:
        return [(f"The certificate {path}", found[0])]
    return [(f"Certificate {number} of {path}", validity) for number, validity in enumerate(found, 1)]


def _any_holds(found: list[tuple[str, Validity]], now: float) -> bool:
    return any(validity.holds(now) for _, validity in found)


def _lapsed(which: str, validity: Validity, now: float, harm: str) -> str:
    """What follows from a certificate that is out of its time; empty for one that is valid."""
    if validity.holds(now):
        return ""
    if validity.begins > now:
        begins = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(validity.begins))
        return f"{which} is valid from {begins} on: until then {harm}"
    return f"{which} ended on {_day(validity.ends)}: {harm}"


def _ending(which: str, validity: Validity, now: float, within_s: float) -> str:
    """What to do about a certificate that is valid, but not for long; empty for others."""
    left_s = validity.ends - now
    if not validity.holds(now) or left_s >= within_s:
        return ""
    return f"{which} ends in {math.ceil(left_s / 86400)} days, on {_day(validity.ends)}: put a new one in its place."


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
