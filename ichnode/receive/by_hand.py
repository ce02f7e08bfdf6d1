"""Images that come by hand: from a folder, or pulled from a PACS. They are kept as if sent, and settled at once."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ichnode.domain.errors import Rejected
from ichnode.queue.database import Database
from ichnode.queue.series import receiving, settle, undecided
from ichnode.receive.complete import missing_slices
from ichnode.receive.header import text
from ichnode.receive.intake import Arrival, Taken, take
from ichnode.receive.part10 import split_file
from ichnode.receive.settle import SweepSettings, decide_now
from ichnode.store.layout import Store


@dataclass(slots=True)
class TakenIn:
    """What came in: the UIDs of the series that now hold it, and why which file was refused."""

    series: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, taken: Taken) -> None:
        """Notes one instance."""
        if taken.series_instance_uid:
            self.series.add(taken.series_instance_uid)
        else:
            self.refused[name] = taken.why or taken.outcome.value


def take_files(
    paths: Iterable[Path], *, db: Database, store: Store, floor_bytes: int, calling_ae: str, now: float
) -> TakenIn:
    """Takes DICOM files in, each as a C-STORE of its data set would be. Raises OSError."""
    taken_in = TakenIn()
    for path in paths:
        try:
            meta, data_set = split_file(path)
        except Rejected as error:
            taken_in.refused[str(path)] = str(error)
            continue
        arrival = Arrival(
            sop_class_uid=text(meta, "MediaStorageSOPClassUID"),
            sop_instance_uid=text(meta, "MediaStorageSOPInstanceUID"),
            transfer_syntax_uid=text(meta, "TransferSyntaxUID"),
            data_set=data_set,
            calling_ae=calling_ae,
            address="",
        )
        taken_in.add(str(path), take(arrival, db=db, store=store, floor_bytes=floor_bytes, now=now))
    return taken_in


def settle_now(db: Database, series: Collection[str], settings: SweepSettings, *, now: float) -> None:
    """Settles these series without waiting, decides on their studies, and queues their jobs behind all new ones."""
    for row in receiving(db):
        if row.series_instance_uid in series:
            missing = missing_slices([instance.facts for instance in row.instances])
            text = f"by hand, {missing} slices missing" if missing else "by hand"
            settle(db, row.id, missing=missing, text=text, now=now, seen_at=row.last_at)
    for study in undecided(db):
        if any(row.series_instance_uid in series for row in study.series):
            decide_now(db, study, settings, now=now, replay=True)
