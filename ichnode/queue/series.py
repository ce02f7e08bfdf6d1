"""Series on their way from the first slice to a decision, and the job that each decision makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, RowMapping, select, update

from ichnode.domain.facts import InstanceFacts
from ichnode.domain.states import Decision, SeriesState, Transfer, check_move
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database
from ichnode.queue.intake import facts_from_json
from ichnode.queue.jobs import JobKind, Priority, add_job, withdraw
from ichnode.queue.tables import INSTANCES, SERIES


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredInstance:
    """One instance of a series."""

    sop_instance_uid: str
    sop_class_uid: str
    path: str
    facts: InstanceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """One revision of a series with all its instances. ``missing`` counts slices known or guessed to be missing."""

    id: int
    series_instance_uid: str
    study_instance_uid: str
    revision: int
    patient_key: str
    person_key: str | None
    state: SeriesState
    calling_ae: str
    transfer: Transfer
    first_at: float
    last_at: float
    settled_at: float | None
    missing: int
    settled_text: str
    decision: Decision
    decision_text: str
    instances: tuple[StoredInstance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """The settled series of a study, each in its latest revision.

    ``last_at``: when the study's newest slice came, of any series. ``receiving``: UIDs of its series that still wait.
    """

    study_instance_uid: str
    series: tuple[SeriesRow, ...]
    receiving: tuple[str, ...]
    last_at: float


def receiving(db: Database) -> list[SeriesRow]:
    """Every series that still waits for slices, oldest first."""
    with db.read() as connection:
        query = select(SERIES).where(SERIES.c.state == SeriesState.RECEIVING).order_by(SERIES.c.id)
        return [_row(connection, row) for row in connection.execute(query).mappings().all()]


def series(db: Database, series_id: int) -> SeriesRow:
    """One revision of a series by its row id."""
    with db.read() as connection:
        return _row(connection, _one(connection, series_id))


def undecided(db: Database) -> list[Study]:
    """Studies with a settled series that awaits its decision."""
    waiting = (SERIES.c.state == SeriesState.SETTLED) & (SERIES.c.decision == Decision.PENDING)
    studies = select(SERIES.c.study_instance_uid).where(waiting)
    query = select(SERIES).where(SERIES.c.study_instance_uid.in_(studies), SERIES.c.state != SeriesState.SUPERSEDED)
    with db.read() as connection:
        rows = connection.execute(query.order_by(SERIES.c.study_instance_uid, SERIES.c.id)).mappings().all()
        loaded = [_row(connection, row) for row in rows]
    return [_study(uid, list(group)) for uid, group in groupby(loaded, key=lambda s: s.study_instance_uid)]


def claimed_acquisitions(db: Database, row: SeriesRow) -> set[int | None]:
    """Acquisition numbers of all other series of the study, whatever became of them; None for images without one."""
    number = INSTANCES.c.facts["acquisition_number"].as_integer()
    query = select(number).where(
        INSTANCES.c.study_instance_uid == row.study_instance_uid,
        INSTANCES.c.series_instance_uid != row.series_instance_uid,
    )
    with db.read() as connection:
        return set(connection.execute(query.distinct()).scalars())


def mark_transfer(db: Database, series_instance_uid: str, transfer: Transfer) -> None:
    """Notes how the association that brings a series stands, on the revision that still receives; none: no matter."""
    this = (SERIES.c.series_instance_uid == series_instance_uid) & (SERIES.c.state == SeriesState.RECEIVING)
    with db.write() as connection:
        connection.execute(update(SERIES).where(this).values(transfer=transfer))


def cut_open_transfers(db: Database) -> int:
    """At start-up: whatever stands open was cut when the node died. Returns how many."""
    with db.write() as connection:
        open_ones = SERIES.c.transfer == Transfer.OPEN
        return connection.execute(update(SERIES).where(open_ones).values(transfer=Transfer.CUT)).rowcount


def settle(db: Database, series_id: int, *, missing: int, text: str, now: float, seen_at: float | None = None) -> bool:
    """Closes the set of slices of a receiving series; an earlier revision of it is superseded.

    ``seen_at``: when the last slice came that the caller knows of. False when another came meanwhile, or the series is
    no longer receiving: the caller looks again.
    """
    with db.write() as connection:
        row = _one(connection, series_id)
        if row["state"] != SeriesState.RECEIVING or seen_at not in (None, row["last_at"]):
            return False
        _move(connection, row, SeriesState.SETTLED, text, now)
        values = {"settled_at": now, "missing": missing, "settled_text": text}
        connection.execute(update(SERIES).where(SERIES.c.id == series_id).values(values))
        earlier = select(SERIES).where(
            SERIES.c.series_instance_uid == row["series_instance_uid"],
            SERIES.c.revision < row["revision"],
            SERIES.c.state == SeriesState.SETTLED,
        )
        for old in connection.execute(earlier).mappings().all():
            _move(connection, old, SeriesState.SUPERSEDED, f"by revision {row['revision']}", now)
            withdraw(connection, old["id"], reason=f"superseded by revision {row['revision']}", now=now)
    return True


def decide(db: Database, decisions: Mapping[int, tuple[Decision, str]], *, now: float, replay: bool = False) -> None:
    """Stores the decision on each settled series, in words, and adds its job: to analyse it, or to say why not.

    ``replay``: the images came by hand, and their jobs let those of new studies pass.
    """
    with db.write() as connection:
        for series_id, (decision, text) in decisions.items():
            row = _one(connection, series_id)
            if row["state"] != SeriesState.SETTLED or row["decision"] != Decision.PENDING:
                continue  # a late slice superseded it, or it was decided meanwhile
            values = {"decision": decision, "decision_text": text}
            connection.execute(update(SERIES).where(SERIES.c.id == series_id).values(values))
            note(connection, Entity.SERIES, series_id, now=now, old=Decision.PENDING, new=decision, text=text)
            if decision == Decision.ANALYSE:
                priority = Priority.REPLAY if replay else Priority.NEW
                add_job(connection, series_id, JobKind.ANALYSE, priority=priority, now=now)
            else:
                priority = Priority.REPLAY if replay else Priority.EXPLAIN
                add_job(connection, series_id, JobKind.EXPLAIN, priority=priority, reason=text, now=now)


def _study(study_instance_uid: str, rows: list[SeriesRow]) -> Study:
    receiving = tuple(r.series_instance_uid for r in rows if r.state == SeriesState.RECEIVING)
    return Study(
        study_instance_uid=study_instance_uid,
        series=tuple(r for r in rows if r.series_instance_uid not in receiving),
        receiving=receiving,
        last_at=max(r.last_at for r in rows),
    )


def _one(connection: Connection, series_id: int) -> RowMapping:
    return connection.execute(select(SERIES).where(SERIES.c.id == series_id)).mappings().one()


def _move(connection: Connection, row: RowMapping, new: SeriesState, text: str, now: float) -> None:
    old = SeriesState(row["state"])
    check_move(old, new)
    connection.execute(update(SERIES).where(SERIES.c.id == row["id"]).values(state=new))
    note(connection, Entity.SERIES, row["id"], now=now, old=old, new=new, text=text)


def _row(connection: Connection, row: RowMapping) -> SeriesRow:
    query = select(INSTANCES).where(
        INSTANCES.c.series_instance_uid == row["series_instance_uid"], INSTANCES.c.revision <= row["revision"]
    )
    instances = tuple(
        StoredInstance(
            sop_instance_uid=i["sop_instance_uid"],
            sop_class_uid=i["sop_class_uid"],
            path=i["path"],
            facts=facts_from_json(i["facts"]),
        )
        for i in connection.execute(query.order_by(INSTANCES.c.id)).mappings()
    )
    words = {"state": SeriesState(row["state"]), "transfer": Transfer(row["transfer"])}
    return SeriesRow(**(dict(row) | words | {"decision": Decision(row["decision"])}), instances=instances)
