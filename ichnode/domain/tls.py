"""What a TLS connection needs of us."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

ANY_NAME: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: our certificate (with what leads to its CA) and its key, and the CAs that we trust, maybe with CRLs.

    None: there is none. Who only calls, and need not show who it is, has ``ca`` alone.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerTls:
    """How a peer is called over TLS. ``name`` must stand in its certificate; ``"*"`` takes any that our CA signed."""

    files: TlsFiles
    name: str
