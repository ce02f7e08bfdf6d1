"""``ichnode show``: the whole history of one job, series or study."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from pydicom import dcmread

from ichnode.app.wire import store_of
from ichnode.cli.context import OUT, AsJson, Exit, NothingFound, clock, options, print_json, queue
from ichnode.cli.figures import told
from ichnode.domain.errors import Retryable
from ichnode.domain.outputs import ObjectKind
from ichnode.domain.states import Closing, DeliveryState
from ichnode.queue import views
from ichnode.report.reading import Reading, read
from ichnode.report.text import as_html, as_text


def show(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="JOB|STUDY|SERIES", help="A job number, or a study or series UID.")],
    as_json: AsJson = False,
    report: Annotated[
        bool, typer.Option("--report", help="Print the structured report that holds as text instead.")
    ] = False,
    html: Annotated[bool, typer.Option("--html", help="With --report: print it as one page of HTML.")] = False,
) -> None:
    """The whole history of one job, study or series: every decision, attempt, object and delivery.

    With --report: what the report says that was sent, read from the stored object; by a job number, that of the job.
    """
    config = options(context).load()
    with queue(config) as db:
        found = [views.history(db, series_id) for series_id in views.series_of(db, what)]
    if not found:
        hint = "`ichnode status` lists the newest; a study is named by its Study Instance UID."
        raise NothingFound(f"The queue knows nothing of {what}.", hint=hint)
    if report or html:
        made = [one for row in found if (one := _report_that_holds(row, what)) is not None]
        study = found[-1]["study_instance_uid"]
        _print_reports(made, store_of(config).resolve, study, as_html if html else as_text)
    elif as_json:
        print_json([row | {"audit": [asdict(entry) for entry in row["audit"]]} for row in found])
    else:
        for row in found:
            _print(row)
    raise typer.Exit(Exit.OK)


def _report_that_holds(row: dict[str, Any], what: str) -> dict[str, Any] | None:
    """The report that the newest job of a series made, or came to again; of the job whose number ``what`` is.

    None where there is none.
    """
    jobs = [job for job in row["jobs"] if job["finished_at"] and (not what.isdecimal() or job["id"] == int(what))]
    jobs.sort(key=lambda job: (job["finished_at"], job["id"]), reverse=True)
    return next((report for job in jobs if (report := _report_of(job, row["outputs"])) is not None), None)


def _report_of(job: dict[str, Any], outputs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The report that the figures of a job name, which an earlier one may have made; without figures, its own."""
    named = job["figures"]["report_uid"] if job["figures"] else None
    reports = [out for out in outputs if out["kind"] == ObjectKind.SR]
    fit = [out for out in reports if (out["sop_instance_uid"] == named if named else out["job_id"] == job["id"])]
    return min(fit, key=lambda out: out["sop_class_uid"], default=None)


def _print_reports(
    made: Sequence[dict[str, Any]], resolve: Callable[[str], Path], study: str, form: Callable[[Reading], str]
) -> None:
    """Those that are kept. Raises NothingFound where there is none, Retryable where its file is not on the disk."""
    kept = [resolve(report["path"]) for report in made if report["purged_at"] is None]
    there = [path for path in kept if path.exists()]
    if not there and made:
        again = f"The PACS has what was delivered. To make it anew: `ichnode replay {study} --from-pacs NAME`."
        if not kept:
            day = clock(max(report["purged_at"] for report in made))
            raise NothingFound(f"The report is no longer kept here: retention deleted it on {day}.", hint=again)
        raise Retryable(f"The report should be in {kept[0]}: No such file or directory.", hint=again)
    if not there:
        raise NothingFound("There is no report yet.", hint=f"`ichnode show {study}` tells how far it is.")
    for path in there:
        typer.echo(form(read(dcmread(path))))


def _delivery(row: dict[str, Any]) -> str:
    """Where an object stands at one destination; while it waits, why and until when."""
    text = f"{row['destination']} {row['state']}"
    if row["state"] == DeliveryState.PENDING and row["attempts"]:
        text += f" ({row['reason']}; next try {clock(row['next_at'])})"
    elif row["closing"] != Closing.NOTHING:
        why = f"{row['reason']}; " if row["reason"] else ""
        done = "committed" if row["closing"] == Closing.COMMIT else "confirmed"
        text += f" ({why}to be {done}, next asked {clock(row['ask_at'])})"
    return text


def _print(row: dict[str, Any]) -> None:
    OUT.print(
        f"series {row['id']}, revision {row['revision']}: {row['instances']} images, {row['state']}", style="bold"
    )
    lines = [f"  study  {row['study_instance_uid']}", f"  series {row['series_instance_uid']}"]
    if row["decision_text"]:
        lines.append(f"  {row['decision']}: {row['decision_text']}")
    lines += [f"  HELD: {reason}" for reason in row["held"]]
    for job in row["jobs"]:
        reason = f": {job['reason']}" if job["reason"] else ""
        lines.append(f"  job {job['id']} ({job['kind']}) {job['state']}{reason}")
        lines += [f"    {line}" for line in told(job["figures"])] if job["figures"] else []
    for out in row["outputs"]:
        sent = [_delivery(d) for d in row["deliveries"] if d["output_id"] == out["id"]]
        lines.append(f"  {out['kind']} {out['number']}: {', '.join(sent) or 'no destination'}  {out['path']}")
    for line in lines:
        OUT.print(line, markup=False, soft_wrap=True)
    OUT.print("  history", style="bold")
    for entry in row["audit"]:
        move = f"{entry.old} -> {entry.new}" if entry.old else entry.new
        text = f"    {clock(entry.at)}  {entry.entity} {entry.entity_id}: {move}  {entry.text}"
        OUT.print(text, markup=False, soft_wrap=True, style="bold red" if entry.alarm else None)
