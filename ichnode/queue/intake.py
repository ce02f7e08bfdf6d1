"""What the receiver writes: instances, and the revision of the series that each belongs to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, desc, insert, or_, select, update

from ichnode.domain.facts import InstanceFacts
from ichnode.domain.states import Decision, SeriesState, Transfer
from ichnode.queue.audit import Entity, note
from ichnode.queue.database import Database, inserted_id
from ichnode.queue.holds import hold
from ichnode.queue.tables import INSTANCES, QUARANTINE, SERIES


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInstance:
    """One instance whose bytes are already durable. ``path`` is relative to the store; ``sha256`` (hex) is over the
    transfer syntax and the encoded data set."""

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    sha256: str
    size_bytes: int
    path: str
    calling_ae: str
    address: str
    facts: InstanceFacts


class Recorded(StrEnum):
    """What ``record`` found."""

    NEW = "new"
    DUPLICATE = "duplicate"  # the same bytes again
    CONFLICT = "conflict"  # the same UID with other bytes: nothing was written
    FOREIGN = "foreign"  # its series or study is another patient's, or its series another study's: nothing was written


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An instance that the node holds already; ``purged``: retention removed its file, the row stays."""

    sop_instance_uid: str
    sha256: str
    path: str
    purged: bool


def kept(db: Database, sop_instance_uid: str) -> Kept | None:
    """The instance with this UID, if the node holds it."""
    with db.read() as connection:
        row = _find(connection, sop_instance_uid)
    if row is None:
        return None
    purged = row["purged_at"] is not None
    return Kept(sop_instance_uid=sop_instance_uid, sha256=row["sha256"], path=row["path"], purged=purged)


def foreign(db: Database, instance: NewInstance) -> str:
    """Why an instance cannot belong to what its UIDs name, in words; empty when it can."""
    with db.read() as connection:
        return _why_foreign(connection, instance)


def record(db: Database, instance: NewInstance, *, now: float, is_there: Callable[[], bool] = lambda: True) -> Recorded:
    """Adds the instance to its series in one transaction. A slice for a settled series opens its next revision; the row
    of one whose file was purged lives again.

    ``is_there`` tells whether its file is on the disk. It is asked here, where nobody deletes (``retention.doomed``):
    what was written before may be gone. Raises FileNotFoundError when it is, and writes nothing.
    """
    with db.write() as connection:
        _check(is_there)
        row = _find(connection, instance.sop_instance_uid)
        if row is not None and row["sha256"] == instance.sha256:
            _revive(connection, row, instance, now)
            return Recorded.DUPLICATE
        if row is not None:
            return Recorded.CONFLICT
        if _why_foreign(connection, instance):
            return Recorded.FOREIGN
        _doubt(connection, instance, now)
        values = asdict(instance) | {"received_at": now, "revision": _open_revision(connection, instance, now)}
        connection.execute(insert(INSTANCES).values(values))
    return Recorded.NEW


def quarantine(
    db: Database, instance: NewInstance, *, reason: str, now: float, is_there: Callable[[], bool] = lambda: True
) -> None:
    """Records bytes that were kept but belong nowhere. The same bytes twice make one row, purged ones live again.

    Where they say that their study is another patient's, its results are held. ``is_there``, and raises: as ``record``.
    """
    with db.write() as connection:
        _check(is_there)
        _doubt(connection, instance, now)
        this = QUARANTINE.c.path == instance.path
        row = connection.execute(select(QUARANTINE).where(this)).mappings().one_or_none()
        if row is not None:
            _revive_quarantined(connection, row, reason, now)
            return
        names = ("sop_instance_uid", "sha256", "path", "calling_ae", "study_instance_uid")
        values = {k: getattr(instance, k) for k in names}
        row_id = inserted_id(connection, insert(QUARANTINE).values(values | {"reason": reason, "at": now}))
        note(connection, Entity.QUARANTINE, row_id, now=now, new="quarantined", text=reason, alarm=True)


def remark(db: Database, text: str, *, now: float, alarm: bool = False) -> None:
    """A line in the node's own history: an object of ours dropped, an orphan adopted, a file that is missing."""
    with db.write() as connection:
        note(connection, Entity.NODE, 0, now=now, text=text, alarm=alarm)


def facts_from_json(stored: Mapping[str, Any]) -> InstanceFacts:
    """The facts as they were before JSON made lists of their tuples."""
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    values["positions"] = tuple(tuple(position) for position in stored["positions"])
    return InstanceFacts(**values)


def _check(is_there: Callable[[], bool]) -> None:
    if not is_there():
        raise FileNotFoundError("the file was deleted before its row was written")


def _revive(connection: Connection, row: RowMapping, instance: NewInstance, now: float) -> None:
    if row["purged_at"] is None and row["path"] == instance.path:
        return
    values = {"path": instance.path, "size_bytes": instance.size_bytes, "purged_at": None, "received_at": now}
    connection.execute(update(INSTANCES).where(INSTANCES.c.id == row["id"]).values(values))
    note(connection, Entity.INSTANCE, row["id"], now=now, old="purged", new="kept", text="the same bytes came again")


def _revive_quarantined(connection: Connection, row: RowMapping, reason: str, now: float) -> None:
    if row["purged_at"] is not None:
        connection.execute(update(QUARANTINE).where(QUARANTINE.c.id == row["id"]).values(purged_at=None, at=now))
        note(
            connection, Entity.QUARANTINE, row["id"], now=now, old="purged", new="quarantined", text=reason, alarm=True
        )


def _find(connection: Connection, sop_instance_uid: str) -> RowMapping | None:
    query = select(INSTANCES).where(INSTANCES.c.sop_instance_uid == sop_instance_uid)
    return connection.execute(query).mappings().one_or_none()


def _why_foreign(connection: Connection, instance: NewInstance) -> str:
    in_series = SERIES.c.series_instance_uid == instance.series_instance_uid
    in_study = SERIES.c.study_instance_uid == instance.study_instance_uid
    query = select(SERIES.c.study_instance_uid, SERIES.c.patient_key).where(or_(in_series, in_study)).distinct()
    for study, patient in connection.execute(query):
        if patient != instance.facts.patient_key:
            return "its series or study was begun with another patient ID or issuer"
        if study != instance.study_instance_uid:
            return "its series was begun in another study"
    return ""


def _doubt(connection: Connection, instance: NewInstance, now: float) -> None:
    """Holds the results of a study of which an instance tells another patient than those before it."""
    query = select(SERIES.c.patient_key, SERIES.c.person_key).order_by(SERIES.c.id)
    known = connection.execute(query.where(SERIES.c.study_instance_uid == instance.study_instance_uid)).all()
    if not known:
        return
    patient, person = instance.facts.patient_key, instance.facts.person_key
    others = {
        "another patient ID or issuer": known[0].patient_key != patient,
        "another name or birth date": _is_another(person, [row.person_key or "" for row in known]),
    }
    if any(others.values()):
        what = " and ".join(text for text, differs in others.items() if differs)
        reason = f"a later image of the study, from {instance.calling_ae}, has {what}"
        hold(connection, instance.study_instance_uid, told=f"{patient} {person}", reason=reason, now=now)


def _is_another(person: str, known: Sequence[str]) -> bool:
    """Whether the name or the birth date of ``person`` is not the one that was stated first (``facts.person_key``)."""
    names, dates = zip(*(key.partition("/")[::2] for key in known), strict=True)
    name, _, date = person.partition("/")
    return any(said and said != next(filter(None, first), said) for said, first in ((name, names), (date, dates)))


def _open_revision(connection: Connection, instance: NewInstance, now: float) -> int:
    query = select(SERIES).where(SERIES.c.series_instance_uid == instance.series_instance_uid)
    latest = connection.execute(query.order_by(desc(SERIES.c.revision)).limit(1)).mappings().one_or_none()
    if latest is not None and latest["state"] == SeriesState.RECEIVING:
        connection.execute(update(SERIES).where(SERIES.c.id == latest["id"]).values(last_at=now))
        return int(latest["revision"])
    revision = 1 if latest is None else int(latest["revision"]) + 1
    values = {
        "series_instance_uid": instance.series_instance_uid,
        "study_instance_uid": instance.study_instance_uid,
        "revision": revision,
        "patient_key": instance.facts.patient_key,
        "person_key": instance.facts.person_key,
        "state": SeriesState.RECEIVING,
        "calling_ae": instance.calling_ae,
        "transfer": Transfer.OPEN if latest is not None and latest["transfer"] == Transfer.OPEN else Transfer.NONE,
        "first_at": now,
        "last_at": now,
        "decision": Decision.PENDING,
    }
    row_id = inserted_id(connection, insert(SERIES).values(values))
    text = "first slice" if revision == 1 else f"late slice: revision {revision} follows {revision - 1}"
    note(connection, Entity.SERIES, row_id, now=now, new=SeriesState.RECEIVING, text=text)
    return revision
