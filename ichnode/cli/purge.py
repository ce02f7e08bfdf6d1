"""``ichnode purge``: a study is forgotten."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydicom import dcmread

from ichnode.app.host import alone
from ichnode.app.trail import trail_of
from ichnode.app.wire import store_of
from ichnode.cli.context import OUT, AsJson, Exit, NothingFound, options, print_json, queue
from ichnode.config.config import Config
from ichnode.domain.errors import ConfigError, Retryable
from ichnode.metered import ODD
from ichnode.queue.purge import Stored
from ichnode.store.purge import look
from ichnode.store.purge import purge as delete_all
from ichnode.trail import events
from ichnode.trail.trail import user


def purge(
    context: typer.Context,
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; else it is only said what would be deleted.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also where something of it is still to come: it will not.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Delete all that the node keeps of a study: images, objects, quarantine, rows. What a PACS has stays there.

    Sent again, the study is a new one. Objects that are not delivered need --force, and the deliverer stopped.
    """
    config = options(context).load()
    store = store_of(config)
    with queue(config) as db:

        def again() -> Stored:
            return look(store, db, study, _study_of, now=time.time())

        def again_the_same() -> Stored:
            now_there = again()
            _refuse(now_there, force=force)
            if now_there.undelivered and not found.undelivered:
                raise Retryable("A result came meanwhile, which is not delivered yet.", hint="Run it again.")
            return now_there

        found = again()
        if not found.is_known:
            hint = "A study is named by its Study Instance UID; `ichnode show JOB` prints it."
            raise NothingFound(f"Nothing of the study {study} is kept.", hint=hint)
        if yes:
            _refuse(found, force=force)
            with _deliverer_stopped(config, found):
                who = user()
                # Told before it is done: afterwards nobody would know whose study it was, and a kill would hide it.
                why = f"purged by {who}: {_told(found)}"
                trail_of(config, db, "purge").write(events.purged, who, study, why)
                found = delete_all(store, db, found, again_the_same, text=f"study {study} {why}", now=time.time())
    _print(found, store.root, as_json, done=yes)
    raise typer.Exit(Exit.OK)


def _refuse(found: Stored, *, force: bool) -> None:
    """Raises Retryable where it may not be deleted now."""
    if found.running:
        hint = "Wait for it (`ichnode status`), or stop the workers: systemctl stop 'ichnode-work@*'."
        raise Retryable("A worker has it in its hands: nothing was deleted.", hint=hint)
    if found.waiting and not force:
        hint = "Wait for that (a study that is held goes out with `ichnode release`), or give it up with --force."
        raise Retryable(f"It is not over: {', '.join(found.waiting)}. Nothing was deleted.", hint=hint)


@contextmanager
def _deliverer_stopped(config: Config, found: Stored) -> Iterator[None]:
    """Makes sure that the deliverer holds nothing of it: a number that is deleted under it is given to another."""
    if not found.undelivered:
        yield
        return
    with ExitStack() as held:
        try:
            held.enter_context(alone(config, "deliver"))
        except ConfigError as error:
            hint = "Stop it (systemctl stop ichnode-deliver; `ichnode run`: Ctrl-C), purge, and start it again."
            raise Retryable(
                "The deliverer runs and may hold an object of it: nothing was deleted.", hint=hint
            ) from error
        yield


def _study_of(path: Path) -> str:
    """Study Instance UID of a file; empty where it names none."""
    try:
        return str(dcmread(path, specific_tags=["StudyInstanceUID"], force=True).get("StudyInstanceUID", ""))
    except (*ODD, OSError):
        return ""


def _told(found: Stored) -> str:
    counts = f"{len(found.instances)} images, {len(found.outputs)} objects, {len(found.quarantined)} in quarantine"
    return f"{counts}, {found.series} series, {found.jobs} jobs"


def _print(found: Stored, root: Path, as_json: bool, *, done: bool) -> None:
    if as_json:
        print_json(asdict(found) | {"deleted": done})
        return
    OUT.print(f"{'deleted' if done else 'would be deleted'}: {_told(found)}", markup=False, soft_wrap=True)
    if not done:
        places = Counter(Path(path).parts[0] for path in found.paths)  # those below are named by digests
        for folder, count in sorted(places.items()):
            OUT.print(f"  {count} {'file' if count == 1 else 'files'} in {root / folder}", markup=False, soft_wrap=True)
        running = "A worker has it in its hands: it would be refused now. " if found.running else ""
        waits = f"It is not over: {', '.join(found.waiting)}; that needs --force. " if found.waiting else ""
        OUT.print(f"{running}{waits}--yes does it.", markup=False, soft_wrap=True)
