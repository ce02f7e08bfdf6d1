"""How the SCP listens, and what it offers. Source: PS3.4 B, J; PS3.8 9.3."""

import sys
from dataclasses import dataclass

from pynetdicom import AE

from ichnode.commitment import TRANSFER_SYNTAXES as COMMITMENT_SYNTAXES
from ichnode.domain.tls import TlsFiles
from ichnode.receive.allow import AllowedPeer
from ichnode.receive.contexts import ACCEPT_ALSO, COMMITMENT, CT_CLASSES, TRANSFER_SYNTAXES, VERIFICATION
from ichnode.receive.gate import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPort:
    """A port for TLS alone. ``mutual``: callers must show a certificate of theirs."""

    port: int
    files: TlsFiles
    mutual: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ScpSettings:
    """How the SCP listens. Port 0 takes a free one; ``host`` empty listens on every address."""

    ae_title: str
    host: str
    port: int
    allow: tuple[AllowedPeer, ...]
    floor_bytes: int
    accept_also: tuple[str, ...] = ACCEPT_ALSO
    reported_later: frozenset[str] = frozenset()
    maximum_associations: int = 20
    acse_timeout_s: float = 30
    dimse_timeout_s: float = 60
    network_timeout_s: float = 120
    maximum_pdu_bytes: int = 131072
    maximum_instance_bytes: int = 512 * MIB
    maximum_bytes_in_memory: int = 768 * MIB  # of all instances that are coming in
    tls: TlsPort | None = None


def application_entity(settings: ScpSettings) -> AE:
    """Our title, time-outs and presentation contexts, as pynetdicom wants them."""
    entity = AE(ae_title=settings.ae_title)
    entity.require_called_aet = True
    entity.maximum_associations = sys.maxsize  # the gate counts those that it lets in; strangers take no place
    entity.acse_timeout = settings.acse_timeout_s
    entity.dimse_timeout = settings.dimse_timeout_s
    entity.network_timeout = settings.network_timeout_s
    entity.maximum_pdu_size = settings.maximum_pdu_bytes
    entity.add_supported_context(VERIFICATION)
    # Modalities ask as SCU; a PACS that reports proposes to be the SCP (PS3.4 J.3.3.1.3, PS3.7 D.3.3.4).
    entity.add_supported_context(COMMITMENT, COMMITMENT_SYNTAXES, scu_role=True, scp_role=True)
    for sop_class in (*CT_CLASSES, *settings.accept_also):
        entity.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
    return entity
