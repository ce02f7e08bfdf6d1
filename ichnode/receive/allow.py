"""Who may call."""

import ipaddress
from dataclasses import dataclass
from typing import Final

from ichnode.domain.errors import ConfigError

ANYONE: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedPeer:
    """Who may call: an AE title and a network (CIDR or one address). Anyone has to be written out as ``*``.

    Raises ConfigError for an empty title or for a network that is none.
    """

    ae_title: str
    network: str

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
        if self.ae_title not in (ANYONE, ae_title):
            return False
        if self.network == ANYONE:
            return True
        caller = ipaddress.ip_address(address.partition("%")[0])
        caller = getattr(caller, "ipv4_mapped", None) or caller  # a dual-stack socket shows ::ffff:10.1.2.3
        return caller in ipaddress.ip_network(self.network, strict=False)
