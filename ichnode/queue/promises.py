"""Storage commitment that others ask of us: written down before it is answered, due until the report is delivered."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from ichnode.domain.commitment import Named, Report, Request
from ichnode.domain.states import PromiseState
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database, inserted_id
from ichnode.queue.tables import AUDIT, INSTANCES, PROMISE_ITEMS, PROMISES, QUARANTINE
from ichnode.queue.untold import LONGEST_S, is_void, move

PAGE: Final = 500  # of UIDs in one query
KEPT_S: Final = 7 * 86400.0  # a request is remembered for so long after its report was delivered, or given up


class Promised(StrEnum):
    """What became of a request."""

    NEW = "new"
    AGAIN = "again"  # the same request once more: it is reported once more
    CONFLICT = "conflict"  # the transaction UID stands for other objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One request that is to be reported to ``calling_ae``. ``attempts`` counts those before this one."""

    id: int
    request: Request
    calling_ae: str
    asked_at: float
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the node has of an object; without a path only in ``quarantined``, where bytes of this UID lie."""

    sop_class_uid: str
    path: str
    purged: bool
    quarantined: bool


def held(db: Database, sop_instance_uids: Sequence[str]) -> dict[str, Held]:
    """What the node has of objects, by their SOP instance UIDs; those that it never had are left out."""
    found: dict[str, Held] = {}
    with db.read() as connection:
        for start in range(0, len(sop_instance_uids), PAGE):
            page = sop_instance_uids[start : start + PAGE]
            query = select(QUARANTINE.c.sop_instance_uid).where(QUARANTINE.c.sop_instance_uid.in_(page))
            odd = set(connection.execute(query.where(QUARANTINE.c.purged_at.is_(None))).scalars())
            found |= {uid: Held(sop_class_uid="", path="", purged=False, quarantined=True) for uid in odd}
            for row in connection.execute(select(INSTANCES).where(INSTANCES.c.sop_instance_uid.in_(page))):
                found[row.sop_instance_uid] = Held(
                    sop_class_uid=row.sop_class_uid,
                    path=row.path,
                    purged=row.purged_at is not None,
                    quarantined=row.sop_instance_uid in odd,
                )
    return found


def promise(db: Database, request: Request, *, calling_ae: str, address: str, now: float) -> Promised:
    """Writes a request down. When this returns it survives a power cut."""
    with db.write() as connection:
        row = _known(connection, request.transaction_uid, calling_ae)
        if row is not None:
            if set(_objects(connection, row.id)) != set(request.objects):
                return Promised.CONFLICT
            _ask_again(connection, row, now)
            return Promised.AGAIN
        values = {"transaction_uid": request.transaction_uid, "calling_ae": calling_ae, "address": address}
        values |= {"state": PromiseState.DUE}
        promise_id = inserted_id(connection, insert(PROMISES).values(values | {"asked_at": now, "next_at": now}))
        for each in request.objects:
            item = {"sop_class_uid": each.sop_class_uid, "sop_instance_uid": each.sop_instance_uid}
            connection.execute(insert(PROMISE_ITEMS).values(item | {"promise_id": promise_id}))
        text = f"{calling_ae} asks for {len(request.objects)} objects"
        note(connection, Entity.PROMISE, promise_id, now=now, new=PromiseState.DUE, text=text)
    return Promised.NEW


def due_promise(db: Database, calling_ae: str, *, now: float) -> Promise | None:
    """The request of a peer whose report has waited longest and should go now."""
    query = select(PROMISES).where(*_due(calling_ae, now), PROMISES.c.next_at <= now)
    with db.read() as connection:
        row = connection.execute(query.order_by(PROMISES.c.next_at, PROMISES.c.id).limit(1)).first()
        return None if row is None else _promise(connection, row)


def promise_of(db: Database, transaction_uid: str, calling_ae: str) -> Promise | None:
    """The request of this transaction, whatever its state."""
    with db.read() as connection:
        row = _known(connection, transaction_uid, calling_ae)
        return None if row is None else _promise(connection, row)


def next_report_at(db: Database, calling_ae: str, *, now: float) -> float | None:
    """When a report is due to a peer next; None when none is."""
    query = select(PROMISES.c.next_at).where(*_due(calling_ae, now)).order_by(PROMISES.c.next_at).limit(1)
    with db.read() as connection:
        return connection.execute(query).scalar()


def reported(db: Database, promise_id: int, report: Report, *, now: float) -> None:
    """The peer has taken the report."""
    with db.write() as connection:
        row = connection.execute(select(PROMISES).where(PROMISES.c.id == promise_id)).one()
        if row.state == PromiseState.REPORTED:
            return  # over two associations at once
        for named, reason in [*((named, None) for named in report.committed), *report.failed]:
            where = PROMISE_ITEMS.c.promise_id == promise_id, PROMISE_ITEMS.c.sop_instance_uid == named.sop_instance_uid
            connection.execute(update(PROMISE_ITEMS).where(*where).values(failure_reason=reason))
        text = f"{len(report.committed)} committed, {len(report.failed)} failed"
        move(connection, row, PromiseState.REPORTED, text, now, {"reported_at": now, "reason": ""})


def not_reported(db: Database, promise_id: int, *, reason: str, next_at: float) -> None:
    """The report could not be delivered: again at ``next_at``."""
    with db.write() as connection:
        values = {"attempts": PROMISES.c.attempts + 1, "next_at": next_at, "reason": reason}
        due = PROMISES.c.id == promise_id, PROMISES.c.state == PromiseState.DUE
        connection.execute(update(PROMISES).where(*due).values(values))


def forget_old(db: Database, *, now: float) -> int:
    """Deletes requests, with their history, whose report was delivered or given up ``KEPT_S`` ago. Returns how many."""
    told = (PROMISES.c.state == PromiseState.REPORTED) & (PROMISES.c.reported_at < now - KEPT_S)
    given_up = is_void() & (PROMISES.c.asked_at < now - LONGEST_S - KEPT_S)
    forgotten = 0
    with db.read() as connection:
        ids = list(connection.execute(select(PROMISES.c.id).where(told | given_up)).scalars())
    for promise_id in ids:  # a transaction each: one may name thousands of objects, and others want to write
        with db.write() as connection:
            old = select(PROMISES.c.id).where(PROMISES.c.id == promise_id, told | given_up)  # asked again meanwhile?
            if connection.execute(old).first() is None:
                continue
            connection.execute(delete(PROMISE_ITEMS).where(PROMISE_ITEMS.c.promise_id == promise_id))
            connection.execute(delete(PROMISES).where(PROMISES.c.id == promise_id))
            history = AUDIT.c.entity == Entity.PROMISE, AUDIT.c.entity_id == promise_id
            connection.execute(delete(AUDIT).where(*history))
            forgotten += 1
    return forgotten


def _due(calling_ae: str, now: float) -> tuple[Any, ...]:
    mine = PROMISES.c.calling_ae == calling_ae, PROMISES.c.state == PromiseState.DUE
    return *mine, PROMISES.c.asked_at > now - LONGEST_S


def _known(connection: Connection, transaction_uid: str, calling_ae: str) -> Row[Any] | None:
    where = PROMISES.c.transaction_uid == transaction_uid, PROMISES.c.calling_ae == calling_ae
    return connection.execute(select(PROMISES).where(*where)).first()


def _ask_again(connection: Connection, row: Row[Any], now: float) -> None:
    times = {"asked_at": now, "next_at": now}
    if row.state != PromiseState.DUE:
        move(connection, row, PromiseState.DUE, "asked once more", now, {**times, "attempts": 0, "reason": ""})
        return
    # Its attempts and its wait count on: what cannot be delivered stays an alarm, and has an end, however often it is
    # asked for. Too old already (the node was off) it is tried from now.
    if row.asked_at > now - LONGEST_S:
        times["asked_at"] = min(row.asked_at, now)
    connection.execute(update(PROMISES).where(PROMISES.c.id == row.id).values(times))


def _objects(connection: Connection, promise_id: int) -> tuple[Named, ...]:
    columns = PROMISE_ITEMS.c.sop_class_uid, PROMISE_ITEMS.c.sop_instance_uid
    query = select(*columns).where(PROMISE_ITEMS.c.promise_id == promise_id).order_by(PROMISE_ITEMS.c.id)
    return tuple(Named(sop_class_uid=c, sop_instance_uid=i) for c, i in connection.execute(query))


def _promise(connection: Connection, row: Row[Any]) -> Promise:
    request = Request(transaction_uid=row.transaction_uid, objects=_objects(connection, row.id))
    return Promise(id=row.id, request=request, calling_ae=row.calling_ae, asked_at=row.asked_at, attempts=row.attempts)
