"""A queue as an earlier version would have left it: the rows of a real one, in that version's tables."""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine

from ichnode.queue.migration import migrate

# What a version did not yet note of an instance, by the first revision at which it did.
FACTS = {"0003": ("identified", "acquired_at"), "0004": ("person_key",)}
COMMITMENT = "0003"  # before it what was sent was sent, and nothing followed


def make_earlier(queue: Path, revision: str) -> None:
    """Puts the rows of ``queue``, which nobody has open, into the tables of ``revision``, as far as it has a place for
    them."""
    older = queue.with_name("older.sqlite")
    engine = create_engine(f"sqlite:///{older}")
    migrate(engine, revision)
    engine.dispose()
    with closing(sqlite3.connect(older, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS newer", (str(queue),))
        for (table,) in connection.execute(
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT IN ('alembic_version')"
        ).fetchall():
            columns = ", ".join(row[1] for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table}")
        if revision < COMMITMENT:
            connection.execute("UPDATE main.deliveries SET state = 'sent' WHERE state IN ('committed', 'confirmed')")
        for first, names in FACTS.items():
            for name in names if revision < first else ():
                connection.execute("UPDATE main.instances SET facts = json_remove(facts, ?)", (f"$.{name}",))
    for name in ("queue.sqlite-wal", "queue.sqlite-shm"):
        queue.with_name(name).unlink(missing_ok=True)
    older.replace(queue)
