"""``ichnode status``: the queue at a glance."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Final

import typer
from rich.table import Table

from ichnode.cli.alarms import acknowledgeable, alarms, read_status, running, warnings
from ichnode.cli.context import OUT, AsJson, Exit, ago, clock, options, print_json, queue
from ichnode.domain.states import Closing, DeliveryState, JobState, SeriesState
from ichnode.queue import views


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """The queue at a glance: what waits, what failed, what was not delivered. Exit code 1 when something alarms."""
    config = options(context).load()
    with queue(config) as db:
        now = read_status(db)
    found, soon = alarms(now, config), warnings(now, config)
    if as_json:
        print_json(asdict(now) | {"services": running(config), "alarm": bool(found), "alarms": found, "warnings": soon})
    else:
        _print(now, found, soon)
    raise typer.Exit(Exit.NO if found else Exit.OK)


def _print(now: views.Status, found: list[str], soon: list[str]) -> None:
    waiting = sum(now.jobs.get(state, 0) for state in (JobState.QUEUED, JobState.RUNNING))
    oldest = f" (the oldest from {ago(now.oldest_waiting_at)})" if now.oldest_waiting_at else ""
    arriving = now.series.get(SeriesState.RECEIVING, 0)
    jobs = "1 job waits or runs" if waiting == 1 else f"{waiting} jobs wait or run"
    OUT.print(f"{now.instances} images kept, {arriving} series still arriving, {jobs}{oldest}")
    for name in now.deliveries:
        for line in _destination(now, name):
            OUT.print(line, markup=False, soft_wrap=True)
    _print_alarms(now, found, soon)
    table = Table("job", "state", "first slice", "rev", "result or reason", box=None)
    for row in now.recent:
        job = row["jobs"][-1] if row["jobs"] else None
        text = job["reason"] if job and job["reason"] else row["decision_text"] or row["settled_text"]
        state = job["state"] if job else _SERIES_WORDS.get(row["state"], row["state"])
        table.add_row(str(job["id"]) if job else "-", state, ago(row["first_at"]), str(row["revision"]), text)
    if now.recent:
        OUT.print(table, markup=False)


def _destination(now: views.Status, name: str) -> Iterator[str]:
    """How far a destination is; why something waits for it, if it was tried in vain."""
    states, known, waits = now.deliveries[name], now.abilities.get(name), now.undelivered.get(name)
    always = {DeliveryState.PENDING, DeliveryState.SENT, DeliveryState.DEAD}
    if any(states.get(later) for later in _LATER):  # "0 delivered" would startle where all is committed
        always.discard(DeliveryState.SENT)
    parts = [f"{states.get(s, 0)} {word}" for s, word in _DELIVERY_WORDS.items() if s in always or states.get(s)]
    parts += [f"{count} to be {_AWAITED_WORDS[what]}" for what, count in now.awaited.get(name, {}).items()]
    yield f"to {name}: " + ", ".join(parts)
    if waits is not None:
        tries = "1 try" if waits["attempts"] == 1 else f"{waits['attempts']} tries"
        again = f"next {clock(waits['next_at'])}" if waits["next_at"] > time.time() else "the next is due"
        yield f"  waits since {clock(waits['since'])}: {waits['reason']} ({tries}, {again})"
    if known is not None and not known["commits"]:
        yield f"  no storage commitment, {ago(known['at'])}: {known['reason']}"


def _print_alarms(now: views.Status, found: list[str], soon: list[str]) -> None:
    for text in found[:MOST_ALARMS]:
        OUT.print(f"ALARM  {text}", style="bold red", markup=False, soft_wrap=True)
    if len(found) > MOST_ALARMS:
        OUT.print(f"ALARM  and {len(found) - MOST_ALARMS} more: --json lists them all", style="bold red")
    kinds = " ".join(acknowledgeable(now))
    if kinds:
        OUT.print(f"       seen to: ichnode acknowledge {kinds}", markup=False, soft_wrap=True)
    for text in soon:
        OUT.print(f"warn   {text}", style="yellow", markup=False, soft_wrap=True)
    for seen in now.acknowledged:
        OUT.print(f"acknowledged  {ago(seen.at)}: {seen.kind}, {seen.text}", markup=False, soft_wrap=True)


MOST_ALARMS: Final = 10
_SERIES_WORDS: Final[Mapping[str, str]] = {
    SeriesState.RECEIVING: "arriving",
    SeriesState.SETTLED: "complete",  # and waits for the other series of its study
}
_AWAITED_WORDS: Final[Mapping[str, str]] = {Closing.COMMIT: "committed", Closing.CONFIRM: "confirmed"}
_LATER: Final = (DeliveryState.COMMITTED, DeliveryState.CONFIRMED, DeliveryState.UNCOMMITTED, DeliveryState.DEAD)
_DELIVERY_WORDS: Final = {
    DeliveryState.PENDING: "to go",
    DeliveryState.SENT: "delivered",
    DeliveryState.COMMITTED: "committed",
    DeliveryState.CONFIRMED: "confirmed",
    DeliveryState.UNCOMMITTED: "not committed",
    DeliveryState.DEAD: "refused for good",
}
