"""Peers named on the command line."""

from typing import Annotated

import typer

from ichnode.domain.errors import ConfigError
from ichnode.domain.outputs import Peer

PeerAddress = Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where it listens.")]
CalledAE = Annotated[str, typer.Option("--called", help="Its AE title.")]
CallingAE = Annotated[str, typer.Option("--calling", help="The AE title that we give as ours.")]


def parse_peer(address: str, called: str, calling: str) -> Peer:
    """The peer at HOST:PORT. Raises ConfigError."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"{address} is not HOST:PORT.", hint="For example 10.1.2.3:11112.")
    for title in (called, calling):
        if not 0 < len(title) <= 16 or not title.isascii() or not title.isprintable():
            raise ConfigError(f"{title!r} is not an AE title.", hint="1 to 16 ASCII characters.")
    return Peer(name=address, host=host, port=int(port), ae_title=called, calling_ae_title=calling)
