"""``ichnode status``: the queue at a glance."""

from dataclasses import asdict

import typer
from rich.table import Table

from ichnode.cli.context import OUT, AsJson, Exit, ago, options, print_json, queue
from ichnode.domain.states import DeliveryState, JobState
from ichnode.queue import views


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """The queue at a glance: what waits, what failed, what was not delivered. Exit code 1 when something alarms."""
    config = options(context).load()
    with queue(config) as db:
        now = views.status(db)
    alarms = now.quarantined or now.dead or now.failed
    if as_json:
        print_json(asdict(now) | {"alarm": bool(alarms)})
    else:
        _print(now)
    raise typer.Exit(Exit.NO if alarms else Exit.OK)


def _print(now: views.Status) -> None:
    waiting = sum(now.jobs.get(state, 0) for state in (JobState.QUEUED, JobState.RUNNING))
    OUT.print(f"{now.instances} images kept, {now.series.get('receiving', 0)} series still arriving, {waiting} jobs wait", end="")
    OUT.print(f" (oldest: {ago(now.oldest_waiting_at)})" if now.oldest_waiting_at else "")
    for name, states in now.deliveries.items():
        parts = [f"{states.get(state, 0)} {word}" for state, word in _DELIVERY_WORDS.items()]
        OUT.print(f"to {name}: " + ", ".join(parts))
    for text in _alarms(now):
        OUT.print(f"ALARM  {text}", style="bold red", markup=False)
    table = Table("series", "rev", "first slice", "state", "decision", "job", "result or reason", box=None)
    for row in now.recent:
        job = row["jobs"][-1] if row["jobs"] else None
        text = job["reason"] if job and job["reason"] else row["decision_text"] or row["settled_text"]
        cells = [row["id"], row["revision"], ago(row["first_at"]), row["state"], row["decision"]]
        job_text = f"{job['id']} {job['state']}" if job else ""
        table.add_row(*[str(cell) for cell in cells], job_text, text, style=None)
    if now.recent:
        OUT.print(table, markup=False)


def _alarms(now: views.Status) -> list[str]:
    texts = [f"job {job['id']} failed: {job['reason']}" for job in now.failed]
    texts += [f"{d['kind']} of job {d['job_id']} is dead at {d['destination']}: {d['reason']}" for d in now.dead]
    return texts + [f"in quarantine, {ago(q['at'])}: {q['reason']} ({q['path']})" for q in now.quarantined]


_DELIVERY_WORDS = {
    DeliveryState.PENDING: "to go",
    DeliveryState.SENT: "delivered",
    DeliveryState.DEAD: "refused for good",
}
