"""``ichnode replay``: studies analysed again, or for the first time, behind all new ones."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Annotated, Any, Final

import typer
from rich.progress import Progress, track

from ichnode.app.trail import trail_of
from ichnode.app.wire import peer_of, preference_of, rules_of, sweep_settings
from ichnode.cli.context import ERR, OUT, AsJson, Exit, NothingFound, options, print_json, queue
from ichnode.cli.take_in import REPLAY_AE, take_folder, take_from_pacs
from ichnode.config.config import Config
from ichnode.deliver.pull import StudyQuery, find_studies
from ichnode.domain.errors import ConfigError
from ichnode.domain.states import Decision, JobState
from ichnode.queue import jobs, views
from ichnode.queue.database import Database
from ichnode.queue.replays import Replayable, Wanted, find
from ichnode.receive.by_hand import TakenIn, settle_now
from ichnode.receive.header import accession_key
from ichnode.receive.scan import scan
from ichnode.trail import events
from ichnode.trail.codes import REPLAY
from ichnode.trail.trail import user

POLL_S: Final = 1.0


def replay(
    context: typer.Context,
    study: Annotated[str | None, typer.Argument(metavar="STUDY", help="Study Instance UID.")] = None,
    series: Annotated[str | None, typer.Option(help="Series Instance UID; analysed whatever the rules said.")] = None,
    accession: Annotated[str | None, typer.Option(help="Accession number.")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Study date, from this day.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Study date, to this day.")] = None,
    state: Annotated[JobState | None, typer.Option(help="Only series with a job in this state.")] = None,
    folder: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Take DICOM files from this folder first.")
    ] = None,
    from_pacs: Annotated[
        str | None, typer.Option(metavar="NAME", help="First pull the study from this [[pacs]] of the configuration.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="With these weights.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    why: Annotated[bool, typer.Option("--why", help="Also list what would not be analysed, and why.")] = False,
    wait: Annotated[bool, typer.Option(help="Wait for the results, with a progress bar.")] = True,
    as_json: AsJson = False,
) -> None:
    """Analyse studies again: those in the queue, a folder of files, or what a PACS has. New studies go first.

    The same images with the same weights give the same objects, which are not sent again: see `resend`.

    Other weights, or late slices, give new objects that name their predecessors."""
    config = options(context).load()
    wanted = Wanted(
        study_instance_uid=study,
        series_instance_uid=series,
        accession_key=accession_key(accession) if accession else None,
        date_from=since.strftime("%Y%m%d") if since else None,
        date_to=until.strftime("%Y%m%d") if until else None,
        state=state,
    )
    if wanted == Wanted() and folder is None:
        raise ConfigError(
            "Nothing was named.", hint="Name a study, --series, --accession, --since, --state or --folder."
        )
    with queue(config) as db:
        if from_pacs is not None:
            pulled = _pull(config, db, from_pacs, wanted, accession, dry_run, as_json)
            wanted = Wanted(series_instance_uid=series, series_instance_uids=pulled)
        elif folder is not None and dry_run:
            _foretell(config, folder, wanted, why, as_json)
        elif folder is not None:
            wanted = replace(wanted, series_instance_uids=_take_folder(config, db, folder))
        found = find(db, wanted)
        if not found:
            raise NothingFound("Nothing in the queue fits.", hint="`ichnode status` lists the newest series.")
        queued = _queue(db, found, weights, series, dry_run)
        if not dry_run:
            _tell(config, db, {row.study_instance_uid for row in found if row.series_id in queued}, folder)
        _print(_rows(found, queued), why, as_json, dry_run)
        if dry_run or not wait or not queued:
            raise typer.Exit(Exit.OK if queued else Exit.NO)
        ended = _follow(db, list(queued.values()), as_json)
    done = all(state == JobState.DONE for state, _ in ended.values())
    raise typer.Exit(Exit.OK if done else Exit.NO)


def _tell(config: Config, db: Database, studies: set[str], folder: Path | None) -> None:
    """Who asked for it, for the audit trail."""
    trail, who = trail_of(config, db, "replay"), user()
    for study in sorted(studies):
        if folder is not None:
            trail.write(events.imported, who, folder.absolute().as_uri(), study)
        trail.write(events.asked_for, who, REPLAY, study)


def _pull(
    config: Config, db: Database, name: str, wanted: Wanted, accession: str | None, dry_run: bool, as_json: bool
) -> tuple[str, ...]:
    """Pulls the studies that fit from a PACS. Returns the UIDs of the series that came. A dry run ends here."""
    pacs = next((p for p in config.pacs if p.name == name), None)
    if pacs is None:
        names = ", ".join(p.name for p in config.pacs) or "none"
        raise ConfigError(f"No [[pacs]] is called {name}.", hint=f"Configured are: {names}.")
    query = StudyQuery(
        study_instance_uid=wanted.study_instance_uid or "",
        accession_number=accession or "",
        date_from=wanted.date_from or "",
        date_to=wanted.date_to or "",
    )
    studies = find_studies(peer_of(config, pacs), query)
    if not studies:
        raise NothingFound(f"{name} has no such study.")
    if dry_run:
        if as_json:
            print_json([{"study": s.study_instance_uid, "date": s.study_date, "images": s.instances} for s in studies])
        for study in [] if as_json else studies:
            text = f"{study.study_instance_uid}: {study.instances or '?'} images would be pulled from {name}"
            OUT.print(text, markup=False, soft_wrap=True)
        raise typer.Exit(Exit.OK)
    series: set[str] = set()
    for study in track(studies, description=f"pulling from {name}", console=ERR, transient=True):
        taken = take_from_pacs(config, db, pacs, study.study_instance_uid)
        series |= taken.series
        _tell_refused(taken)
        if pacs.retrieve == "get":  # what comes by C-MOVE is told by the receiver
            trail, uid = trail_of(config, db, "replay"), study.study_instance_uid
            trail.write(events.received, pacs.ae_title, pacs.host, uid, {}, is_new=True, in_order=True, asked=True)
    settle_now(db, series, sweep_settings(config), now=time.time())
    return tuple(sorted(series))


def _tell_refused(taken: TakenIn) -> None:
    for name, reason in taken.refused.items():
        ERR.print(f"{name}: {reason}", markup=False, soft_wrap=True)


def _foretell(config: Config, folder: Path, wanted: Wanted, why: bool, as_json: bool) -> None:
    """What would become of the files of a folder, without taking them in. Ends the verb."""
    rows = [
        {
            "series": row.series_instance_uid,
            "study": row.study_instance_uid,
            "analysed": row.decision == Decision.ANALYSE or row.series_instance_uid == wanted.series_instance_uid,
            "job": None,
            "why": row.text,
        }
        for row in scan(folder, rules_of(config), preference_of(config), calling_ae=REPLAY_AE)
        if wanted.study_instance_uid in (None, row.study_instance_uid)
        and wanted.series_instance_uid in (None, row.series_instance_uid)
    ]
    _print(rows, why, as_json, dry_run=True)
    raise typer.Exit(Exit.OK if any(row["analysed"] for row in rows) else Exit.NO)


def _take_folder(config: Config, db: Database, folder: Path) -> tuple[str, ...]:
    """Takes the files of a folder in. Returns the UIDs of their series."""
    taken = take_folder(config, db, folder)
    _tell_refused(taken)
    if not taken.series:
        raise NothingFound(f"{folder} holds no DICOM image that could be taken in.")
    settle_now(db, taken.series, sweep_settings(config), now=time.time())
    return tuple(sorted(taken.series))


def _queue(
    db: Database,
    found: Sequence[Replayable],
    weights: Path | None,
    series: str | None,
    dry_run: bool,
) -> dict[int, int]:
    """Series row id -> job id (0 in a dry run) of what is analysed."""
    chosen = [
        row
        for row in found
        if not row.purged and (row.decision == Decision.ANALYSE or row.series_instance_uid == series)
    ]
    if dry_run:
        return {row.series_id: 0 for row in chosen}
    waiting = {row.series_id: row.waiting_job for row in chosen if row.waiting_job}
    again = [row.series_id for row in chosen if row.series_id not in waiting]
    folder = str(weights.absolute()) if weights else None
    made = jobs.replay(db, again, weights=folder, now=time.time())
    return waiting | dict(zip(again, made, strict=True))


def _rows(found: Sequence[Replayable], queued: dict[int, int]) -> list[dict[str, Any]]:
    return [
        {
            "series": row.series_instance_uid,
            "study": row.study_instance_uid,
            "analysed": row.series_id in queued,
            "job": queued.get(row.series_id) or None,
            "why": _reason(row, row.series_id in queued),
        }
        for row in found
    ]


def _print(rows: Sequence[dict[str, Any]], why: bool, as_json: bool, dry_run: bool) -> None:
    """Each series with its job; with ``why`` those without one too."""
    if as_json:
        print_json(rows)
        return
    for row in rows:
        if row["analysed"] or why:
            job = "no job" if not row["analysed"] else "would be queued" if dry_run else f"job {row['job']}"
            OUT.print(f"{job}: {row['why']}", markup=False, soft_wrap=True, style="bold" if row["analysed"] else None)
            OUT.print(f"  series {row['series']}", markup=False, soft_wrap=True)
    left = sum(not row["analysed"] for row in rows)
    if left and not why:
        OUT.print(f"{left} series are not analysed; --why lists them.")


def _reason(row: Replayable, is_queued: bool) -> str:
    if row.purged:
        return "not analysed: retention has deleted its images; send or pull them again"
    if is_queued and row.decision != Decision.ANALYSE:
        return f"analysed because it was named (the rules said: {row.decision_text})"
    return row.decision_text


def _follow(db: Database, job_ids: Sequence[int], as_json: bool) -> dict[int, tuple[JobState, str]]:
    """Waits until the jobs have ended. Ctrl-C leaves them in the queue."""
    ended: dict[int, tuple[JobState, str]] = {}
    pause = Event()
    with Progress(console=ERR, transient=True) as progress:
        bar = progress.add_task("replay (Ctrl-C leaves the jobs in the queue)", total=len(job_ids))
        while len(ended) < len(job_ids):
            ended = views.ended(db, job_ids)
            progress.update(bar, completed=len(ended))
            if len(ended) < len(job_ids):
                pause.wait(POLL_S)
    for job_id, (state, text) in sorted(ended.items()):
        (ERR if as_json else OUT).print(f"job {job_id} {state}: {text}", markup=False, soft_wrap=True)
    return ended
