"""Reports on storage commitment that a peer could not be given for a week: no longer tried, but not forgotten."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, or_, select, update

from ichnode.domain.states import PromiseState, check_move
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database
from ichnode.queue.tables import INSTANCES, PROMISE_ITEMS, PROMISES

LONGEST_S: Final = 7 * 86400.0  # a report that could not be delivered for so long is tried no more
UNTRIED: Final = "never tried: no [[modality]], [[destination]] or [[pacs]] says where to report, or no deliverer ran"


def give_up(db: Database, *, now: float) -> int:
    """Ends the reports that were asked for longer ago than ``LONGEST_S``, whoever they are for. Returns how many."""
    late = PROMISES.c.state == PromiseState.DUE, PROMISES.c.asked_at <= now - LONGEST_S
    with db.read() as connection:  # most often there is none: no write lock for that
        if connection.execute(select(PROMISES.c.id).where(*late)).first() is None:
            return 0
    with db.write() as connection:
        rows = connection.execute(select(PROMISES).where(*late)).all()
        for row in rows:
            text = row.reason or UNTRIED
            move(connection, row, PromiseState.GIVEN_UP, text, now, {"reason": text})
    return len(rows)


def try_again(db: Database, titles: Sequence[str], *, now: float) -> int:
    """Makes the reports due again that were given up for peers with these AE titles. Returns how many.

    The attempts count on, so that each is an alarm until it is delivered; one that was never tried is not yet any.
    """
    query = select(PROMISES).where(PROMISES.c.state == PromiseState.GIVEN_UP, PROMISES.c.calling_ae.in_(titles))
    with db.write() as connection:
        rows = connection.execute(query).all()
        for row in rows:
            values = {"asked_at": now, "next_at": now, "reason": row.reason if row.attempts else ""}
            move(connection, row, PromiseState.DUE, "tried again", now, values)
    return len(rows)


def untold() -> Select[Any]:
    """What is not reported for want of a connection, tried still or given up: a row a peer, so that none that asks and
    never listens buries another.

    ``count`` requests, ``given_up`` of them no longer tried, the first asked for at ``asked_at`` (or tried again after
    it was given up), with the most ``attempts`` of one and the ``reason`` of the newest.
    """
    given_up = PROMISES.c.state == PromiseState.GIVEN_UP
    waits = (PROMISES.c.state == PromiseState.DUE) & (PROMISES.c.reason != "")
    peers = (
        select(
            PROMISES.c.calling_ae,
            func.count().label("count"),
            func.count(case((given_up, 1))).label("given_up"),
            func.min(PROMISES.c.asked_at).label("asked_at"),
            func.max(PROMISES.c.attempts).label("attempts"),
            func.max(PROMISES.c.id).label("newest"),
        )
        .where(or_(waits, given_up))
        .group_by(PROMISES.c.calling_ae)
        .subquery()
    )
    shown = [column for column in peers.c if column.name != "newest"]
    query = select(*shown, PROMISES.c.reason).join(PROMISES, PROMISES.c.id == peers.c.newest)
    return query.order_by(peers.c.newest)


def is_void() -> ColumnElement[bool]:
    """That a request was given up, and nothing that it names is kept here: nobody needs its report any more."""
    item = PROMISE_ITEMS.c
    kept = select(item.id).join(INSTANCES, INSTANCES.c.sop_instance_uid == item.sop_instance_uid)
    kept = kept.where(item.promise_id == PROMISES.c.id, INSTANCES.c.purged_at.is_(None))
    return (PROMISES.c.state == PromiseState.GIVEN_UP) & ~kept.exists()


def move(
    connection: Connection, row: Row[Any], new: PromiseState, text: str, now: float, values: Mapping[str, object]
) -> None:
    """Moves a request (a row of it) within a transaction, with its audit row."""
    check_move(PromiseState(row.state), new)
    connection.execute(update(PROMISES).where(PROMISES.c.id == row.id).values({**values, "state": new}))
    note(connection, Entity.PROMISE, row.id, now=now, old=row.state, new=new, text=text)
