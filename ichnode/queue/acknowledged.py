"""Alarms that a person has seen to: those of a kind up to a moment. What comes later alarms anew."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, ScalarSelect, Select, and_, case, func, or_, select

from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database
from ichnode.queue.tables import AUDIT, QUARANTINE

ACKNOWLEDGED: Final = "acknowledged"
REFUSED: Final = "refused %"  # how the receiver begins each alarm of that kind
MISSING: Final = "% files of the database are not on the disk%"


class AlarmKind(StrEnum):
    """What can be acknowledged: alarms that nothing else ends. Failed jobs, objects not delivered and studies that are
    held are none of these: `replay`, `resend`, `release` and `purge` end them."""

    REFUSALS = "refusals"  # of callers and of what they sent
    FILES = "files"  # that are not on the disk
    QUARANTINE = "quarantine"  # bytes that fit nowhere
    NODE = "node"  # all else that the node tells of itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm, in words; ``at``: seconds since the epoch."""

    kind: AlarmKind
    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """Who has seen to the alarms of a kind last, and when."""

    kind: AlarmKind
    at: float
    text: str


def unseen() -> ColumnElement[bool]:
    """Of audit rows of the node itself: not acknowledged."""
    return AUDIT.c.id > case(*((_is(kind), _seen(kind)) for kind in _TEXTS), else_=_seen(AlarmKind.NODE))


def open_quarantine() -> tuple[ColumnElement[bool], ...]:
    """Of rows in quarantine: still there, not acknowledged. By their history: a deleted row's number is given again."""
    came = AUDIT.alias()
    history = select(func.max(came.c.id)).where(came.c.entity == Entity.QUARANTINE, came.c.entity_id == QUARANTINE.c.id)
    newest = history.scalar_subquery()
    return QUARANTINE.c.purged_at.is_(None), or_(newest.is_(None), newest > _seen(AlarmKind.QUARANTINE))


def open_alarms(db: Database, *, since: float) -> list[Alarm]:
    """What can be acknowledged, oldest first; of the node's own alarms those since then."""
    with db.read() as connection:
        return _open(connection, since)


def acknowledge(db: Database, kind: AlarmKind, *, by: str, since: float, now: float) -> list[Alarm]:
    """A person has seen to the alarms of a kind that are there now. Returns these."""
    with db.write() as connection:
        found = [alarm for alarm in _open(connection, since) if alarm.kind == kind]
        if found:
            text = f"{len(found)} by {by}"
            note(connection, Entity.ALARM, 0, now=now, old=kind, new=ACKNOWLEDGED, text=text)
    return found


def acknowledgements(connection: Connection, *, since: float) -> list[Acknowledgement]:
    """The last one of each kind since then, oldest first."""
    last = select(func.max(AUDIT.c.id)).where(_is_acknowledgement(AUDIT), AUDIT.c.at >= since).group_by(AUDIT.c.old)
    rows = connection.execute(select(AUDIT).where(AUDIT.c.id.in_(last)).order_by(AUDIT.c.id)).mappings()
    return [Acknowledgement(kind=AlarmKind(row["old"]), at=row["at"], text=row["text"]) for row in rows]


def node_alarms(since: float) -> Select[Any]:
    """The node's own alarms that nobody has acknowledged."""
    return select(AUDIT).where(AUDIT.c.entity == Entity.NODE, AUDIT.c.alarm, AUDIT.c.at >= since, unseen())


def _open(connection: Connection, since: float) -> list[Alarm]:
    rows = connection.execute(node_alarms(since).order_by(AUDIT.c.id)).mappings()
    alarms = [Alarm(kind=kind_of(row["text"]), at=row["at"], text=row["text"]) for row in rows]
    query = select(QUARANTINE).where(*open_quarantine()).order_by(QUARANTINE.c.id)
    for row in connection.execute(query).mappings():
        alarms.append(Alarm(kind=AlarmKind.QUARANTINE, at=row["at"], text=f"{row['reason']} ({row['path']})"))
    return alarms


def kind_of(text: str) -> AlarmKind:
    """The kind of one of the node's own alarms."""
    if text.startswith(REFUSED.removesuffix("%")):
        return AlarmKind.REFUSALS
    return AlarmKind.FILES if MISSING.strip("%") in text else AlarmKind.NODE


_TEXTS: Final = {AlarmKind.REFUSALS: REFUSED, AlarmKind.FILES: MISSING}


def _is(kind: AlarmKind) -> ColumnElement[bool]:
    return AUDIT.c.text.like(_TEXTS[kind])


def _is_acknowledgement(table: FromClause) -> ColumnElement[bool]:
    return and_(table.c.entity == Entity.ALARM, table.c.new == ACKNOWLEDGED)


def _seen(kind: AlarmKind) -> ScalarSelect[int]:
    """The number in the history up to which alarms of a kind were seen."""
    rows = AUDIT.alias()
    newest = func.coalesce(func.max(rows.c.id), 0)
    return select(newest).where(_is_acknowledgement(rows), rows.c.old == kind).scalar_subquery()
