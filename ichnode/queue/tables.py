"""The tables. Times are seconds since the epoch (UTC); states are the words of ``domain.states``.

``sqlite_autoincrement``: its row numbers are kept between two transactions, and must never be given to another row.
"""

from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

INSTANCES: Final = Table(  # what was accepted; a row is written only after its file is durable
    "instances",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("sop_instance_uid", String(64), nullable=False, unique=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("series_instance_uid", String(64), nullable=False, index=True),
    Column("revision", Integer, nullable=False),  # the first revision of its series that holds it
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("path", Text, nullable=False, index=True),
    Column("calling_ae", String(16), nullable=False),
    Column("address", String(64), nullable=False),
    Column("received_at", Float, nullable=False),
    Column("purged_at", Float),  # the file went by retention; the row stays as memory
    Column("facts", JSON, nullable=False),
)

QUARANTINE: Final = Table(  # accepted bytes that fit nowhere: a person must look
    "quarantine",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("calling_ae", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("purged_at", Float),
    Column("study_instance_uid", String(64)),  # NULL: not known
    UniqueConstraint("path"),
)

SERIES: Final = Table(  # one row a revision
    "series",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("series_instance_uid", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("revision", Integer, nullable=False),
    Column("patient_key", String(64), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("calling_ae", String(16), nullable=False),
    Column("transfer", String(16), nullable=False),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("settled_at", Float),
    Column("missing", Integer, nullable=False, default=0),  # slices known or guessed to be missing
    Column("settled_text", Text, nullable=False, default=""),  # why it was taken as complete, or not
    Column("decision", String(16), nullable=False),
    Column("decision_text", Text, nullable=False, default=""),
    Column("person_key", String(64)),  # of its first image; empty: not stated
    UniqueConstraint("series_instance_uid", "revision"),
    sqlite_autoincrement=True,
)

HOLDS: Final = Table(  # results that do not go out until a person has looked: whose they are is in doubt
    "holds",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("told", String(64), nullable=False),  # digest of the other identity
    Column("reason", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("released_at", Float),
    UniqueConstraint("study_instance_uid", "told"),
)

JOBS: Final = Table(
    "jobs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("series_id", ForeignKey("series.id"), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("priority", Integer, nullable=False),  # the smallest goes first
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("weights", Text),  # a folder that a replay asked for; NULL: the configured one
    Column("attempts", Integer, nullable=False, default=0),
    Column("fence", Integer, nullable=False, default=0),  # grows at each claim: a late worker's token is stale
    Column("owner", Text),
    Column("lease_until", Float),
    Column("not_before", Float, nullable=False, default=0),
    Column("created_at", Float, nullable=False),
    Column("finished_at", Float),
    Index("ix_jobs_next", "state", "priority", "id"),
    sqlite_autoincrement=True,
)

OUTPUTS: Final = Table(
    "outputs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False, index=True),
    Column("kind", String(8), nullable=False),
    Column("number", Integer, nullable=False),
    Column("sop_class_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False, unique=True),
    Column("series_instance_uid", String(64), nullable=False),
    Column("path", Text, nullable=False, index=True),
    Column("sha256", String(64), nullable=False),
    Column("profiles", JSON, nullable=False, server_default='["default"]'),  # of the destinations it was made for
    Column("created_at", Float, nullable=False),
    Column("purged_at", Float),
)

RESULTS: Final = Table(  # what a finished analysis measured, in figures; what it says in full stands in its SR
    "results",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("job_id", ForeignKey("jobs.id"), nullable=False, unique=True),
    Column("acquired_at", Float),  # when the images were taken
    Column("report_uid", String(64)),  # its SR and its SEG: of a replay they are rows of an earlier job
    Column("seg_uid", String(64)),  # NULL: nothing was found
    Column("compared", String(64), nullable=False),  # digest of the earlier results that it knew of; empty: of none
    Column("volume_ml", Float, nullable=False),
    Column("expansion_probability", Float),  # NULL: the weights may not speak of it
    Column("expansion_threshold", Float),
    Column("expansion_trained", Boolean),
    Column("baseline_job_id", ForeignKey("jobs.id")),  # the earlier result it was compared with
    Column("growth_ml", Float),
    Column("growth_percent", Float),
    Column("expanded", Boolean),
    Column("facts", JSON, nullable=False),  # markers, doubts and scores, as `show` tells them
)

ONSETS: Final = Table(  # hours from onset to CT, as a person told them; the newest of a study holds
    "onsets",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("study_instance_uid", String(64), nullable=False, index=True),
    Column("hours", Float, nullable=False),
    Column("at", Float, nullable=False),
)

DELIVERIES: Final = Table(
    "deliveries",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("output_id", ForeignKey("outputs.id"), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Float, nullable=False),
    Column("status", Integer),  # the DIMSE status that the destination answered last
    Column("reason", Text, nullable=False, default=""),
    Column("updated_at", Float, nullable=False),
    Column("closing", String(8), nullable=False, server_default="nothing"),  # what follows after it was sent
    Column("ask_at", Float),  # when that is due
    Column("asks", Integer, nullable=False, server_default="0"),  # how often it was tried in vain
    Column("refusals", Integer, nullable=False, server_default="0"),  # how often the destination said it has it not
    UniqueConstraint("output_id", "destination"),
    Index("ix_deliveries_due", "destination", "state", "next_at"),
    sqlite_autoincrement=True,
)

COMMITMENTS: Final = Table(  # storage commitment requests that we send: a row before each request
    "commitments",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("transaction_uid", String(64), nullable=False, unique=True),
    Column("destination", String(64), nullable=False),
    Column("ae_title", String(16), nullable=False),  # who may report it
    Column("state", String(16), nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("deadline", Float, nullable=False),
    Column("reported_at", Float),
    Index("ix_commitments_due", "destination", "state", "deadline"),
    sqlite_autoincrement=True,
)

COMMITMENT_ITEMS: Final = Table(
    "commitment_items",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("commitment_id", ForeignKey("commitments.id"), nullable=False, index=True),
    Column("delivery_id", ForeignKey("deliveries.id"), nullable=False, index=True),
    Column("reported", Boolean, nullable=False, default=False),
    Column("failure_reason", Integer),  # (0008,1197); NULL once reported: committed
)

PROMISES: Final = Table(  # storage commitment requests of others to us: a row before the answer
    "promises",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("transaction_uid", String(64), nullable=False),
    Column("calling_ae", String(16), nullable=False, index=True),
    Column("address", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("asked_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Float, nullable=False),
    Column("reported_at", Float),
    Column("reason", Text, nullable=False, default=""),  # why the report could not be delivered
    UniqueConstraint("transaction_uid", "calling_ae"),
    sqlite_autoincrement=True,
)

PROMISE_ITEMS: Final = Table(
    "promise_items",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("promise_id", ForeignKey("promises.id"), nullable=False, index=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("failure_reason", Integer),  # as last reported; NULL: committed, or not judged yet
)

ABILITIES: Final = Table(  # what was learnt of a destination by asking it
    "abilities",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("destination", String(64), nullable=False, unique=True),
    Column("place", Text, nullable=False),  # host, port and titles that it is learnt of: a change is another PACS
    Column("commits", Boolean, nullable=False),
    Column("reports", Integer, nullable=False, default=0),  # how many it has sent
    Column("at", Float, nullable=False),
    Column("reason", Text, nullable=False, default=""),
)

AUDIT: Final = Table(  # one row a transition, written in the same transaction
    "audit",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", Float, nullable=False),
    Column("entity", String(16), nullable=False),
    Column("entity_id", Integer, nullable=False),
    Column("old", String(16), nullable=False),
    Column("new", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("alarm", Boolean, nullable=False, default=False),
    Index("ix_audit_entity", "entity", "entity_id"),
)
