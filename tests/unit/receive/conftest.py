import os
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.dsutils import encode

from ichnode.domain.facts import InstanceFacts
from ichnode.queue.database import open_database
from ichnode.receive.allow import AllowedPeer
from ichnode.receive.intake import Arrival
from ichnode.receive.part10 import split_file
from ichnode.receive.scp import Receiver
from ichnode.receive.settings import ScpSettings
from ichnode.store.layout import Store

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


@pytest.fixture(scope="session")
def data() -> Path:
    checkout = Path(__file__).resolve().parents[3]
    folder = Path(os.environ.get("ICHNODE_DATA", checkout.parent / "shared" / "data"))
    if not (folder / "dicom").is_dir():
        pytest.skip(f"real data is absent: {folder} (set ICHNODE_DATA)")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(root=tmp_path / "store")
    store.make_folders()
    return store


@pytest.fixture
def db(tmp_path):
    database = open_database(tmp_path / "queue.sqlite")
    yield database
    database.close()


@pytest.fixture
def make_slice() -> Callable[..., Dataset]:
    """One axial CT slice of 4×4 pixels: series 1.2.3.``series``, at ``z`` mm; further keywords as in DICOM."""

    def _make(number: int = 1, *, series: int = 1, z: float | None = None, **elements) -> Dataset:
        ds = Dataset()
        ds.SOPClassUID = CT
        ds.SOPInstanceUID = f"1.2.3.{series}.{number}"
        ds.StudyInstanceUID = "1.2.3"
        ds.SeriesInstanceUID = f"1.2.3.{series}"
        ds.PatientID = "P1"
        ds.PatientName = "Doe^Jane"
        ds.Modality = "CT"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SeriesNumber = series
        ds.InstanceNumber = number
        ds.SliceThickness = 5
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.ImagePositionPatient = [0, 0, 5.0 * number if z is None else z]
        ds.Rows = ds.Columns = 4
        ds.PixelSpacing = [0.5, 0.5]
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit = 15
        ds.PixelRepresentation = 1
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        ds.PixelData = np.full((4, 4), number, np.int16).tobytes()
        for keyword, value in elements.items():
            setattr(ds, keyword, value)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = UID(EXPLICIT)
        ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        return ds

    return _make


@pytest.fixture
def make_arrival() -> Callable[..., Arrival]:
    """The C-STORE request that would bring a data set; what the command says may be overridden."""

    def _make(ds: Dataset, **command) -> Arrival:
        values = {
            "sop_class_uid": str(ds.get("SOPClassUID", CT)),
            "sop_instance_uid": str(ds.get("SOPInstanceUID", "1.2.3")),
            "transfer_syntax_uid": EXPLICIT,
            "data_set": BytesIO(encode(ds, False, True)),
            "calling_ae": "MODALITY",
            "address": "127.0.0.1",
        }
        return Arrival(**(values | command))

    return _make


@pytest.fixture
def arrival_of_file() -> Callable[[Path], Arrival]:
    """The C-STORE request that would bring a file in its own transfer syntax."""

    def _make(path: Path) -> Arrival:
        meta, data_set = split_file(path)
        return Arrival(
            sop_class_uid=str(meta.MediaStorageSOPClassUID),
            sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
            data_set=data_set,
            calling_ae="MODALITY",
            address="127.0.0.1",
        )

    return _make


@pytest.fixture
def make_facts() -> Callable[..., InstanceFacts]:
    """Facts of one axial slice at ``z`` mm."""

    def _make(number: int = 1, *, z: float | None = None, **changes) -> InstanceFacts:
        values = {
            "modality": "CT",
            "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
            "instance_number": number,
            "series_number": 2,
            "thickness_mm": 5.0,
            "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
            "positions": ((0.0, 0.0, 5.0 * number if z is None else z),),
        }
        return InstanceFacts(**(values | changes))

    return _make


@pytest.fixture
def listen(db, store):
    """Starts a receiver on a free port and stops it after the test."""
    started: list[Receiver] = []

    def _listen(**changes) -> Receiver:
        values = {
            "ae_title": "ICHNODE",
            "host": "127.0.0.1",
            "port": 0,
            "allow": (AllowedPeer(ae_title="*", network="*"),),
            "floor_bytes": 0,
        }
        started.append(Receiver(ScpSettings(**(values | changes)), db=db, store=store))
        return started[-1]

    yield _listen
    for receiver in started:
        if receiver.is_listening:
            receiver.stop()


@pytest.fixture
def associate():
    """Opens an association to a port on loopback; aborted after the test if it is still there."""
    opened = []

    def _associate(port, *, sop_classes=(CT,), syntaxes=(EXPLICIT,), called="ICHNODE", calling="MODALITY"):
        entity = AE(ae_title=calling)
        for sop_class in sop_classes:
            entity.add_requested_context(sop_class, list(syntaxes))
        association = entity.associate("127.0.0.1", port, ae_title=called)
        opened.append(association)
        return association

    yield _associate
    for association in opened:
        if association.is_established:
            association.abort()


@pytest.fixture
def wait_until():
    """Waits for a condition, at most ten seconds."""

    def _wait(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true in time"
            time.sleep(0.005)

    return _wait
