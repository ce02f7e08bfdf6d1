"""A small archive for the demonstration: a C-STORE SCP that keeps each object as a file. Not a PACS."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    Comprehensive3DSRStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
    Verification,
)

from ichnode.store.files import write_durably


@dataclass(slots=True)
class Archive:
    """What has arrived, by SOP instance UID. ``port`` is where it listens."""

    folder: Path
    port: int = 0
    arrived: dict[str, Path] = field(default_factory=dict)
    news: Condition = field(default_factory=Condition)

    def objects(self) -> list[tuple[Path, Dataset]]:
        """Every object that arrived, headers and pixels, in the order of arrival."""
        from pydicom import dcmread

        with self.news:
            return [(path, dcmread(path)) for path in self.arrived.values()]


@contextmanager
def archive(folder: Path, ae_title: str) -> Iterator[Archive]:
    """Listens on a free port of this machine for as long as the block runs."""
    kept = Archive(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entity = AE(ae_title=ae_title)
    entity.add_supported_context(Verification)
    for sop_class in (SegmentationStorage, Comprehensive3DSRStorage, SecondaryCaptureImageStorage):
        entity.add_supported_context(sop_class, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])

    def on_store(event: evt.Event) -> int:
        dataset = event.dataset
        name = f"{dataset.SeriesNumber}-{dataset.Modality.lower()}-{int(dataset.InstanceNumber):03d}.dcm"
        write_durably(folder / name, event.encoded_dataset())
        with kept.news:
            kept.arrived[str(dataset.SOPInstanceUID)] = folder / name
            kept.news.notify_all()
        return 0x0000

    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
    kept.port = int(server.server_address[1])
    try:
        yield kept
    finally:
        server.shutdown()
