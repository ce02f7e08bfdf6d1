"""``ichnode receive``."""

import typer

from ichnode.app.receive import run_receive
from ichnode.cli.context import options
from ichnode.cli.services import serve


def receive(context: typer.Context) -> None:
    """The receiver alone: C-STORE SCP, and when a series is complete."""
    serve(options(context).load(), "receive", run_receive)
