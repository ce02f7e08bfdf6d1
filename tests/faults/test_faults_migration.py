"""An older queue is opened by this version: its rows are still there."""

import sqlite3

import pytest
from alembic import command
from sqlalchemy import MetaData, create_engine, insert

from ichnode.queue.database import open_database
from ichnode.queue.migration import alembic_config as _alembic

OLDER = ("0001", "0002", "0003")


@pytest.mark.parametrize("revision", OLDER)
def test_every_table_of_an_older_queue_keeps_its_row(revision, tmp_path):
    path = tmp_path / "queue.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    config = _alembic()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    tables = MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            if table.name != "alembic_version":
                connection.execute(insert(table).values({c.name: _value(c) for c in table.columns}))
        names = [t.name for t in tables.sorted_tables if t.name != "alembic_version"]
        rows = {name: connection.exec_driver_sql(f"SELECT * FROM {name}") for name in names}
        before = {name: dict(found.mappings().one()) for name, found in rows.items()}
    engine.dispose()

    open_database(path).close()

    with sqlite3.connect(path) as after:
        after.row_factory = sqlite3.Row
        for name, row in before.items():
            kept = dict(after.execute(f"SELECT * FROM {name}").fetchone())
            assert {key: kept[key] for key in row if key in kept} == row
        assert after.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert after.execute("PRAGMA foreign_key_check").fetchall() == []


def _value(column):
    return 1 if column.type.python_type in (int, float, bool) else "x"
