"""Whether a destination offers storage commitment: learnt by asking it, and kept."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, insert, select

from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database
from ichnode.queue.tables import ABILITIES

FRESH_S: Final = (
    7 * 86400.0
)  # then a destination without storage commitment is asked once more: it may have been updated


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """What a destination was found to do. ``reports``: how many it has sent since."""

    destination: str
    commits: bool
    reports: int
    at: float
    reason: str = ""

    def holds(self, now: float) -> bool:
        """Whether a no is fresh enough to be believed; a yes always is."""
        return self.commits or now - self.at < FRESH_S


def ability(db: Database, destination: str, place: str) -> Ability | None:
    """What was learnt of the destination at ``place``; None when it was never asked, or was another place then."""
    with db.read() as connection:
        where = ABILITIES.c.destination == destination, ABILITIES.c.place == place
        row = connection.execute(select(ABILITIES).where(*where)).mappings().first()
    return None if row is None else Ability(**{name: row[name] for name in Ability.__dataclass_fields__})


def learn(db: Database, destination: str, place: str, *, commits: bool, reason: str, now: float) -> None:
    """Keeps what an attempt showed; the same as before is not news, but a no becomes fresh again."""
    known = ability(db, destination, place)
    if known is not None and known.commits and commits:
        return
    reports = known.reports if known is not None else 0
    values = {"destination": destination, "place": place, "commits": commits, "reports": reports}
    with db.write() as connection:
        connection.execute(delete(ABILITIES).where(ABILITIES.c.destination == destination))
        connection.execute(insert(ABILITIES).values(values | {"at": now, "reason": reason}))
        if known is None or known.commits != commits:
            text = f"{destination} {'offers' if commits else 'offers no'} storage commitment" + (
                reason and f": {reason}"
            )
            note(connection, Entity.NODE, 0, now=now, text=text)
