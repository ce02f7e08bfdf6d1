"""Results in figures, onsets told by a person, and the profiles that an object was made for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds two tables and an index on patients; objects that are there were made for the first version's profile."""
    op.create_table(
        "results",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("acquired_at", sa.Float(), nullable=True),
        sa.Column("report_uid", sa.String(length=64), nullable=True),
        sa.Column("seg_uid", sa.String(length=64), nullable=True),
        sa.Column("compared", sa.String(length=64), nullable=False),
        sa.Column("volume_ml", sa.Float(), nullable=False),
        sa.Column("expansion_probability", sa.Float(), nullable=True),
        sa.Column("expansion_threshold", sa.Float(), nullable=True),
        sa.Column("expansion_trained", sa.Boolean(), nullable=True),
        sa.Column("baseline_job_id", sa.Integer(), nullable=True),
        sa.Column("growth_ml", sa.Float(), nullable=True),
        sa.Column("growth_percent", sa.Float(), nullable=True),
        sa.Column("expanded", sa.Boolean(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_results_job_id")),
        sa.ForeignKeyConstraint(["baseline_job_id"], ["jobs.id"], name=op.f("fk_results_baseline_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_results")),
        sa.UniqueConstraint("job_id", name=op.f("uq_results_job_id")),
    )
    op.create_table(
        "onsets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("hours", sa.Float(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_onsets")),
    )
    op.create_index(op.f("ix_onsets_study_instance_uid"), "onsets", ["study_instance_uid"], unique=False)
    op.create_index(op.f("ix_series_patient_key"), "series", ["patient_key"], unique=False)
    with op.batch_alter_table("outputs") as outputs:
        outputs.add_column(sa.Column("profiles", sa.JSON(), nullable=False, server_default='["default"]'))
