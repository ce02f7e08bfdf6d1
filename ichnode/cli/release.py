"""``ichnode release``: results that were held go out."""

import time
from typing import Annotated

import typer

from ichnode.app.trail import trail_of
from ichnode.cli.context import OUT, Exit, NothingFound, options, queue
from ichnode.queue.holds import release as release_study
from ichnode.trail import events
from ichnode.trail.codes import RELEASE
from ichnode.trail.trail import user


def release(
    context: typer.Context,
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")],
) -> None:
    """Let results go out that are held because the patient's identity was in doubt: under that of their images.

    Where the images bear the wrong identity: `ichnode purge STUDY --yes --force`, and take the corrected ones in anew.
    """
    config = options(context).load()
    with queue(config) as db:
        who = user()
        if not release_study(db, study, by=who, now=time.time()):
            raise NothingFound(f"Nothing of the study {study} is held.", hint="`ichnode status` lists what is.")
        trail_of(config, db, "release").write(events.asked_for, who, RELEASE, study)
    OUT.print("Its results go out under the identity of their images.", soft_wrap=True)
    raise typer.Exit(Exit.OK)
