"""The node's certificates, looked at again and again: what is wrong with them, or soon will be."""

import logging
import time
from dataclasses import dataclass

from ichnode.config.config import Config
from ichnode.domain.errors import ConfigError
from ichnode.tls.certificates import ALARM_BEFORE_S, faults, lapsed_cas
from ichnode.tls.contexts import client_context, server_context

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFaults:
    """A sentence for each thing that a person must mend: at once (``alarms``), or within 30 days (``warnings``, which
    have the CAs too that are out of their time while others are good)."""

    alarms: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def certificate_faults(config: Config) -> CertificateFaults:
    """What must be mended; nothing where TLS is not used. An end is an alarm from 7 days before."""
    files, mutual, now = config.tls.files, config.tls.mutual, time.time()
    if files.certificate is None and files.ca is None:
        return CertificateFaults()
    try:
        told = faults(files, mutual=mutual, now=now)
        alarms = tuple(faults(files, mutual=mutual, now=now, within_s=ALARM_BEFORE_S))
    except (OSError, ValueError) as error:
        return CertificateFaults(alarms=(f"The certificates of [tls] cannot be read: {type(error).__name__}.",))
    later = (fault for fault in told if fault not in alarms)
    return CertificateFaults(alarms=alarms, warnings=(*later, *lapsed_cas(files, now=now)))


def check_certificates(config: Config) -> None:
    """Loads what [tls] names, as the services do. Raises ConfigError for what cannot be used, or not now: our own
    certificates that have ended, or are not valid yet, and CAs of which none is valid."""
    files = config.tls.files
    if files.certificate is not None:
        server_context(files, mutual=config.tls.mutual)
    client_context(files, check_name=False)
    try:
        over = faults(files, mutual=config.tls.mutual, now=time.time(), within_s=0.0)
    except (OSError, ValueError) as error:
        hint = "docs/how-to/tls.md says how they are made."
        raise ConfigError(f"The certificates of [tls] cannot be read: {type(error).__name__}.", hint=hint) from error
    if over:
        raise ConfigError("\n".join(over), hint="Put a new one in its place: docs/how-to/tls.md.")


def warn_of_certificates(config: Config) -> None:
    """Logs them."""
    found = certificate_faults(config)
    for fault in (*found.alarms, *found.warnings):
        log.warning(fault, extra={"action": "tls"})
