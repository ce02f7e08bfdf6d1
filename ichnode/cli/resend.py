"""``ichnode resend``: the same bytes once more."""

import time
from typing import Annotated

import typer

from ichnode.app.trail import trail_of
from ichnode.cli.context import OUT, Exit, NothingFound, options, queue
from ichnode.domain.errors import ConfigError
from ichnode.queue import outbox, views
from ichnode.trail import events
from ichnode.trail.codes import RESEND
from ichnode.trail.subjects import studies_of_jobs
from ichnode.trail.trail import user


def resend(
    context: typer.Context,
    what: Annotated[
        str | None, typer.Argument(metavar="JOB|STUDY|SERIES", help="A job number, or a study or series UID.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="NAME", help="Only to this destination.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="Everything that was refused for good, and only that.")] = False,
) -> None:
    """Send stored objects again, the same bytes: of one study, or all that a destination had refused (--dead)."""
    config = options(context).load()
    if to is not None and to not in {destination.name for destination in config.destination}:
        names = ", ".join(destination.name for destination in config.destination) or "none"
        raise ConfigError(f"No destination is called {to}.", hint=f"Configured are: {names}.")
    if what is None and not dead:
        raise ConfigError("Nothing was named.", hint="Name a job, a study or a series, or say --dead.")
    with queue(config) as db:
        series = views.series_of(db, what) if what is not None else None
        if series == []:
            raise NothingFound(f"The queue knows nothing of {what}.", hint="`ichnode status` lists the newest.")
        job_ids = views.job_ids(db, series)
        studies = studies_of_jobs(db, job_ids, only_dead=dead)
        count = outbox.resend(db, job_ids=job_ids, destination=to, only_dead=dead, now=time.time())
        trail, who = trail_of(config, db, "resend"), user()
        for study in studies if count else []:
            trail.write(events.asked_for, who, RESEND, study)
    left = "" if count else " What is still on its way, or deleted by retention, is not sent again: see `ichnode show`."
    OUT.print(f"{count} objects will be sent again.{left}", soft_wrap=True)
    raise typer.Exit(Exit.OK if count else Exit.NO)
