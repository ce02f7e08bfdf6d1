"""What a query tells of objects at a destination that does not commit to them."""

from ichnode.domain.states import Closing, DeliveryState
from ichnode.queue.commitments import HERE, MOST_ASKS, move
from ichnode.queue.database import Database
from ichnode.queue.outbox import delivery_row


def confirmed(db: Database, delivery_id: int, *, where: str, now: float) -> None:
    """A query found the object at ``where``."""
    with db.write() as connection:
        row = delivery_row(connection, delivery_id)
        if row.state in HERE:
            values = {"closing": Closing.NOTHING}
            move(connection, row, DeliveryState.CONFIRMED, f"found at {where}", now, reason="", values=values)


def not_found(db: Database, delivery_id: int, *, reason: str, next_at: float, now: float) -> None:
    """A query did not find the object: looked for again; after MOST_ASKS times an alarm, and looked for on."""
    with db.write() as connection:
        row = delivery_row(connection, delivery_id)
        if row.state not in HERE:
            return
        alarm = row.asks + 1 >= MOST_ASKS and row.state == DeliveryState.SENT
        new = DeliveryState.UNCOMMITTED if alarm else DeliveryState(row.state)
        values = {"asks": row.asks + 1, "ask_at": next_at}
        move(connection, row, new, reason, now, reason=reason, values=values, alarm=alarm)
