"""``ichnode echo``."""

from typing import Annotated

import typer

from ichnode.app.wire import peer_of
from ichnode.cli.context import OUT, AsJson, Exit, options, print_json
from ichnode.cli.peer import CalledAE, CallingAE, parse_peer
from ichnode.deliver.echo import echo as echo_peer
from ichnode.domain.errors import ConfigError
from ichnode.domain.outputs import Peer


def echo(
    context: typer.Context,
    who: Annotated[
        str | None,
        typer.Argument(metavar="NAME|HOST:PORT", help="A configured destination or PACS, or an address; else all."),
    ] = None,
    called: CalledAE = "ICHNODE",
    calling: CallingAE = "ICHNODE",
    as_json: AsJson = False,
) -> None:
    """C-ECHO: is the peer there, and would it talk to us? Exit code 1 when one does not answer."""
    peers = [parse_peer(who, called, calling)] if who and ":" in who else _configured(context, who)
    answers = {peer.name: echo_peer(peer) for peer in peers}
    if as_json:
        print_json({n: {"ok": a.ok, "seconds": round(a.seconds, 3), "reason": a.reason} for n, a in answers.items()})
    else:
        for name, answer in answers.items():
            text = f"{name} answers ({answer.seconds * 1000:.0f} ms)" if answer.ok else answer.reason
            OUT.print(text, markup=False, soft_wrap=True, style=None if answer.ok else "bold red")
    raise typer.Exit(Exit.OK if all(answer.ok for answer in answers.values()) else Exit.NO)


def _configured(context: typer.Context, who: str | None) -> list[Peer]:
    config = options(context).load()
    remotes = [*config.destination, *config.pacs]
    found = [peer_of(config, remote) for remote in remotes if who in (None, remote.name)]
    if not found:
        names = ", ".join(remote.name for remote in remotes) or "none"
        raise ConfigError(
            f"No peer is called {who}." if who else "No peer is configured.", hint=f"Configured: {names}."
        )
    return found
