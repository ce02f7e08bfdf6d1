"""``ichnode work``."""

import typer

from ichnode.app.work import run_work
from ichnode.cli.context import options
from ichnode.cli.services import serve


def work(context: typer.Context) -> None:
    """One worker alone: claims jobs, runs the network, writes the objects. Start several for more at once."""
    serve(options(context).load(), "work", run_work)
