"""Small head-like series with the traps of real headers in them, and what their true geometry is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from tests.peers.series import uid

SLICES, ROWS, COLUMNS = 12, 40, 36
ROW_MM, COLUMN_MM, STEP_MM = 1.5, 1.25, 5.0
CHINESE = "王^小东"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """How the slices lie: ``tilt_deg`` of the gantry, ``steps_mm`` of the table from slice to slice."""

    tilt_deg: float = 0.0
    steps_mm: tuple[float, ...] = (STEP_MM,) * (SLICES - 1)

    @property
    def voxels_ml(self) -> NDArray[np.float64]:
        """(Z,) volume of a voxel of each slice, by hand: half the way to either neighbour, along the normal."""
        gaps = np.array(self.steps_mm) * np.cos(np.radians(self.tilt_deg))
        thickness = (np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])) / 2
        return thickness * ROW_MM * COLUMN_MM / 1000


STACKS = {
    "plain": Stack(),
    "tilt": Stack(tilt_deg=18.0),
    "unequal": Stack(steps_mm=(2.5,) * 5 + (5.0,) * 6),
    "tilt and unequal": Stack(tilt_deg=-12.0, steps_mm=(2.5,) * 4 + (5.0,) * 7),
}


def series(stack: Stack, mask: NDArray[np.bool_]) -> list[Dataset]:
    """A block of brain in air, of 62 HU where ``mask`` (Z, Y, X) is in it, slices from the feet up."""
    hu = np.full((SLICES, ROWS, COLUMNS), -1000, np.int16)
    hu[:, 6:-6, 6:-6] = 33
    hu[mask & (hu > 0)] = 62
    heights = np.concatenate([[0.0], np.cumsum(stack.steps_mm)])
    return [_slice(stack, index, float(height), hu[index]) for index, height in enumerate(heights)]


def _slice(stack: Stack, index: int, height: float, hu: NDArray[np.int16]) -> Dataset:
    tilt = np.radians(stack.tilt_deg)
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, uid("trap", index)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("trap", "study"), uid("trap", "series")
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = uid("trap", "frame"), ""
    ds.PatientName, ds.PatientID, ds.PatientSex, ds.PatientBirthDate = "Trap^A", "T1", "F", "19500101"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = "20260105", "081500", "A1", "1"
    ds.ReferringPhysicianName, ds.StudyDescription, ds.Manufacturer = "", "CT HEAD", "TRAPS"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = "CT", 2, index + 1, 1
    ds.ImagePositionPatient = [-20.0, -30.0, height]
    ds.ImageOrientationPatient = [1, 0, 0, 0, round(float(np.cos(tilt)), 8), round(float(np.sin(tilt)), 8)]
    ds.PixelSpacing, ds.SliceThickness = [ROW_MM, COLUMN_MM], STEP_MM
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, 0, "HU"
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.Rows, ds.Columns = 1, "MONOCHROME2", ROWS, COLUMNS
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.PixelData = hu.astype("<i2").tobytes()
    ds.set_original_encoding(False, True)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


Trap = Callable[[Sequence[Dataset]], None]


def stated(keyword: str, vr: str, value: bytes) -> Trap:
    """Every image has these bytes."""

    def spring(images: Sequence[Dataset]) -> None:
        for image in images:
            tag = Tag(keyword)
            image[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)

    return spring


def name_in(encoding: str, *declared: str) -> Trap:
    """A Chinese name in ``encoding`` where the header declares something, rightly or not."""

    def spring(images: Sequence[Dataset]) -> None:
        stated("SpecificCharacterSet", "CS", "\\".join(declared).encode())(images)
        stated("PatientName", "PN", CHINESE.encode(encoding))(images)
        stated("StudyDescription", "LO", "头颅".encode(encoding))(images)

    return spring


def absent(*keywords: str) -> Trap:
    """No image has these."""

    def spring(images: Sequence[Dataset]) -> None:
        for image in images:
            for keyword in keywords:
                image.pop(Tag(keyword), None)

    return spring


def escaped(images: Sequence[Dataset]) -> None:
    """ISO 2022 with its escape sequences."""
    stated("SpecificCharacterSet", "CS", b"\\ISO 2022 IR 58")(images)
    stated("PatientName", "PN", b"Wang^XiaoDong=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab ")(images)


def jittered(size: float) -> Trap:
    """Each slice is turned a little, another way than the one before."""

    def spring(images: Sequence[Dataset]) -> None:
        for index, image in enumerate(images):
            six = [float(value) for value in image.ImageOrientationPatient]
            six[1] += size * (-1) ** index
            image.ImageOrientationPatient = [round(value, 9) for value in six]

    return spring


def mixed_spacing(images: Sequence[Dataset]) -> None:
    images[3].PixelSpacing = [ROW_MM * 1.1, COLUMN_MM * 1.1]


def twice_at_one_place(images: Sequence[Dataset]) -> None:
    images[4].ImagePositionPatient = list(images[3].ImagePositionPatient)


def varying_thickness(images: Sequence[Dataset]) -> None:
    for image in images[::2]:
        image.SliceThickness = 2.5


def moved(images: Sequence[Dataset]) -> None:
    images[-1].FrameOfReferenceUID = "2.25.99"


TRAPS: dict[str, Trap] = {
    "ISO 2022 IR 58": escaped,
    "GB18030": name_in("gb18030", "GB18030"),
    "GBK": name_in("gbk", "GBK"),
    "UTF-8": name_in("utf-8", "ISO_IR 192"),
    "GBK called GB2312": name_in("gbk", "GB2312"),
    "GBK called Latin-1": name_in("gbk", "ISO_IR 100"),
    "UTF-8 called GB18030": name_in("utf-8", "GB18030"),
    "a character set that nobody knows": name_in("gbk", "HOSPITAL"),
    "GBK undeclared": name_in("gbk"),
    "Sex=U": stated("PatientSex", "CS", b"U "),
    "bad birth date": stated("PatientBirthDate", "DA", b"19501345"),
    "bad study date": stated("StudyDate", "DA", b"2026.1.5"),
    "bad study time": stated("StudyTime", "TM", b"25:61"),
    "bad age and weight": lambda images: [
        stated("PatientAge", "AS", b"76")(images), stated("PatientWeight", "DS", b"80 kg ")(images)
    ].clear(),
    "long identifier": stated("PatientID", "LO", b"X" * 80),
    "missing type 2": absent("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyTime"),
    "no FrameOfReferenceUID": absent("FrameOfReferenceUID", "PositionReferenceIndicator"),
    "no SliceThickness": absent("SliceThickness"),
    "SliceThickness that is none": stated("SliceThickness", "DS", b"5 mm"),
    "IOP jitter": jittered(2e-4),
    "varying SliceThickness": varying_thickness,
    "no scanner, no numbers": absent("Manufacturer", "InstanceNumber", "AcquisitionNumber", "SeriesNumber"),
}  # fmt: skip
REJECTED: dict[str, tuple[Trap, str]] = {  # and the words that say why
    "mixed PixelSpacing": (mixed_spacing, "different pixel spacing"),
    "duplicate positions": (twice_at_one_place, "at the same position"),
    "IOP torn": (jittered(5e-3), "not parallel"),
    "two frames of reference": (moved, "frame of reference"),
    "no position": (absent("ImagePositionPatient"), "where it lies"),
    "no rescale": (absent("RescaleSlope", "RescaleIntercept"), "Hounsfield"),
}
