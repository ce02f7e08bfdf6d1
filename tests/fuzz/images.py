"""A small CT series made in code: air, a disc of brain; what the targets bend out of shape."""

from collections.abc import Iterator
from io import BytesIO
from typing import Final

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

SIZE: Final = 8  # pixels a side
SLICES: Final = 12
UID_PLACE: Final = "1.2.3.99999999999999999999"  # of the SOP instance: as long as what a target puts in its place


def slice_of(number: int, *, size: int = SIZE, syntax: str = ExplicitVRLittleEndian) -> Dataset:
    """One axial CT slice, pixels included; ``number`` from 1 says where it lies."""
    ds, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = UID_PLACE if number == 1 else f"1.2.3.{number}"
    ds.file_meta = meta
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.1", "1.2.2", "1.2.4"
    ds.StudyDate, ds.StudyTime, ds.AcquisitionDateTime = "20260102", "101500", "20260102101500.5+0100"
    ds.PatientID, ds.PatientName, ds.AccessionNumber, ds.SpecificCharacterSet = "P1", "Doe^Jane", "A1", "ISO_IR 100"
    ds.Modality, ds.Manufacturer, ds.SeriesDescription = "CT", "Phantom", "head"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber, ds.SliceThickness = 2, number, 1, 5
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-2, -2, 5.0 * number], [1, 0, 0, 0, 1, 0]
    ds.PixelSpacing, ds.Rows, ds.Columns = [0.5, 0.5], size, size
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 1, -1024, "HU"
    ds.PixelData = pixels(size).tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def pixels(size: int) -> np.ndarray:
    """(size, size) stored values of a disc of brain in air."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.where(x**2 + y**2 < (size / 3) ** 2, 1064 + x - y, 24).astype("<u2")


def enhanced(slices: list[Dataset]) -> Dataset:
    """One Enhanced multi-frame image of classic slices."""
    frame_keywords = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
    ds = Dataset({e.tag: e for e in slices[0] if e.keyword not in (*frame_keywords, "RescaleSlope")})
    ds.file_meta = slices[0].file_meta
    ds.SOPClassUID, ds.NumberOfFrames = EnhancedCTImageStorage, len(slices)
    ds.PixelData = b"".join(one.PixelData for one in slices)
    ds["PixelData"].VR = "OW"
    shared, measures, plane, value = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.5], 5
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    value.RescaleSlope, value.RescaleIntercept, value.RescaleType = 1, -1024, "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    shared.PixelValueTransformationSequence = [value]
    ds.SharedFunctionalGroupsSequence = [shared]
    ds.PerFrameFunctionalGroupsSequence = list(_groups(slices))
    return ds


def _groups(slices: list[Dataset]) -> Iterator[Dataset]:
    for one in slices:
        group, place = Dataset(), Dataset()
        place.ImagePositionPatient = one.ImagePositionPatient
        group.PlanePositionSequence = [place]
        yield group


def encoded(ds: Dataset, *, implicit: bool = False) -> bytes:
    """The data set alone, without file meta information."""
    buffer = BytesIO()
    dcmwrite(buffer, _bare(ds), implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    return buffer.getvalue()


def read_again(ds: Dataset) -> Dataset:
    """The data set as a reader of its file has it: elements unconverted."""
    buffer = BytesIO()
    dcmwrite(buffer, ds, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def _bare(ds: Dataset) -> Dataset:
    return Dataset({e.tag: e for e in ds})
