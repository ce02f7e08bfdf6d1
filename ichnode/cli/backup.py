"""``ichnode backup``: the queue in one file, taken while all runs."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ichnode.cli.context import OUT, AsJson, Exit, NothingFound, options, print_json
from ichnode.domain.errors import ConfigError
from ichnode.store.backup import back_up


def backup(
    context: typer.Context,
    where: Annotated[
        Path, typer.Argument(metavar="FILE|FOLDER", help="File to make; in a folder its name tells date and time.")
    ],
    as_json: AsJson = False,
) -> None:
    """Copy the queue into one file while everything runs: consistent, checked, for its owner alone, never overwritten.

    It holds no images. How to restore it, and what happens then: docs/how-to/backup.md.
    """
    state = options(context).load().node.state_dir
    queue = state / "queue.sqlite"  # opened as it is: a back-up before an upgrade must not be migrated
    if not queue.exists():
        raise NothingFound(f"There is no queue in {state} yet.", hint="Nothing has run with this node.state_dir.")
    target = where / time.strftime("queue-%Y%m%d-%H%M%S.sqlite") if where.is_dir() else where
    if not target.parent.is_dir():
        raise ConfigError(f"There is no folder {target.parent}.", hint="Make it (0700).")
    if state.resolve() in (target.resolve(), *target.resolve().parents):
        raise ConfigError(f"{target} lies in the node's own state folder.", hint="Name another, best on another disk.")
    size = back_up(queue, target)
    if as_json:
        print_json({"file": str(target.absolute()), "bytes": size})
    else:
        OUT.print(f"{target}: {size} bytes, checked", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.OK)
