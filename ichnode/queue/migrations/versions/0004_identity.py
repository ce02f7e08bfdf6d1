"""Studies whose results are held because it is in doubt whose they are; whose study a file in quarantine is of."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds a table and two columns; of what was received before, names and birth dates are not compared."""
    op.create_table(
        "holds",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("told", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("released_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
        sa.UniqueConstraint("study_instance_uid", "told", name=op.f("uq_holds_study_instance_uid")),
    )
    with op.batch_alter_table("series") as series:
        series.add_column(sa.Column("person_key", sa.String(length=64), nullable=True))
    with op.batch_alter_table("quarantine") as quarantine:
        quarantine.add_column(sa.Column("study_instance_uid", sa.String(length=64), nullable=True))
