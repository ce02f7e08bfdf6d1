"""Reports on storage commitment that a peer could not be given for a week: no longer tried, but not forgotten."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, or_, select, update

from ichnode.domain.states import PromiseState, check_move
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database
from ichnode.queue.tables import INSTANCES, PROMISE_ITEMS, PROMISES

LONGEST_S: Final = 7 * 86400.0  # a report that could not be delivered for so long is tried no more
MOST_SHOWN: Final = 50  # a peer that asks and never listens shall not bury the other alarms
NOWHERE: Final = "no [[modality]], [[destination]] or [[pacs]] says where to report"


def give_up(db: Database, *, now: float) -> int:
    """Ends the reports that were asked for longer ago than ``LONGEST_S``, whoever they are for. Returns how many."""
    late = PROMISES.c.state == PromiseState.DUE, PROMISES.c.asked_at <= now - LONGEST_S
    with db.read() as connection:  # most often there is none: no write lock for that
        if connection.execute(select(PROMISES.c.id).where(*late)).first() is None:
            return 0
    with db.write() as connection:
        rows = connection.execute(select(PROMISES.c.id, PROMISES.c.reason).where(*late)).all()
        for promise_id, reason in rows:
            text = reason or NOWHERE
            _move(connection, promise_id, PromiseState.DUE, PromiseState.GIVEN_UP, text, now, {"reason": text})
    return len(rows)


def try_again(db: Database, titles: Sequence[str], *, now: float) -> int:
    """Makes the reports due again that were given up for peers with these AE titles. Returns how many.

    The attempts count on, so that each is an alarm until it is delivered.
    """
    query = select(PROMISES.c.id).where(PROMISES.c.state == PromiseState.GIVEN_UP, PROMISES.c.calling_ae.in_(titles))
    with db.write() as connection:
        found = list(connection.execute(query).scalars())
        for promise_id in found:
            values = {"asked_at": now, "next_at": now}
            _move(connection, promise_id, PromiseState.GIVEN_UP, PromiseState.DUE, "tried again", now, values)
    return len(found)


def untold() -> Select[tuple[int]]:
    """The newest of what is not reported for want of a connection, tried still or given up: ids of the requests."""
    waits = (PROMISES.c.state == PromiseState.DUE) & (PROMISES.c.reason != "")
    query = select(PROMISES.c.id).where(or_(waits, PROMISES.c.state == PromiseState.GIVEN_UP))
    return query.order_by(PROMISES.c.id.desc()).limit(MOST_SHOWN)


def is_void() -> ColumnElement[bool]:
    """That a request was given up, and nothing that it names is kept here: nobody needs its report any more."""
    item = PROMISE_ITEMS.c
    kept = select(item.id).join(INSTANCES, INSTANCES.c.sop_instance_uid == item.sop_instance_uid)
    kept = kept.where(item.promise_id == PROMISES.c.id, INSTANCES.c.purged_at.is_(None))
    return (PROMISES.c.state == PromiseState.GIVEN_UP) & ~kept.exists()


def _move(
    connection: Connection,
    promise_id: int,
    old: PromiseState,
    new: PromiseState,
    text: str,
    now: float,
    values: Mapping[str, object],
) -> None:
    check_move(old, new)
    connection.execute(update(PROMISES).where(PROMISES.c.id == promise_id).values({**values, "state": new}))
    note(connection, Entity.PROMISE, promise_id, now=now, old=old, new=new, text=text)
