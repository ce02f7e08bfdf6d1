"""A connection that may only read: SQLite makes one of any that is opened while the file cannot be written."""

import pytest
from sqlalchemy.exc import OperationalError

from ichnode.queue.database import open_database
from ichnode.queue.intake import remark


def test_a_connection_that_may_only_read_is_thrown_away_at_its_first_write(tmp_path):
    db = open_database(tmp_path / "queue.sqlite")
    with db.writers.connect() as connection:  # the one that the pool will give out again
        connection.exec_driver_sql("PRAGMA query_only=ON")

    with pytest.raises(OperationalError, match="readonly"):
        remark(db, "first", now=1)

    remark(db, "second", now=2)
    assert not db.in_use.closed  # or another version could migrate the tables under it
    db.close()
