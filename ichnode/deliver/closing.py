"""What follows after an object was sent: the destination is asked to commit to it, or is looked through for it."""

import logging
import uuid
from collections.abc import Callable
from functools import partial
from itertools import groupby
from random import Random
from threading import Event
from typing import Final

from ichnode.commitment import answer_report
from ichnode.deliver.association import Unreachable
from ichnode.deliver.commitment import Answered, Asked, Hooks, ask
from ichnode.deliver.confirm import listed
from ichnode.deliver.destination import OUTAGE_MAX_S, Destination
from ichnode.domain.commitment import Commitment, Request
from ichnode.domain.errors import Retryable
from ichnode.domain.states import Closing
from ichnode.queue import commitments
from ichnode.queue.abilities import Ability, ability, learn
from ichnode.queue.commitments import MOST_ASKS, Owed, owed
from ichnode.queue.confirmations import confirmed, not_found
from ichnode.queue.database import Database

log = logging.getLogger(__name__)

STAY_S: Final = 2.0  # on the line for the report; the next study of this destination waits as long
LONGEST_WAIT_S: Final = 86400.0
FIND_AGAIN_S: Final = (60.0, 900.0, 3600.0, 21600.0)  # by how often it was looked for in vain


def what_follows(db: Database, destination: Destination, *, now: float) -> Closing:
    """What an object is owed that this destination takes now."""
    instead = Closing.CONFIRM if destination.confirm_at is not None else Closing.NOTHING
    if destination.commitment == Commitment.NO:
        return instead
    known = ability(db, destination.name, destination.place)
    offers = destination.commitment == Commitment.ASK or known is None or known.commits or not known.holds(now)
    return Closing.COMMIT if offers else instead


def settle_closings(db: Database, destination: Destination, *, now: float) -> None:
    """At the start: what the configuration asks for no more is waived of what was sent before."""
    instead = Closing.CONFIRM if destination.confirm_at is not None else Closing.NOTHING
    if destination.commitment == Commitment.NO:
        _waive(db, destination, Closing.COMMIT, instead, "storage commitment is configured off", now)
    if instead == Closing.NOTHING:
        _waive(db, destination, Closing.CONFIRM, Closing.NOTHING, "confirmation is configured off", now)


def close_due(db: Database, destination: Destination, *, clock: Callable[[], float], rng: Random, stop: Event) -> int:
    """Asks the destination for what is due of one study. Returns of how many objects."""
    objects = owed(db, destination.name, Closing.COMMIT, now=clock())
    if objects and _is_silent(db, destination, objects):
        reason = f"it took {MOST_ASKS} requests and reported none: does it know our address?"
        _no_commitment(db, destination, reason, clock())
    commitments.overdue(db, destination.name, now=clock())
    objects = owed(db, destination.name, Closing.COMMIT, now=clock())
    if objects:
        _ask(db, destination, objects, clock, rng, stop)
    unseen = owed(db, destination.name, Closing.CONFIRM, now=clock()) if destination.confirm_at is not None else []
    if unseen:
        _look(db, destination, unseen, clock, rng)
    return len(objects) + len(unseen)


def _ask(
    db: Database,
    destination: Destination,
    objects: list[Owed],
    clock: Callable[[], float],
    rng: Random,
    stop: Event,
) -> None:
    request = Request(transaction_uid=f"2.25.{uuid.uuid4().int}", objects=tuple(each.named for each in objects))
    written: list[int] = []

    def write_down() -> None:
        written.append(_write_down(db, destination, objects, request, clock()))

    # The report of a destination over its own association is its own, whatever it calls itself.
    on_report = partial(answer_report, db=db, ae_title=destination.peer.ae_title, clock=clock)
    hooks = Hooks(open=write_down, on_report=on_report, is_reported=lambda: commitments.is_reported(db, written[0]))
    answered = ask(destination.peer, request, hooks, timeouts=destination.timeouts, report_wait_s=STAY_S, stop=stop)
    _record(db, destination, objects, written, answered, clock(), rng)
    level = logging.INFO if answered.outcome == Asked.TAKEN else logging.WARNING
    extra = {"destination": destination.name, "action": "commitment", "reason": answered.reason}
    log.log(level, "commitment of %d objects: %s %s", len(objects), answered.outcome, answered.reason, extra=extra)


def _write_down(db: Database, destination: Destination, objects: list[Owed], request: Request, now: float) -> int:
    """The request's row, right before it goes out: the destination has just accepted the context for it."""
    learn(db, destination.name, destination.place, commits=True, reason="", now=now)
    wait_s = min(destination.commitment_wait_s * 2.0 ** min(objects[0].asks, 8), LONGEST_WAIT_S)
    return commitments.opened(
        db,
        destination.name,
        objects,
        transaction_uid=request.transaction_uid,
        ae_title=destination.peer.ae_title,
        deadline=now + wait_s,
        now=now,
    )


def _record(
    db: Database,
    destination: Destination,
    objects: list[Owed],
    written: list[int],
    answered: Answered,
    now: float,
    rng: Random,
) -> None:
    if answered.outcome == Asked.TAKEN:
        return  # the report speaks, or its absence does
    if answered.outcome == Asked.UNREACHABLE and not written:
        commitments.postpone(db, objects, until=now + rng.uniform(1, OUTAGE_MAX_S))
        return
    # Of a destination that once reported it is no property that it does not now.
    never = destination.commitment == Commitment.AUTO and not _has_reported(db, destination)
    enough = objects[0].asks + 1 >= MOST_ASKS
    if written:
        commitments.refused(db, written[0], reason=answered.reason, now=now, alarm=not never)
    if never and (answered.outcome == Asked.UNSUPPORTED or enough):
        _no_commitment(db, destination, answered.reason, now)
    elif not written:
        commitments.unasked(db, objects, reason=answered.reason, now=now)


def _is_silent(db: Database, destination: Destination, objects: list[Owed]) -> bool:
    """Whether a destination that nobody said commits has never reported anything, and was asked often enough."""
    tried = any(each.asks >= MOST_ASKS for each in objects)
    return tried and destination.commitment == Commitment.AUTO and not _has_reported(db, destination)


def _has_reported(db: Database, destination: Destination) -> bool:
    known: Ability | None = ability(db, destination.name, destination.place)
    return known is not None and known.reports > 0


def _no_commitment(db: Database, destination: Destination, reason: str, now: float) -> None:
    learn(db, destination.name, destination.place, commits=False, reason=reason, now=now)
    instead = Closing.CONFIRM if destination.confirm_at is not None else Closing.NOTHING
    _waive(db, destination, Closing.COMMIT, instead, f"no storage commitment: {reason}", now)


def _waive(db: Database, destination: Destination, closing: Closing, to: Closing, reason: str, now: float) -> None:
    count = commitments.waive(db, destination.name, closing, to, reason=reason, now=now)
    if count:
        extra = {"destination": destination.name, "action": "waive"}
        log.warning("%s: %d objects are not waited for (%s)", destination.name, count, reason, extra=extra)


def _look(db: Database, destination: Destination, objects: list[Owed], clock: Callable[[], float], rng: Random) -> None:
    """Looks for objects of one study at the destination, or where it is configured; a query a series."""
    where = destination.confirm_at
    assert where is not None  # nothing is owed a confirmation elsewhere
    for series, of_series in groupby(
        sorted(objects, key=lambda o: o.series_instance_uid), lambda o: o.series_instance_uid
    ):
        batch = list(of_series)
        reason = f"stored, but {where.name} does not list it"
        there: set[str] = set()
        try:
            there = listed(where, batch[0].study_instance_uid, series, destination.timeouts)
        except Unreachable as error:
            log.warning("%s", error, extra={"destination": destination.name, "action": "confirm"})
            commitments.postpone(db, batch, until=clock() + rng.uniform(1, OUTAGE_MAX_S))
            continue
        except Retryable as error:
            reason = f"stored, but not confirmed: {error}"
        for each in batch:
            if each.named.sop_instance_uid in there:
                confirmed(db, each.delivery_id, where=where.name, now=clock())
            else:
                next_at = clock() + FIND_AGAIN_S[min(each.asks, len(FIND_AGAIN_S) - 1)]
                not_found(db, each.delivery_id, reason=reason, next_at=next_at, now=clock())
