"""The deliverer: one thread a destination, so that one dead PACS never delays another."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from threading import Event, Thread
from typing import Final

from ichnode.deliver.association import Unreachable
from ichnode.deliver.backoff import Backoff
from ichnode.deliver.classify import SUCCESS, Outcome
from ichnode.deliver.closing import close_due, settle_closings, what_follows
from ichnode.deliver.destination import OUTAGE_MAX_S, Destination
from ichnode.deliver.dispatch import Dispatch
from ichnode.deliver.identity import is_held
from ichnode.deliver.reports import serve_reports
from ichnode.deliver.send import Answer, send
from ichnode.domain.errors import Retryable
from ichnode.domain.outputs import Peer
from ichnode.queue import outbox
from ichnode.queue.commitments import next_owed_at
from ichnode.queue.database import Database
from ichnode.queue.holds import held
from ichnode.queue.outbox import Due
from ichnode.store.files import sha256_of_file
from ichnode.store.layout import Store
from ichnode.trail import events
from ichnode.trail.trail import OFF, Trail

log = logging.getLogger(__name__)

ERROR_PAUSE_S: Final = 30.0  # after an error of our own (disk, database)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: ``tried`` objects; no other may be tried at this destination before ``not_before`` (epoch s)."""

    tried: int
    not_before: float


class Deliverer:
    """The threads that empty the outbox, and those that report to peers who asked us for storage commitment.
    ``stop`` lets each finish the object in its hands.

    A process killed at any point sends the object in its hands again, with the same UIDs.
    """

    def __init__(
        self,
        db: Database,
        destinations: Sequence[Destination],
        outputs: Path,
        *,
        reported_to: Sequence[Peer] = (),
        poll_s: float = 2.0,
        clock: Callable[[], float] = time.time,
        rng: Random | None = None,
        trail: Trail = OFF,
    ) -> None:
        self._stop = Event()
        rng = rng or Random()
        self._threads = [
            # A daemon: should a peer hang on after stop's limit, the process may end all the same.
            Thread(
                target=_serve,
                args=(db, destination, outputs, poll_s, clock, rng, self._stop, trail),
                name=f"deliver-{destination.name}",
                daemon=True,
            )
            for destination in destinations
        ] + [
            Thread(
                target=serve_reports,
                args=(db, peer, Store(root=outputs), poll_s, clock, rng, self._stop),
                name=f"report-{peer.name}",
                daemon=True,
            )
            for peer in reported_to
        ]

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, limit_s: float) -> bool:
        """Asks the threads to end and waits for ``limit_s`` at most. True when all have ended."""
        self._stop.set()
        until = time.monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def alive(self) -> bool:
        """Whether every thread runs: none ends by itself."""
        return all(thread.is_alive() for thread in self._threads)


def deliver_due(
    db: Database,
    destination: Destination,
    outputs: Path,
    *,
    clock: Callable[[], float],
    rng: Random,
    stop: Event,
    trail: Trail = OFF,
) -> Round:
    """Sends what is due of one study, records each result right after its answer, and stops at the first failure.

    Raises Retryable when the outputs folder itself is not there.
    """
    if not outputs.is_dir():
        raise Retryable(f"The outputs folder {outputs} is not there.")
    due = outbox.due(db, destination.name, now=clock())
    sound: dict[Path, Due] = {}
    for item in due:
        fault = _fault(outputs / item.output.path, item)
        if fault is None:
            sound[outputs / item.output.path] = item
        else:
            _record(db, destination, item, fault, clock(), rng)
            if fault.outcome == Outcome.DEAD:
                trail.write(events.altered, item.study_instance_uid, item.output.sop_instance_uid)
    study = due[0].study_instance_uid if due else ""
    waits = _identity_awaited(db, destination, sound, clock(), rng) if sound else None
    if waits is not None:
        return Round(tried=len(due), not_before=waits)
    dispatch = Dispatch(trail, destination.peer, list(sound.values()))
    answers = send(
        list(sound), destination.peer, timeouts=destination.timeouts, transfer_syntaxes=destination.transfer_syntaxes
    )
    not_before = 0.0
    with closing(answers):
        for answer in answers:
            not_before = _record(db, destination, sound[answer.path], answer, clock(), rng)
            dispatch.answered(sound[answer.path], answer.outcome)
            if answer.outcome in (Outcome.AGAIN, Outcome.UNREACHABLE) or stop.is_set() or held(db, study):
                break
    dispatch.ended()
    return Round(tried=len(due), not_before=not_before)


def _identity_awaited(
    db: Database, destination: Destination, sound: Mapping[Path, Due], now: float, rng: Random
) -> float | None:
    """None when results may go out under the identity that they bear. Else they are held (0: others may go), or it
    cannot be asked whose they are: where nobody answers nothing goes to the destination before then, else they alone
    wait."""
    if destination.identity_at is None:
        return None
    items = list(sound.values())
    try:
        if not is_held(db, items[0].study_instance_uid, sound, destination.identity_at, destination.timeouts, now):
            return None
    except Retryable as error:
        next_at = now + _backoff(destination.backoff, outage=True).delay_s(items[0].attempts, rng)
        for item in items:
            reason = f"whose study it is cannot be asked: {error}"
            outbox.again(db, item.delivery_id, reason=reason, next_at=next_at, now=now)
        log.warning("identity cannot be asked: %s", error, extra={"destination": destination.name, "action": "again"})
        # Only where nobody answers do all the others wait too.
        return next_at if isinstance(error, Unreachable) else 0.0
    log.error("held: whose they are is in doubt", extra={"job": items[0].job_id, "action": "held"})
    return 0.0


def _serve(
    db: Database,
    destination: Destination,
    outputs: Path,
    poll_s: float,
    clock: Callable[[], float],
    rng: Random,
    stop: Event,
    trail: Trail,
) -> None:
    settled = False
    while not stop.is_set():
        try:
            if not settled:
                settle_closings(db, destination, now=clock())
                settled = True
            turn = deliver_due(db, destination, outputs, clock=clock, rng=rng, stop=stop, trail=trail)
            # A study a round, between two deliveries: a long backlog of either does not starve the other.
            ends = turn.not_before or stop.is_set()
            asked = 0 if ends else close_due(db, destination, clock=clock, rng=rng, stop=stop)
            wait_s = _wait_s(db, destination, turn, asked, poll_s, clock())
        except Exception:
            # What was in hand is still pending, and goes again with the same UIDs.
            log.exception("delivery loop", extra={"destination": destination.name, "action": "error"})
            wait_s = ERROR_PAUSE_S
        if wait_s > 0:
            stop.wait(wait_s)


def _wait_s(db: Database, destination: Destination, turn: Round, asked: int, poll_s: float, now: float) -> float:
    """No wait after a round that did something; else until something is due, at most ``poll_s``: other processes put
    it there."""
    if turn.not_before:
        return turn.not_before - now
    if turn.tried or asked:
        return 0.0
    next_at = [outbox.next_due_at(db, destination.name), next_owed_at(db, destination.name)]
    return min([poll_s, *(max(at - now, 0.05) for at in next_at if at is not None)])


def _fault(path: Path, item: Due) -> Answer | None:
    """Why the file must not go out: it is not what was checked and recorded. None when it is."""
    outcome = Outcome.DEAD
    try:
        if sha256_of_file(path) == item.output.sha256:
            return None
        reason = "the file is not the one that was checked: its digest differs"
    except FileNotFoundError:
        reason = "the file is gone"
    except OSError as error:
        outcome, reason = Outcome.AGAIN, f"the file cannot be read: {error.strerror}"
    return Answer(path=path, sop_instance_uid=item.output.sop_instance_uid, outcome=outcome, reason=reason)


def _record(db: Database, destination: Destination, item: Due, answer: Answer, now: float, rng: Random) -> float:
    """Writes one result to the outbox; returns before when the whole destination must not be tried (0: no matter)."""
    match answer.outcome:
        case Outcome.SENT:
            closing = what_follows(db, destination, now=now)
            outbox.sent(db, item.delivery_id, status=answer.status or SUCCESS, now=now, closing=closing, ask_at=now)
            _log(logging.INFO, destination, item, answer.outcome, answer.reason)
            return 0.0
        case Outcome.DEAD:
            outbox.dead(db, item.delivery_id, reason=answer.reason, now=now, status=answer.status)
            _log(logging.ERROR, destination, item, answer.outcome, answer.reason)
            return 0.0
    outage = answer.outcome == Outcome.UNREACHABLE
    next_at = now + _backoff(destination.backoff, outage).delay_s(item.attempts, rng)
    outbox.again(db, item.delivery_id, reason=answer.reason, next_at=next_at, now=now, status=answer.status)
    _log(logging.WARNING, destination, item, answer.outcome, answer.reason)
    # An object that is refused, or whose sending breaks the association, waits alone: others may fare better.
    return next_at if outage else 0.0


def _backoff(backoff: Backoff, outage: bool) -> Backoff:
    if not outage:
        return backoff
    max_s = min(backoff.max_s, OUTAGE_MAX_S)
    return replace(backoff, first_s=min(backoff.first_s, max_s), max_s=max_s)


def _log(level: int, destination: Destination, item: Due, outcome: Outcome, reason: str) -> None:
    extra = {
        "job": item.job_id,
        "delivery": item.delivery_id,
        "destination": destination.name,
        "action": outcome.value,
        "reason": reason,
    }
    log.log(level, "%s %s to %s: %s", item.output.kind, outcome.value, destination.name, reason, extra=extra)
