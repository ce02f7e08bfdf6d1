"""Numbers that are never given again."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = ("series", "jobs", "deliveries", "commitments", "promises")


def upgrade() -> None:
    """Makes the tables anew whose row numbers a process keeps between two transactions: SQLite gives the number of a
    deleted row to the next one, unless the table says AUTOINCREMENT."""
    for table in TABLES:
        with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
