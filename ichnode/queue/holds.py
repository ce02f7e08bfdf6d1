"""Studies whose results are held: it is in doubt whose they are, and a person must look."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, update

from ichnode.domain.states import DeliveryState
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database
from ichnode.queue.tables import DELIVERIES, HOLDS, JOBS, OUTPUTS, SERIES

OUT: Final = (DeliveryState.SENT, DeliveryState.COMMITTED, DeliveryState.CONFIRMED, DeliveryState.UNCOMMITTED)


def hold(connection: Connection, study_instance_uid: str, *, told: str, reason: str, now: float) -> bool:
    """Holds what of a study has not gone out, within a transaction. ``told``: a digest of the other identity; one that
    a person has looked at and released does not hold the study again. ``reason`` quotes nothing of it.

    Returns whether this is new; then each series of the study has an alarm in its history.
    """
    this = (HOLDS.c.study_instance_uid == study_instance_uid) & (HOLDS.c.told == told)
    if connection.execute(select(HOLDS.c.id).where(this)).first() is not None:
        return False
    count = connection.execute(_gone_out(study_instance_uid)).scalar_one()
    if count:
        reason += f"; {count} objects had gone out before"
    values = {"study_instance_uid": study_instance_uid, "told": told, "reason": reason, "at": now}
    connection.execute(insert(HOLDS).values(values))
    for series_id in connection.execute(select(SERIES.c.id).where(_of(study_instance_uid))).scalars().all():
        note(connection, Entity.SERIES, series_id, now=now, new="held", text=reason, alarm=True)
    return True


def hold_study(db: Database, study_instance_uid: str, *, told: str, reason: str, now: float) -> bool:
    """``hold`` in a transaction of its own. Returns whether the study is held now, anew or still."""
    with db.write() as connection:
        hold(connection, study_instance_uid, told=told, reason=reason, now=now)
    return bool(held(db, study_instance_uid))


def held(db: Database, study_instance_uid: str) -> list[str]:
    """Why the results of a study are held, a sentence a doubt; empty when they are not."""
    query = select(HOLDS.c.reason).where(
        HOLDS.c.study_instance_uid == study_instance_uid, HOLDS.c.released_at.is_(None)
    )
    with db.read() as connection:
        return list(connection.execute(query.order_by(HOLDS.c.id)).scalars())


def held_studies() -> Select[tuple[str]]:
    """Study Instance UIDs of all that are held."""
    return select(HOLDS.c.study_instance_uid).where(HOLDS.c.released_at.is_(None))


def release(db: Database, study_instance_uid: str, *, by: str, now: float) -> int:
    """A person has looked: the results go out as they are. Returns how many doubts this answers."""
    this = (HOLDS.c.study_instance_uid == study_instance_uid) & HOLDS.c.released_at.is_(None)
    with db.write() as connection:
        count = connection.execute(update(HOLDS).where(this).values(released_at=now)).rowcount
        series = select(SERIES.c.id).where(_of(study_instance_uid))
        for series_id in connection.execute(series).scalars().all() if count else []:
            note(connection, Entity.SERIES, series_id, now=now, old="held", new="released", text=f"by {by}")
    return count


def _gone_out(study: str) -> Select[Any]:
    query = select(func.count(DELIVERIES.c.id)).join(OUTPUTS, DELIVERIES.c.output_id == OUTPUTS.c.id)
    query = query.join(JOBS, OUTPUTS.c.job_id == JOBS.c.id).join(SERIES, JOBS.c.series_id == SERIES.c.id)
    return query.where(_of(study), DELIVERIES.c.state.in_(OUT))


def _of(study: str) -> ColumnElement[bool]:
    return SERIES.c.study_instance_uid == study
