"""What is to go where: every object of a finished job, once for each destination that wants it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from ichnode.domain.outputs import USUAL_PROFILE, ObjectKind, OutputFile
from ichnode.domain.states import Closing, DeliveryState, check_move
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database, inserted_id
from ichnode.queue.holds import held_studies
from ichnode.queue.tables import DELIVERIES, JOBS, OUTPUTS, SERIES

PATIENCE: Final = 3  # attempts after which an object no longer holds up those behind it: better a late SEG than no SR
ORDER: Final = {kind: i for i, kind in enumerate(ObjectKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What one destination takes: these kinds in the forms of this profile (by its name), and whether also the SR that
    says why a series was not analysed."""

    destination: str
    kinds: frozenset[ObjectKind]
    not_analysed: bool
    profile: str = USUAL_PROFILE


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One object that should go out now. ``attempts`` counts those before this one."""

    delivery_id: int
    job_id: int
    study_instance_uid: str
    output: OutputFile
    attempts: int


def add_outputs(
    connection: Connection,
    job_id: int,
    outputs: Sequence[OutputFile],
    routes: Sequence[Route],
    *,
    analysed: bool,
    now: float,
) -> None:
    """Adds a job's objects and a pending delivery to each destination that wants them and was not yet given them.

    An object that exists already (a replay that came to the same result, a second run after a crash) gets no second
    row and is not sent again to where it went; it is from now on of the profiles of both runs.
    """
    for output in outputs:
        output_id = _output_id(connection, job_id, output, now)
        there = select(DELIVERIES.c.destination).where(DELIVERIES.c.output_id == output_id)
        known = set(connection.execute(there).scalars())
        for route in routes:
            formed = output.kind in route.kinds and route.profile in output.profiles
            if formed and (analysed or route.not_analysed) and route.destination not in known:
                _add_delivery(connection, output_id, route.destination, now)


def due(db: Database, destination: str, *, now: float) -> list[Due]:
    """The objects of one study that should go to ``destination`` now: the most urgent study, each job's objects in
    the order of the kinds. An object waits while one before it in its job's order waits, unless that one was tried
    PATIENCE times. One whose wait was written down later than ``now`` does not wait: the clock was set back since.
    What is held is not due."""
    query = (
        select(DELIVERIES, OUTPUTS, JOBS.c.priority, SERIES.c.study_instance_uid)
        .join(OUTPUTS, DELIVERIES.c.output_id == OUTPUTS.c.id)
        .join(JOBS, OUTPUTS.c.job_id == JOBS.c.id)
        .join(SERIES, JOBS.c.series_id == SERIES.c.id)
        .where(DELIVERIES.c.destination == destination, DELIVERIES.c.state == DeliveryState.PENDING)
        .where(SERIES.c.study_instance_uid.not_in(held_studies()))
    )
    with db.read() as connection:
        rows = list(connection.execute(query))
    rows.sort(key=_urgency)
    ready: list[Row[tuple[object, ...]]] = []
    for _, of_job in groupby(rows, key=lambda r: r.job_id):
        for row in of_job:
            if row.next_at <= now or row.updated_at > now:
                ready.append(row)
            elif row.attempts < PATIENCE:
                break
    return [_due(row) for row in ready if row.study_instance_uid == ready[0].study_instance_uid]


def next_due_at(db: Database, destination: str) -> float | None:
    """When the next delivery to ``destination`` becomes due; None when none is pending."""
    query = (
        select(DELIVERIES.c.next_at)
        .join(OUTPUTS, DELIVERIES.c.output_id == OUTPUTS.c.id)
        .join(JOBS, OUTPUTS.c.job_id == JOBS.c.id)
        .join(SERIES, JOBS.c.series_id == SERIES.c.id)
        .where(DELIVERIES.c.destination == destination, DELIVERIES.c.state == DeliveryState.PENDING)
        .where(SERIES.c.study_instance_uid.not_in(held_studies()))
    )
    with db.read() as connection:
        return connection.execute(query.order_by(DELIVERIES.c.next_at).limit(1)).scalar()


def sent(
    db: Database, delivery_id: int, *, status: int, now: float, closing: Closing = Closing.NOTHING, ask_at: float = 0.0
) -> None:
    """The destination answered success or a warning. ``closing`` is what is to follow, from ``ask_at`` on."""
    values = {"status": status, "reason": "", "closing": closing, "ask_at": ask_at}
    _update(db, delivery_id, DeliveryState.SENT, values, f"status 0x{status:04X}", now)


def again(
    db: Database, delivery_id: int, *, reason: str, next_at: float, now: float, status: int | None = None
) -> None:
    """It did not work now: the delivery stays pending until ``next_at``."""
    with db.write() as connection:
        row = delivery_row(connection, delivery_id)
        values = {"next_at": next_at, "reason": reason, "status": status, "attempts": row.attempts + 1}
        connection.execute(
            update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(values | {"updated_at": now})
        )
        state = DeliveryState.PENDING
        note(connection, Entity.DELIVERY, delivery_id, now=now, old=state, new=state, text=reason)


def dead(db: Database, delivery_id: int, *, reason: str, now: float, status: int | None = None) -> None:
    """The destination refused for good: an alarm, until a person asks for it again."""
    values = {"status": status, "reason": reason}
    _update(db, delivery_id, DeliveryState.DEAD, values, reason, now, alarm=True)


def resend(
    db: Database, *, job_ids: Sequence[int], destination: str | None, now: float, only_dead: bool = False
) -> int:
    """By hand: every delivery of these jobs (to one destination, or to all) is pending again. Returns how many.

    Objects whose files retention has deleted are left out.
    """
    query = select(DELIVERIES.c.id, DELIVERIES.c.state).join(OUTPUTS).where(OUTPUTS.c.job_id.in_(job_ids))
    query = query.where(OUTPUTS.c.purged_at.is_(None))
    if destination is not None:
        query = query.where(DELIVERIES.c.destination == destination)
    states = [DeliveryState.DEAD] if only_dead else [state for state in DeliveryState if state != DeliveryState.PENDING]
    with db.write() as connection:
        rows = connection.execute(query.where(DELIVERIES.c.state.in_(states))).all()
        for delivery_id, state in rows:
            values = {"state": DeliveryState.PENDING, "next_at": now, "attempts": 0, "updated_at": now}
            values |= {"closing": Closing.NOTHING, "asks": 0, "refusals": 0}
            connection.execute(update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(values))
            new = DeliveryState.PENDING
            note(connection, Entity.DELIVERY, delivery_id, now=now, old=state, new=new, text="asked for by hand")
    return len(rows)


def delivery_row(connection: Connection, delivery_id: int) -> Row[Any]:
    """One delivery as it stands now, within a transaction."""
    return connection.execute(select(DELIVERIES).where(DELIVERIES.c.id == delivery_id)).one()


def _urgency(row: Row[tuple[object, ...]]) -> tuple[int, int, int, int]:
    return row.priority, row.job_id, ORDER[ObjectKind(row.kind)], row.number


def _due(row: Row[tuple[object, ...]]) -> Due:
    names = OutputFile.__dataclass_fields__
    values = {name: getattr(row, name) for name in names}
    values |= {"kind": ObjectKind(row.kind), "profiles": tuple(row.profiles)}
    return Due(
        delivery_id=row.id,
        job_id=row.job_id,
        study_instance_uid=row.study_instance_uid,
        output=OutputFile(**values),
        attempts=row.attempts,
    )


def _output_id(connection: Connection, job_id: int, output: OutputFile, now: float) -> int:
    """The row of an object: a new one, or the one that it has, told of this run."""
    this = OUTPUTS.c.sop_instance_uid == output.sop_instance_uid
    row = connection.execute(select(OUTPUTS.c.id, OUTPUTS.c.profiles).where(this)).first()
    values = {name: getattr(output, name) for name in OutputFile.__dataclass_fields__}
    if row is None:
        return inserted_id(connection, insert(OUTPUTS).values(values | {"job_id": job_id, "created_at": now}))
    profiles = list(dict.fromkeys([*row.profiles, *output.profiles]))
    connection.execute(update(OUTPUTS).where(this).values(profiles=profiles))
    # Where retention had taken its file there is one again; any other keeps the digest that was checked.
    anew = values | {"profiles": profiles, "purged_at": None}
    connection.execute(update(OUTPUTS).where(this, OUTPUTS.c.purged_at.is_not(None)).values(anew))
    return int(row.id)


def _add_delivery(connection: Connection, output_id: int, destination: str, now: float) -> None:
    values = {"output_id": output_id, "destination": destination, "state": DeliveryState.PENDING}
    statement = insert(DELIVERIES).values(values | {"next_at": now, "updated_at": now})
    delivery_id, new = inserted_id(connection, statement), DeliveryState.PENDING
    note(connection, Entity.DELIVERY, delivery_id, now=now, new=new, text=f"for {destination}")


def _update(
    db: Database,
    delivery_id: int,
    new: DeliveryState,
    values: Mapping[str, object],
    text: str,
    now: float,
    *,
    alarm: bool = False,
) -> None:
    with db.write() as connection:
        row = delivery_row(connection, delivery_id)
        old = DeliveryState(row.state)
        check_move(old, new)
        values = {**values, "state": new, "updated_at": now, "attempts": row.attempts + 1}
        connection.execute(update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(values))
        note(connection, Entity.DELIVERY, delivery_id, now=now, old=old, new=new, text=text, alarm=alarm)
