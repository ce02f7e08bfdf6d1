"""Series to send: a phantom head with a bleed of analytic volume, and the real heads; and a modality that sends."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.association import Association
from scipy.ndimage import gaussian_filter

from ichnode.demo.bleed import Bleed, Placed, place
from tests.peers.tools import data

PIXEL_MM, SLICE_MM = 0.9, 5.0
ROWS, SLICES = 256, 30
HEAD_MM, SKULL_MM, BRAIN_MM = (78.0, 96.0, 85.0), (74.0, 92.0, 81.0), (67.0, 85.0, 74.0)  # semi-axes
PHANTOM_BLEED = Bleed(centre_mm=(-24.0, 8.0, 6.0), semi_axes_mm=(16.0, 22.0, 18.0), turn_deg=20.0)
GE_BLEED = Bleed(centre_mm=(-35.0, -7.0, 43.5), semi_axes_mm=(12.0, 18.5, 14.5), turn_deg=-12.0)


def uid(*parts: object) -> str:
    """A UID of its own for these parts, the same in every run."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
    return f"2.25.{int(digest[:30], 16)}"


def phantom(name: str) -> list[Dataset]:
    """A head of ellipsoids in its own study, slices of 5 mm from the vertex down, PHANTOM_BLEED in it."""
    slices = [_slice(name, k, z) for k, z in enumerate(_heights_mm())]
    for dataset, pixels in zip(slices, _phantom_pixels(), strict=True):
        dataset.PixelData = pixels
    return slices


@lru_cache(maxsize=1)
def _phantom_pixels() -> tuple[bytes, ...]:
    slices = [_slice("any", k, z) for k, z in enumerate(_heights_mm())]
    for dataset, hu in zip(slices, _head_hu(_heights_mm()), strict=True):
        dataset.PixelData = hu.astype("<i2").tobytes()
    ascending = place(slices, PHANTOM_BLEED).datasets
    return tuple(dataset.PixelData for dataset in reversed(ascending))


def _heights_mm() -> NDArray[np.float64]:
    return (np.arange(SLICES)[::-1] - (SLICES - 1) / 2) * SLICE_MM


def ge_with_bleed() -> Placed:
    """The real tilted head with unequal gaps, a bleed placed in it."""
    return place([dcmread(path) for path in sorted(data("dicom", "ge-tilt").glob("*.dcm"))], GE_BLEED)


def written(datasets: Iterable[Dataset], folder: Path) -> list[Path]:
    """The datasets as files, in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets, 1):
        path = folder / f"{number:03d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def study_of(path: Path) -> str:
    """Study Instance UID of a file, or of the first file in a folder."""
    if path.is_dir():
        path = next(p for p in sorted(path.rglob("*")) if p.is_file())
    return str(dcmread(path, stop_before_pixels=True).StudyInstanceUID)


@contextmanager
def association(port: int, contexts: Iterable[tuple[str, str]]) -> Iterator[Association]:
    """A modality's association to the node, established or not, for these (SOP class, transfer syntax)."""
    entity = AE(ae_title="CT1")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    for sop_class, syntax in sorted(set(contexts)):
        entity.add_requested_context(sop_class, syntax)
    made = entity.associate("127.0.0.1", port, ae_title="ICHNODE", evt_handlers=[(evt.EVT_FSM_TRANSITION, _no_answer)])
    channel = made.dul.socket.socket if made.dul.socket is not None else None
    try:
        yield made
    finally:
        if made.is_established:
            made.release()
        if made.ident is not None:  # its thread was started: it was not rejected
            made.join(30)
        if channel is not None:  # pynetdicom leaves it open when the peer has died
            channel.close()


def send(paths: Sequence[Path], port: int) -> dict[Path, int | None]:
    """A modality sends files over one association. Returns each one's status; None: no answer, so it must go again."""
    statuses: dict[Path, int | None] = dict.fromkeys(paths)
    datasets = [dcmread(path) for path in paths]
    if not paths:
        return statuses
    with association(port, [(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in datasets]) as sender:
        for path, dataset in zip(paths, datasets, strict=True):
            try:
                status = sender.send_c_store(dataset) if sender.is_established else Dataset()
            except RuntimeError:  # the peer went between the check and the call
                break
            if "Status" not in status:
                break
            statuses[path] = status.Status
    return statuses


def _no_answer(event: evt.Event) -> None:
    """The peer is gone: without this, pynetdicom waits for its whole DIMSE time-out. Source: PS3.8 9.2.2, Evt17."""
    if event.fsm_event == "Evt17":
        event.assoc.dimse.msg_queue.put((None, None))


def _head_hu(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """(Z, Y, X) air, skin, bone and brain with the noise of a scanner."""
    at = (np.arange(ROWS) - (ROWS - 1) / 2) * PIXEL_MM
    z, y, x = np.meshgrid(heights, at, at, indexing="ij")
    hu = np.full(z.shape, -1000.0)
    for semi_axes, value in ((HEAD_MM, 20.0), (SKULL_MM, 1000.0), (BRAIN_MM, 34.0)):
        a, b, c = semi_axes
        hu[(x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 <= 1] = value
    noise = np.random.default_rng(7).normal(0, 3, hu.shape)
    return np.asarray(gaussian_filter(hu, (0, 0.5, 0.5)) + noise)


def _slice(name: str, number: int, height_mm: float) -> Dataset:
    """One slice without its pixels."""
    dataset, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid(name, number)
    dataset.file_meta = meta
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(name, "study"), uid(name, "series")
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = uid(name, "frame"), ""
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = "PHANTOM", name, "", "O"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20240101"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "120000"
    dataset.AccessionNumber, dataset.StudyID, dataset.ReferringPhysicianName = "A1", "1", ""
    dataset.Modality, dataset.Manufacturer, dataset.StudyDescription = "CT", "PHANTOM", "HEAD PLAIN"
    dataset.SeriesDescription, dataset.BodyPartExamined, dataset.PatientPosition = "HEAD 5.0 SOFT", "HEAD", "HFS"
    dataset.ImageType, dataset.SeriesNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], 2
    dataset.InstanceNumber, dataset.AcquisitionNumber = number + 1, 1
    dataset.KVP, dataset.ConvolutionKernel, dataset.SliceThickness = "120", "SOFT", SLICE_MM
    dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [PIXEL_MM, PIXEL_MM]
    edge = -PIXEL_MM * (ROWS - 1) / 2
    dataset.ImagePositionPatient = [edge, edge, float(height_mm)]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = ROWS
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = 40, 80
    return dataset
