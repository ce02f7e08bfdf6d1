"""``ichnode onset``: when the symptoms began, told by a person after the scan."""

import re
import time
from typing import Annotated, Final

import typer

from ichnode.cli.context import OUT, AsJson, Exit, NothingFound, options, print_json, queue
from ichnode.domain.errors import ConfigError
from ichnode.queue import views
from ichnode.queue.jobs import Told, tell_onset
from ichnode.queue.results import check_onset

FORMS: Final = "Write h:mm (01:30) or hours (1.5)."


def onset(
    context: typer.Context,
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")],
    duration: Annotated[
        str | None,
        typer.Argument(metavar="TIME", help="From the first symptom to the study's first CT: 01:30, or 1.5 for hours."),
    ] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Take back what was told; the headers count again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell the time from onset to CT. It goes before any header; a report that is out already is made anew.

    The new report names its predecessor. Segmentation and pictures stay as they are. What is told is the time to the
    first CT of the study: for a later one of the same study the time between the two is added.
    """
    if unknown is (duration is not None):
        raise ConfigError("Tell either a time or --unknown.", hint=FORMS)
    hours = None if duration is None else hours_of(duration)
    if hours is not None:
        check_onset(hours)
    config = options(context).load()
    with queue(config) as db:
        if not views.series_uids(db, study):
            raise NothingFound(f"The queue knows no study {study}.", hint="`ichnode status` lists the newest.")
        told = tell_onset(db, study, hours, now=time.time())
    if as_json:
        print_json({"study": study, "hours": hours, "jobs": told.made, "waiting": told.waiting})
    else:
        said = "onset unknown" if hours is None else f"onset {hours:.2f} h before the study's first CT"
        OUT.print(f"{said}: {_what_comes(told)}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.OK)


def _what_comes(told: Told) -> str:
    made, waiting = (", ".join(map(str, jobs)) for jobs in (told.made, told.waiting))
    said = [f"a new report is queued (job {made})"] if made else []
    said += [f"job {waiting}, waiting already, will tell it"] if waiting else []
    return "; ".join(said) or "no report is out that could be made anew; an analysis to come will tell it"


def hours_of(duration: str) -> float:
    """Hours of "1:30" or "1.5". Raises ConfigError for anything else."""
    clock = re.fullmatch(r"(\d{1,4}):([0-5]\d)", duration.strip())
    if clock is not None:
        return int(clock[1]) + int(clock[2]) / 60
    try:
        return float(duration)
    except ValueError as error:
        raise ConfigError(f"{duration!r} is no time from onset to CT.", hint=FORMS) from error
