"""The history: one row a transition, in the transaction that makes it."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, insert

from ichnode.queue.tables import AUDIT


class Entity(StrEnum):
    """What an audit row speaks of; ``entity_id`` is the id of its row."""

    INSTANCE = "instance"
    QUARANTINE = "quarantine"
    SERIES = "series"
    JOB = "job"
    DELIVERY = "delivery"
    COMMITMENT = "commitment"  # a request of ours to a destination
    PROMISE = "promise"  # a request of a peer to us
    ALARM = "alarm"  # alarms that a person acknowledged: `old` is their kind; entity_id is 0
    NODE = "node"  # the node itself: reconciliation, retention, dropped objects; entity_id is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One transition, as ``show`` prints it."""

    at: float
    entity: Entity
    entity_id: int
    old: str
    new: str
    text: str
    alarm: bool


def note(
    connection: Connection,
    entity: Entity,
    entity_id: int,
    *,
    now: float,
    old: str = "",
    new: str = "",
    text: str = "",
    alarm: bool = False,
) -> None:
    """Writes one audit row; ``alarm`` marks what a person must look at."""
    row = {"at": now, "entity": entity, "entity_id": entity_id, "old": old, "new": new, "text": text, "alarm": alarm}
    connection.execute(insert(AUDIT).values(row))
