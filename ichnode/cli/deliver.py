"""``ichnode deliver``."""

import typer

from ichnode.app.deliver import run_deliver
from ichnode.cli.context import options
from ichnode.cli.services import serve


def deliver(context: typer.Context) -> None:
    """The deliverer alone: sends the objects to every destination."""
    serve(options(context).load(), "deliver", run_deliver)
