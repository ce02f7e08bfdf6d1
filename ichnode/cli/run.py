"""``ichnode run``."""

from typing import Annotated

import typer

from ichnode.app.wire import open_database_of
from ichnode.cli.context import Exit, options
from ichnode.service import Watchdog, notify, set_up_logging, stop_on_signals
from ichnode.supervise import supervise


def run(
    context: typer.Context,
    workers: Annotated[int, typer.Option(min=1, max=16, help="How many workers.")] = 1,
) -> None:
    """All services in one: receiver, workers, deliverer, each a process that is started again when it ends."""
    path = options(context).path()
    config = options(context).load()
    set_up_logging(config.node.log_level)
    open_database_of(config).close()  # wrong folders are said here, once
    stop = stop_on_signals()
    verbs = [("receive",), *[("work",)] * workers, ("deliver",)]
    notify("READY=1")
    code = supervise(["--config", str(path)], verbs, stop, fatal=Exit.USAGE, alive=Watchdog().alive)
    raise typer.Exit(code)
