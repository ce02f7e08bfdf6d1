"""Storage commitment that we ask of destinations: what is owed, what was asked, what was reported."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, insert, select, update

from ichnode.domain.commitment import Named, Next, Report, what_follows
from ichnode.domain.states import Closing, DeliveryState, RequestState, check_move
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database, inserted_id
from ichnode.queue.outbox import delivery_row
from ichnode.queue.tables import ABILITIES, COMMITMENT_ITEMS, COMMITMENTS, DELIVERIES, JOBS, OUTPUTS, SERIES

MOST_ASKS: Final = 4  # then it is an alarm; asking goes on
MOST_REFUSALS: Final = 3  # so often "I have it not" of one object: sending it again does not help
RETRY_S: Final = (900.0, 3600.0, 21600.0)  # after a failure that may pass, by how often it was asked
HERE: Final = (DeliveryState.SENT, DeliveryState.UNCOMMITTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One object at a destination of which more is to be known. ``asks`` counts the attempts before this one."""

    delivery_id: int
    job_id: int
    study_instance_uid: str
    series_instance_uid: str
    named: Named
    asks: int


def owed(db: Database, destination: str, closing: Closing, *, now: float) -> list[Owed]:
    """The objects of one study that should be asked for now: of the study that has waited longest."""
    query = (
        select(DELIVERIES, OUTPUTS.c.job_id, OUTPUTS.c.series_instance_uid, SERIES.c.study_instance_uid)
        .add_columns(OUTPUTS.c.sop_class_uid, OUTPUTS.c.sop_instance_uid)
        .join(OUTPUTS, DELIVERIES.c.output_id == OUTPUTS.c.id)
        .join(JOBS, OUTPUTS.c.job_id == JOBS.c.id)
        .join(SERIES, JOBS.c.series_id == SERIES.c.id)
        .where(*_waits(destination), DELIVERIES.c.closing == closing, DELIVERIES.c.ask_at <= now)
        .order_by(DELIVERIES.c.ask_at, DELIVERIES.c.id)
    )
    with db.read() as connection:
        rows = connection.execute(query).all()
    return [_owed(row) for row in rows if row.study_instance_uid == rows[0].study_instance_uid]


def next_owed_at(db: Database, destination: str) -> float | None:
    """When something is to be asked of ``destination`` next; None when nothing is owed."""
    query = select(DELIVERIES.c.ask_at).where(*_waits(destination), DELIVERIES.c.closing != Closing.NOTHING)
    with db.read() as connection:
        return connection.execute(query.order_by(DELIVERIES.c.ask_at).limit(1)).scalar()


def opened(
    db: Database,
    destination: str,
    objects: Sequence[Owed],
    *,
    transaction_uid: str,
    ae_title: str,
    deadline: float,
    now: float,
) -> int:
    """Writes a request down, before it is sent. ``ae_title`` is the only one whose report will be believed."""
    values = {"transaction_uid": transaction_uid, "destination": destination, "ae_title": ae_title}
    values |= {"state": RequestState.OPEN}
    with db.write() as connection:
        row = insert(COMMITMENTS).values(values | {"asked_at": now, "deadline": deadline})
        request_id = inserted_id(connection, row)
        note(connection, Entity.COMMITMENT, request_id, now=now, new=RequestState.OPEN, text=f"of {destination}")
        for each in objects:
            item = {"commitment_id": request_id, "delivery_id": each.delivery_id, "reported": False}
            connection.execute(insert(COMMITMENT_ITEMS).values(item))
            _set(connection, each.delivery_id, {"ask_at": deadline, "asks": each.asks + 1})
    return request_id


def refused(db: Database, request_id: int, *, reason: str, now: float, alarm: bool = True) -> None:
    """The destination did not take the request: its objects are asked for again later, with another request; after
    MOST_ASKS times that is an alarm, unless ``alarm`` is not wanted."""
    with db.write() as connection:
        if _request(connection, request_id).state != RequestState.OPEN:
            return  # its report came before the answer that was lost
        _move_request(connection, request_id, RequestState.REFUSED, reason, now)
        for row in _items(connection, request_id):
            if row.state in HERE:
                _ask_again(connection, row, reason, now, alarm=alarm)


def unasked(db: Database, objects: Sequence[Owed], *, reason: str, now: float) -> None:
    """The destination would not even be asked: its objects are asked for again later, and it counts as an attempt."""
    with db.write() as connection:
        for each in objects:
            row = delivery_row(connection, each.delivery_id)
            if row.state in HERE:
                _set(connection, row.id, {"asks": row.asks + 1})
                _ask_again(connection, delivery_row(connection, row.id), reason, now)


def postpone(db: Database, objects: Sequence[Owed], *, until: float) -> None:
    """Nothing could be asked, which says nothing of the objects: not before ``until`` again."""
    with db.write() as connection:
        for each in objects:
            _set(connection, each.delivery_id, {"ask_at": until})


def overdue(db: Database, destination: str, *, now: float) -> int:
    """Closes the requests that were not reported in time. Their objects are due again by themselves. Returns how
    many requests these were."""
    query = select(COMMITMENTS.c.id).where(
        COMMITMENTS.c.destination == destination,
        COMMITMENTS.c.state == RequestState.OPEN,
        COMMITMENTS.c.deadline <= now,
    )
    with db.read() as connection:  # most often there is none: no write lock for that
        found = list(connection.execute(query).scalars())
    for request_id in found:
        with db.write() as connection:
            if _request(connection, request_id).state != RequestState.OPEN:
                continue  # reported in this moment
            _move_request(connection, request_id, RequestState.OVERDUE, "no report in time", now)
            for row in _items(connection, request_id):
                if row.state == DeliveryState.SENT and not row.reported and row.asks >= MOST_ASKS:
                    text = f"stored, but not committed: asked {row.asks} times, no report"
                    move(connection, row, DeliveryState.UNCOMMITTED, text, now, reason=text, alarm=True)
    return len(found)


def is_reported(db: Database, request_id: int) -> bool:
    """Whether the report of a request has come, to whichever process."""
    with db.read() as connection:
        return bool(_request(connection, request_id).state == RequestState.REPORTED)


def take_report(db: Database, report: Report, *, ae_title: str, now: float) -> bool:
    """Takes a report in: each object's own outcome, once. The same report again changes nothing.

    False, and nothing is believed, when no request of this transaction was sent to ``ae_title``.
    """
    mine = COMMITMENTS.c.transaction_uid == report.transaction_uid, COMMITMENTS.c.ae_title == ae_title
    with db.read() as connection:  # whoever sends what nobody asked for shall not keep writers waiting
        if connection.execute(select(COMMITMENTS.c.id).where(*mine)).first() is None:
            return False
    with db.write() as connection:
        request = connection.execute(select(COMMITMENTS).where(*mine)).first()
        if request is None:
            return False
        outcomes: dict[str, int | None] = {each.sop_instance_uid: None for each in report.committed}
        outcomes |= {each.sop_instance_uid: reason for each, reason in report.failed}
        items = {row.sop_instance_uid: row for row in _items(connection, request.id)}
        for uid, reason in outcomes.items():
            if uid in items and not items[uid].reported:
                _report_item(connection, items[uid], reason, now)
        strangers = len(outcomes.keys() - items.keys())
        for uid in items.keys() - outcomes.keys():
            if request.state != RequestState.REPORTED and not items[uid].reported and items[uid].state in HERE:
                _ask_again(connection, items[uid], "the report does not name it", now)
        if request.state != RequestState.REPORTED:
            text = f"{len(report.committed)} committed, {len(report.failed)} failed"
            text += f", {strangers} that were not asked for ignored" if strangers else ""
            _move_request(connection, request.id, RequestState.REPORTED, text, now)
            known = update(ABILITIES).where(ABILITIES.c.destination == request.destination)
            connection.execute(known.values(reports=ABILITIES.c.reports + 1))
        return True


def waive(db: Database, destination: str, closing: Closing, to: Closing, *, reason: str, now: float) -> int:
    """Nothing more of the kind ``closing`` is awaited of a destination, but ``to``. Returns of how many objects.

    What is an alarm for want of it is one no more.
    """
    with db.write() as connection:
        query = select(DELIVERIES).where(
            *_waits(destination),
            (DELIVERIES.c.closing == closing)
            | ((DELIVERIES.c.closing == Closing.NOTHING) & (DELIVERIES.c.state == DeliveryState.UNCOMMITTED)),
        )
        rows = connection.execute(query).all()
        for row in rows:
            values = {"closing": to, "ask_at": now, "asks": 0}
            move(connection, row, DeliveryState.SENT, reason, now, reason="", values=values)
    return len(rows)


def move(
    connection: Connection,
    row: Row[Any],
    new: DeliveryState,
    text: str,
    now: float,
    *,
    reason: str,
    values: Mapping[str, object] | None = None,
    alarm: bool = False,
) -> None:
    """Moves a delivery (a row of it) within a transaction, with its audit row; staying where it is needs no move."""
    old = DeliveryState(row.state)
    if old != new:
        check_move(old, new)
    own = {"state": new, "reason": reason, "updated_at": now}
    _set(connection, row.id, own | dict(values or {}))
    note(connection, Entity.DELIVERY, row.id, now=now, old=old, new=new, text=text, alarm=alarm)


def _report_item(connection: Connection, row: Row[Any], reason: int | None, now: float) -> None:
    item = COMMITMENT_ITEMS.c.id == row.item_id
    connection.execute(update(COMMITMENT_ITEMS).where(item).values(reported=True, failure_reason=reason))
    if row.state not in HERE:  # asked for anew by hand, or committed by an earlier report
        return
    if reason is None:
        done = {"closing": Closing.NOTHING}
        move(connection, row, DeliveryState.COMMITTED, "committed", now, reason="", values=done)
        return
    follows, text = what_follows(reason)
    if follows == Next.SEND and row.state == DeliveryState.SENT and row.refusals + 1 < MOST_REFUSALS:
        values = {"refusals": row.refusals + 1, "next_at": now, "attempts": 0, "asks": 0}
        move(connection, row, DeliveryState.PENDING, f"{text}: sent again", now, reason=text, values=values)
    elif follows == Next.ASK:
        _ask_again(connection, row, text, now)
    else:
        last = {"closing": Closing.NOTHING} if follows == Next.ALARM else {"ask_at": now + RETRY_S[-1]}
        said = f"stored, but not committed: {text}"
        move(connection, row, DeliveryState.UNCOMMITTED, said, now, reason=said, values=last, alarm=True)


def _ask_again(connection: Connection, row: Row[Any], reason: str, now: float, *, alarm: bool = True) -> None:
    values = {"ask_at": now + RETRY_S[min(row.asks, len(RETRY_S)) - 1]}
    if alarm and row.asks >= MOST_ASKS and row.state == DeliveryState.SENT:
        said = f"stored, but not committed: {reason}"
        move(connection, row, DeliveryState.UNCOMMITTED, said, now, reason=said, values=values, alarm=True)
    else:
        move(connection, row, DeliveryState(row.state), f"asked again: {reason}", now, reason=reason, values=values)


def _waits(destination: str) -> tuple[Any, ...]:
    return DELIVERIES.c.destination == destination, DELIVERIES.c.state.in_(HERE)


def _owed(row: Row[Any]) -> Owed:
    return Owed(
        delivery_id=row.id,
        job_id=row.job_id,
        study_instance_uid=row.study_instance_uid,
        series_instance_uid=row.series_instance_uid,
        named=Named(sop_class_uid=row.sop_class_uid, sop_instance_uid=row.sop_instance_uid),
        asks=row.asks,
    )


def _request(connection: Connection, request_id: int) -> Row[Any]:
    return connection.execute(select(COMMITMENTS).where(COMMITMENTS.c.id == request_id)).one()


def _items(connection: Connection, request_id: int) -> Sequence[Row[Any]]:
    """The deliveries of a request, each with what of it was reported."""
    item = COMMITMENT_ITEMS
    query: Select[Any] = (
        select(DELIVERIES, OUTPUTS.c.sop_instance_uid, item.c.id.label("item_id"), item.c.reported)
        .join(item, item.c.delivery_id == DELIVERIES.c.id)
        .join(OUTPUTS, DELIVERIES.c.output_id == OUTPUTS.c.id)
    )
    return connection.execute(query.where(item.c.commitment_id == request_id)).all()


def _move_request(connection: Connection, request_id: int, new: RequestState, text: str, now: float) -> None:
    old = RequestState(_request(connection, request_id).state)
    check_move(old, new)
    values: dict[str, object] = {"state": new}
    if new == RequestState.REPORTED:
        values["reported_at"] = now
    connection.execute(update(COMMITMENTS).where(COMMITMENTS.c.id == request_id).values(values))
    note(connection, Entity.COMMITMENT, request_id, now=now, old=old, new=new, text=text)


def _set(connection: Connection, delivery_id: int, values: Mapping[str, object]) -> None:
    connection.execute(update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(dict(values)))
