"""``ichnode echo``."""

from typing import Annotated

import typer

from ichnode.app.wire import peer_of
from ichnode.cli.context import OUT, AsJson, Exit, options, print_json
from ichnode.cli.peer import CalledAE, CallingAE, OverTls, TlsName, named_or_at, remotes_of
from ichnode.deliver.echo import echo as echo_peer
from ichnode.domain.errors import ConfigError
from ichnode.domain.outputs import Peer


def echo(
    context: typer.Context,
    who: Annotated[
        str | None,
        typer.Argument(metavar="NAME|HOST:PORT", help="A configured destination or PACS, or an address; else all."),
    ] = None,
    called: CalledAE = None,
    calling: CallingAE = None,
    tls: OverTls = False,
    tls_name: TlsName = None,
    as_json: AsJson = False,
) -> None:
    """C-ECHO, as the node calls: is the peer there, and would it talk to us? Exit code 1 when one does not answer."""
    if who is None:
        peers = _configured(context)
    else:
        peers = [
            named_or_at(
                options(context),
                who,
                called=called,
                calling=calling,
                tls=tls,
                tls_name=tls_name,
                default_title="ICHNODE",
            )
        ]
    answers = {peer.name: echo_peer(peer) for peer in peers}
    if as_json:
        print_json({n: {"ok": a.ok, "seconds": round(a.seconds, 3), "reason": a.reason} for n, a in answers.items()})
    else:
        for name, answer in answers.items():
            text = f"{name} answers ({answer.seconds * 1000:.0f} ms)" if answer.ok else answer.reason
            OUT.print(text, markup=False, soft_wrap=True, style=None if answer.ok else "bold red")
            if answer.hint:
                OUT.print(f"      -> {answer.hint}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.OK if all(answer.ok for answer in answers.values()) else Exit.NO)


def _configured(context: typer.Context) -> list[Peer]:
    config = options(context).load()
    found = [peer_of(config, remote) for remote in remotes_of(config)]
    if not found:
        raise ConfigError("No peer is configured.", hint="Name HOST:PORT, or add a [[destination]].")
    return found
