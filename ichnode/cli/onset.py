"""``ichnode onset``: when the symptoms began, told by a person after the scan."""

import re
import time
from typing import Annotated, Final

import typer

from ichnode.cli.context import OUT, AsJson, Exit, NothingFound, options, print_json, queue
from ichnode.domain.errors import ConfigError
from ichnode.queue import views
from ichnode.queue.jobs import tell_onset
from ichnode.queue.results import check_onset

FORMS: Final = "Write h:mm (01:30) or hours (1.5)."


def onset(
    context: typer.Context,
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")],
    duration: Annotated[
        str | None, typer.Argument(metavar="TIME", help="From the first symptom to the CT: 01:30, or 1.5 for hours.")
    ] = None,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="Take back what was told; the headers count again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell the time from onset to CT. It goes before any header; a report that is out already is made anew.

    The new report names its predecessor. Segmentation and pictures stay as they are."""
    if unknown is (duration is not None):
        raise ConfigError("Tell either a time or --unknown.", hint=FORMS)
    hours = None if duration is None else hours_of(duration)
    if hours is not None:
        check_onset(hours)
    config = options(context).load()
    with queue(config) as db:
        if not views.series_uids(db, study):
            raise NothingFound(f"The queue knows no study {study}.", hint="`ichnode status` lists the newest.")
        made = tell_onset(db, study, hours, now=time.time())
    if as_json:
        print_json({"study": study, "hours": hours, "jobs": made})
    else:
        said = "onset unknown" if hours is None else f"onset {hours:.2f} h before the CT"
        what = (
            f"a new report is queued (job {', '.join(map(str, made))})"
            if made
            else "no report is out that would change"
        )
        OUT.print(f"{said}: {what}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.OK)


def hours_of(duration: str) -> float:
    """Hours of "1:30" or "1.5". Raises ConfigError for anything else."""
    clock = re.fullmatch(r"(\d{1,4}):([0-5]\d)", duration.strip())
    if clock is not None:
        return int(clock[1]) + int(clock[2]) / 60
    try:
        return float(duration)
    except ValueError as error:
        raise ConfigError(f"{duration!r} is no time from onset to CT.", hint=FORMS) from error
