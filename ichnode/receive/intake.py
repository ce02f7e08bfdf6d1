"""One instance: looked at, written durably, recorded, and only then answered with success."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

from ichnode.domain.errors import Rejected
from ichnode.domain.identity import is_ours
from ichnode.queue.database import Database
from ichnode.queue.intake import (
    NewInstance,
    Recorded,
    foreign,
    kept,
    quarantine,
    record,
    remark,
)
from ichnode.receive.header import facts_of, text
from ichnode.receive.part10 import content_key, file_head, header_of, open_stored
from ichnode.store.files import Buffer, move_durably, write_durably
from ichnode.store.layout import Store

# PS3.4 table B.2-1
SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
DATA_SET_MISMATCH: Final = 0xA900
CANNOT_UNDERSTAND: Final = 0xC000

VALID_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)+")  # laxer than PS3.5 9.1: leading zeros are common
LONGEST_UID: Final = 64

OTHER_BYTES: Final = "an instance with this UID but other content was kept before"


class Outcome(StrEnum):
    """What became of an instance."""

    KEPT = "kept"
    DUPLICATE = "duplicate"  # the same bytes are there already
    QUARANTINED = "quarantined"
    DROPPED = "dropped"  # one of our own objects
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What a C-STORE request brings. ``data_set``: the encoded bytes as received."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set: BytesIO
    calling_ae: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The answer. ``series_instance_uid`` is set when the instance now belongs to a series of ours;
    ``study_instance_uid`` also when it was put into quarantine."""

    status: int
    outcome: Outcome
    why: str = ""
    series_instance_uid: str = ""
    study_instance_uid: str = ""


def take(arrival: Arrival, *, db: Database, store: Store, floor_bytes: int, now: float) -> Taken:
    """Takes one instance in. Success means that bytes and row survive a power cut.

    Clinical unsuitability is never refused here: it is kept, and skipped with a reason when its study is decided.
    Raises OSError and the database's errors; then nothing half-written is left.
    """
    size = arrival.data_set.getbuffer().nbytes
    if store.free_bytes() - size < floor_bytes:
        return _refused(OUT_OF_RESOURCES, "the disk is below its floor")
    try:
        instance, is_own = _look_at(arrival, store)
    except Rejected as error:
        return _refused(CANNOT_UNDERSTAND, str(error))
    if (instance.sop_class_uid, instance.sop_instance_uid) != (arrival.sop_class_uid, arrival.sop_instance_uid):
        return _refused(DATA_SET_MISMATCH, "the data set is not the one that the command announces")
    if is_own:
        remark(db, f"an object of ours came back from {arrival.calling_ae} and was dropped", now=now)
        return Taken(status=SUCCESS, outcome=Outcome.DROPPED)
    try:
        return _keep(instance, arrival, db, store, now)
    except FileNotFoundError:  # of an earlier copy of it, retention or a purge has just deleted the file: once more
        return _keep(instance, arrival, db, store, now)


def series_of(arrival: Arrival) -> str:
    """The Series Instance UID of an instance that is not taken; empty where it cannot be read."""
    try:
        with header_of(arrival.data_set, arrival.transfer_syntax_uid) as header:
            return _uids(header)["series_instance_uid"]
    except Rejected:
        return ""


def adopt(path: Path, *, db: Database, store: Store, now: float) -> Taken:
    """Records a file of the instances folder that has no row, because a crash came between the two.

    Raises Rejected when it is not a whole instance, or not the one that its name says; OSError.
    """
    stored = open_stored(path)
    uids = _uids(stored.header)
    relative = store.relative(path)
    if relative != store.instance_path(uids["sop_instance_uid"], stored.sha256):
        raise Rejected("The file's content does not fit its name.")
    instance = NewInstance(
        **uids,
        transfer_syntax_uid=stored.transfer_syntax_uid,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        path=relative,
        calling_ae=stored.source_ae_title,
        address="",
        facts=facts_of(stored.header),
    )
    return _record(instance, db, store, now)


def _look_at(arrival: Arrival, store: Store) -> tuple[NewInstance, bool]:
    """The instance, and whether it is an object of ours. Its header is let go. Raises Rejected."""
    content = arrival.data_set.getbuffer()
    with header_of(arrival.data_set, arrival.transfer_syntax_uid) as header:
        uids, facts = _uids(header), facts_of(header)
        is_own = is_ours(manufacturer=text(header, "Manufacturer"), model_name=text(header, "ManufacturerModelName"))
        del header  # before the next large one is read
    sha256 = content_key(arrival.transfer_syntax_uid, content)
    instance = NewInstance(
        **uids,
        transfer_syntax_uid=arrival.transfer_syntax_uid,
        sha256=sha256,
        size_bytes=content.nbytes,
        path=store.instance_path(uids["sop_instance_uid"], sha256),
        calling_ae=arrival.calling_ae,
        address=arrival.address,
        facts=facts,
    )
    return instance, is_own


def _keep(instance: NewInstance, arrival: Arrival, db: Database, store: Store, now: float) -> Taken:
    head = file_head(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
        source_ae_title=instance.calling_ae,
    )
    chunks: tuple[Buffer, ...] = (head, arrival.data_set.getbuffer())
    known = kept(db, instance.sop_instance_uid)
    is_same = known is not None and known.sha256 == instance.sha256
    if known is not None and is_same and not known.purged and store.resolve(known.path).exists():
        return _of_series(instance, Outcome.DUPLICATE)
    reason = "" if is_same else OTHER_BYTES if known is not None else foreign(db, instance)
    if reason:
        path = store.quarantine_path(instance.sop_instance_uid, instance.sha256)
        write_durably(store.resolve(path), *chunks)
        return _to_quarantine(instance, path, reason, db, store, now)
    write_durably(store.resolve(instance.path), *chunks)
    # If recording fails, the whole file stays: the sender was not told success and sends again to the same place, and
    # the next reconciliation would adopt it. Deleting it here could lose bytes of a commit that did happen.
    return _record(instance, db, store, now)


def _record(instance: NewInstance, db: Database, store: Store, now: float) -> Taken:
    recorded = record(db, instance, now=now, is_there=store.resolve(instance.path).exists)
    if recorded in (Recorded.CONFLICT, Recorded.FOREIGN):  # another association was first while we wrote
        reason = OTHER_BYTES if recorded is Recorded.CONFLICT else foreign(db, instance)
        path = store.quarantine_path(instance.sop_instance_uid, instance.sha256)
        move_durably(store.resolve(instance.path), store.resolve(path))
        return _to_quarantine(instance, path, reason, db, store, now)
    return _of_series(instance, Outcome.KEPT if recorded is Recorded.NEW else Outcome.DUPLICATE)


def _to_quarantine(instance: NewInstance, path: str, reason: str, db: Database, store: Store, now: float) -> Taken:
    quarantine(db, replace(instance, path=path), reason=reason, now=now, is_there=store.resolve(path).exists)
    study = instance.study_instance_uid
    return Taken(status=SUCCESS, outcome=Outcome.QUARANTINED, why=reason, study_instance_uid=study)


def _uids(header: Dataset) -> dict[str, str]:
    keywords = {
        "sop_class_uid": "SOPClassUID",
        "sop_instance_uid": "SOPInstanceUID",
        "study_instance_uid": "StudyInstanceUID",
        "series_instance_uid": "SeriesInstanceUID",
    }
    uids = {name: text(header, keyword) for name, keyword in keywords.items()}
    for name, uid in uids.items():
        if len(uid) > LONGEST_UID or not VALID_UID.fullmatch(uid):
            raise Rejected(f"The data set has no valid {keywords[name]}.")
    return uids


def _of_series(instance: NewInstance, outcome: Outcome) -> Taken:
    series, study = instance.series_instance_uid, instance.study_instance_uid
    return Taken(status=SUCCESS, outcome=outcome, series_instance_uid=series, study_instance_uid=study)


def _refused(status: int, why: str) -> Taken:
    return Taken(status=status, outcome=Outcome.REFUSED, why=why)
