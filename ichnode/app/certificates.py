"""The node's certificates, looked at again and again: what is wrong with them, or will be within 30 days."""

import logging
import time

from ichnode.config.config import Config
from ichnode.tls.certificates import faults

log = logging.getLogger(__name__)


def certificate_faults(config: Config) -> list[str]:
    """A sentence for each thing that a person must mend; empty where nothing is, or TLS is not used."""
    if config.tls.certificate is None and config.tls.ca is None:
        return []
    try:
        return faults(config.tls.files, mutual=config.tls.mutual, now=time.time())
    except (OSError, ValueError) as error:
        return [f"The certificates of [tls] cannot be read: {type(error).__name__}."]


def warn_of_certificates(config: Config) -> None:
    """Logs them."""
    for fault in certificate_faults(config):
        log.warning(fault, extra={"action": "tls"})
