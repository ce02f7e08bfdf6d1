"""``ichnode acknowledge``: alarms that a person has seen to."""

import time
from collections import Counter
from typing import Annotated

import typer

from ichnode.app.trail import trail_of
from ichnode.cli.alarms import NODE_ALARMS_S
from ichnode.cli.context import OUT, Exit, NothingFound, ago, options, queue
from ichnode.queue.acknowledged import AlarmKind, open_alarms
from ichnode.queue.acknowledged import acknowledge as note_seen
from ichnode.trail import events
from ichnode.trail.trail import user


def acknowledge(
    context: typer.Context,
    kinds: Annotated[
        list[AlarmKind] | None, typer.Argument(metavar="KIND...", help="Of these kinds; without, it lists them.")
    ] = None,
) -> None:
    """Say that you have seen to the alarms of a kind: `status` shows them no more. What comes later alarms anew;
    refusals of a kind that go on are counted by the hour, and the next count may hold some from before.

    refusals: callers and images that were refused; files: that are not on the disk; quarantine; node: all else of the
    node itself. Never failed jobs, objects not delivered, held studies: replay, resend, release and purge end those.
    """
    config = options(context).load()
    now = time.time()
    since = now - NODE_ALARMS_S
    with queue(config) as db:
        if not kinds:
            counts = Counter(alarm.kind for alarm in open_alarms(db, since=since))
            if not counts:
                raise NothingFound("There is nothing to acknowledge.", hint="`ichnode status` lists all alarms.")
            for kind, count in counts.items():
                OUT.print(f"{kind}: {count} not acknowledged", markup=False)
            raise typer.Exit(Exit.OK)
        found = [alarm for kind in kinds for alarm in note_seen(db, kind, by=user(), since=since, now=now)]
        trail, counts = trail_of(config, db, "acknowledge"), Counter(alarm.kind for alarm in found)
        for kind, count in counts.items():
            trail.write(events.acknowledged, user(), f"{count} alarms acknowledged: {kind}")
    for alarm in found:
        OUT.print(f"acknowledged  {ago(alarm.at)}: {alarm.text}", markup=False, soft_wrap=True)
    if not found:
        raise NothingFound(f"No alarm of {' and '.join(kinds)} is open.", hint="`ichnode status` lists all alarms.")
    raise typer.Exit(Exit.OK)
