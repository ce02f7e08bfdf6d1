"""Peers named on the command line: those of the configuration, or an address."""

from dataclasses import replace
from typing import Annotated

import typer

from ichnode.app.wire import peer_of
from ichnode.cli.context import Options
from ichnode.config.config import Config
from ichnode.config.remotes import Remote
from ichnode.domain.errors import ConfigError
from ichnode.domain.outputs import Peer
from ichnode.domain.tls import PeerTls

CalledAE = Annotated[str | None, typer.Option("--called", help="Its AE title; at an address ICHNODE.")]
CallingAE = Annotated[
    str | None, typer.Option("--calling", help="The AE title that we give as ours; else node.ae_title.")
]
OverTls = Annotated[bool, typer.Option("--tls", help="Over TLS, with the files of [tls] of the configuration.")]
TlsName = Annotated[
    str | None, typer.Option("--tls-name", help='Over TLS, to one whose certificate bears this name; "*": any name.')
]


def remotes_of(config: Config) -> list[Remote]:
    """Whom the node knows by a name."""
    return [*config.destination, *config.pacs]


def named_or_at(
    options: Options,
    who: str,
    *,
    called: str | None,
    calling: str | None,
    tls: bool,
    tls_name: str | None,
    default_title: str,
) -> Peer:
    """The peer of the configuration, or at HOST:PORT, called as the node calls: by its title, with its certificate.

    Without a configuration we are ``default_title``, and there is no TLS. Raises ConfigError.
    """
    config = options.load() if ":" not in who or options.has_one() else None
    if ":" not in who:
        assert config is not None
        peer = _named(config, who)
    else:
        peer = _at(who, config.node.ae_title if config is not None else default_title)
    if tls or tls_name is not None:
        if config is None or config.tls.ca is None:
            hint = "Name one with --config; docs/how-to/tls.md."
            raise ConfigError("TLS needs a configuration with tls.ca: whose certificate may it show?", hint=hint)
        peer = replace(peer, tls=PeerTls(files=config.tls.files, name=tls_name or peer.host))
    for title in (called, calling):
        if title is not None and not (0 < len(title) <= 16 and title.isascii() and title.isprintable()):
            raise ConfigError(f"{title!r} is not an AE title.", hint="1 to 16 ASCII characters.")
    return replace(peer, ae_title=called or peer.ae_title, calling_ae_title=calling or peer.calling_ae_title)


def _named(config: Config, name: str) -> Peer:
    found = next((remote for remote in remotes_of(config) if remote.name == name), None)
    if found is None:
        names = ", ".join(remote.name for remote in remotes_of(config)) or "none"
        hint = f"Configured: {names}. An address is, for example, 10.1.2.3:11112."
        raise ConfigError(f"No peer is called {name}, and {name} is not HOST:PORT.", hint=hint)
    return peer_of(config, found)


def _at(address: str, calling: str) -> Peer:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"{address} is not HOST:PORT.", hint="For example 10.1.2.3:11112.")
    return Peer(name=address, host=host, port=int(port), ae_title="ICHNODE", calling_ae_title=calling)
