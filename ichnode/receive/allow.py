"""Who may call, what for, and how much of it."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ichnode.domain.errors import ConfigError
from ichnode.receive.contexts import COMMITMENT, VERIFICATION

ANYONE: Final = "*"


class Right(StrEnum):
    """What a peer may ask of us. There is no query among them: the node answers none."""

    STORE = "store"
    ECHO = "echo"
    COMMITMENT = "commitment"  # ask for it, and report it


EVERYTHING: Final = frozenset(Right)


def right_of(abstract_syntax: str) -> Right:
    """The right that a presentation context needs; all that is neither Verification nor commitment is storage."""
    return {VERIFICATION: Right.ECHO, COMMITMENT: Right.COMMITMENT}.get(abstract_syntax, Right.STORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPeer:
    """Who may call: an AE title and a network (CIDR or one address). Anyone has to be written out as ``*``.

    ``may``: what it may ask. ``tls_required``: it is let in over TLS alone. ``tls_names``: and only with a verified
    certificate that is made out to one of these; none: with any that is verified. ``max_associations`` at once and
    ``max_per_minute`` instances, of each address; ``max_instance_bytes`` of one instance; None: no limit of its own.

    Raises ConfigError for an empty title or for a network that is none.
    """

    ae_title: str
    network: str
    may: frozenset[Right] = EVERYTHING
    tls_required: bool = False
    tls_names: tuple[str, ...] = ()
    max_associations: int | None = None
    max_per_minute: int | None = None
    max_instance_bytes: int | None = None

    def __post_init__(self) -> None:
        if not self.ae_title.strip():
            raise ConfigError("An allowed peer needs an AE title.", hint='Write "*" for any title.')
        if self.network != ANYONE:
            try:
                ipaddress.ip_network(self.network, strict=False)
            except ValueError as error:
                message = f"{self.network!r} is neither an address nor a network."
                raise ConfigError(message, hint='Write, for example, "10.1.2.0/24", or "*" for any.') from error

    def admits(self, ae_title: str, address: str) -> bool:
        """Whether this entry covers a caller."""
        return self.ae_title in (ANYONE, ae_title) and self.reaches(address)

    def reaches(self, address: str) -> bool:
        """Whether an address lies in its network."""
        if self.network == ANYONE:
            return True
        caller = ipaddress.ip_address(address.partition("%")[0])
        caller = getattr(caller, "ipv4_mapped", None) or caller  # a dual-stack socket shows ::ffff:10.1.2.3
        return caller in ipaddress.ip_network(self.network, strict=False)


def peer_for(allow: Iterable[AllowedPeer], ae_title: str, address: str) -> AllowedPeer | None:
    """The first entry that covers a caller: that one alone says what it may."""
    return next((peer for peer in allow if peer.admits(ae_title, address)), None)
