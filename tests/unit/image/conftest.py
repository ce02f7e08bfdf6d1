"""Heads, stacks and series made in code, and where the real ones lie."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian

from ichnode.domain.geometry import Geometry
from ichnode.domain.values import FrameSource, Volume

DATA = Path(os.environ.get("ICHNODE_DATA", Path(__file__).resolve().parents[4] / "shared" / "data"))
FRAME_KEYWORDS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")
RESCALE_KEYWORDS = ("RescaleSlope", "RescaleIntercept", "RescaleType")


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"real head CT not found at {DATA}; set ICHNODE_DATA")
    return DATA


@pytest.fixture
def stack() -> Callable[..., Geometry]:
    """A stack of slices: ``lean_mm`` is the in-plane drift per slice, ``centre`` the patient point at its middle."""

    def make(
        slices=32,
        size=128,
        spacing_mm=1.8,
        gap_mm=5.0,
        row=(1.0, 0.0, 0.0),
        column=(0.0, 1.0, 0.0),
        lean_mm=0.0,
        centre=(0.0, 0.0, 0.0),
        gaps_mm=None,
    ) -> Geometry:
        row, column = np.array(row, float), np.array(column, float)
        gaps = np.full(slices - 1, gap_mm) if gaps_mm is None else np.asarray(gaps_mm, float)
        along = np.concatenate([[0], np.cumsum(gaps)])
        along -= along.mean()
        corner = np.array(centre) - (row + column) * spacing_mm * (size - 1) / 2
        origins = corner + np.outer(along, np.cross(row, column)) + np.outer(along / gap_mm * lean_mm, column)
        return Geometry(
            origins_mm=origins,
            row_cosine=row,
            column_cosine=column,
            row_spacing_mm=spacing_mm,
            column_spacing_mm=spacing_mm,
            rows=size,
            columns=size,
        )

    return make


def ellipsoid_on(geometry: Geometry, centre, radii_mm) -> np.ndarray:
    """(Z, Y, X) bool: voxels whose centre lies in an ellipsoid of patient space (LPS, mm)."""
    down = np.outer(np.arange(geometry.rows) * geometry.row_spacing_mm, geometry.column_cosine)
    across = np.outer(np.arange(geometry.columns) * geometry.column_spacing_mm, geometry.row_cosine)
    mask = np.zeros(geometry.shape, bool)
    for k, origin in enumerate(geometry.origins_mm - centre):
        far = 0.0
        for axis in range(3):
            far = far + ((origin[axis] + down[:, None, axis] + across[None, :, axis]) / radii_mm[axis]) ** 2
        mask[k] = far < 1
    return mask


def head_on(geometry: Geometry, *, bleed=None, opening=None) -> np.ndarray:
    """(Z, Y, X) int16 HU of a simple head: scalp, skull, brain with a darker middle; all of it sampled at the centres.

    ``bleed`` = (centre, radii) of a clot of 70 HU; ``opening`` = (centre, radii) of a hole in the skull.
    """
    hu = np.full(geometry.shape, -1000, np.int16)
    hu[ellipsoid_on(geometry, (0, 0, 0), (80, 100, 90))] = 45
    bone = ellipsoid_on(geometry, (0, 0, 0), (75, 95, 85))
    if opening:
        bone &= ~ellipsoid_on(geometry, *opening)
    hu[bone] = 1000
    hu[ellipsoid_on(geometry, (0, 0, 0), (67, 87, 77))] = 35
    hu[ellipsoid_on(geometry, (20, -10, 5), (12, 30, 15))] = 8  # off every middle, so that a flip is seen
    if bleed:
        hu[ellipsoid_on(geometry, *bleed)] = 70
    return hu


@pytest.fixture
def ellipsoid():
    return ellipsoid_on


@pytest.fixture
def head():
    return head_on


@pytest.fixture
def head_volume() -> Callable[..., Volume]:
    def make(geometry: Geometry, **parts) -> Volume:
        sources = tuple(FrameSource(sop_instance_uid=f"1.2.{k}") for k in range(len(geometry.origins_mm)))
        return Volume(hu=head_on(geometry, **parts), geometry=geometry, sources=sources)

    return make


@pytest.fixture
def classic() -> Callable[..., list[Dataset]]:
    """A classic CT series of the given HU: one data set a slice, ascending; change them to taste."""

    def make(hu: np.ndarray, geometry: Geometry, *, slope=1, intercept=-1024, bits=16, signed=False) -> list[Dataset]:
        stored = np.round((hu - intercept) / slope).astype("<i2" if signed else "<u2")
        return [_slice(stored[k], geometry, k, slope, intercept, bits, signed=signed) for k in range(len(hu))]

    return make


def _slice(stored, geometry, k, slope, intercept, bits, *, signed) -> Dataset:
    ds, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = f"1.2.826.0.1.{k + 1}"
    ds.file_meta = meta
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.1", "1.2.2", "1.2.3"
    ds.Modality, ds.InstanceNumber, ds.AcquisitionNumber, ds.SliceThickness = "CT", k + 1, 1, 5
    ds.ImagePositionPatient = [float(f"{v:.8g}") for v in geometry.origins_mm[k]]
    ds.ImageOrientationPatient = [float(f"{v:.8g}") for v in (*geometry.row_cosine, *geometry.column_cosine)]
    ds.PixelSpacing = [geometry.row_spacing_mm, geometry.column_spacing_mm]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, bits, bits - 1, int(signed)
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = slope, intercept, "HU"
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OW"
    return ds


@pytest.fixture
def enhanced() -> Callable[..., Dataset]:
    """One Enhanced multi-frame image of classic slices, in the order given; ``shared`` groups stand once for all."""

    def make(slices: list[Dataset], *, shared=("PixelMeasures", "PlaneOrientation", "PixelValueTransformation")):
        ds = Dataset()
        ds.update({e.tag: e for e in slices[0] if e.keyword not in (*FRAME_KEYWORDS, *RESCALE_KEYWORDS)})
        ds.file_meta = slices[0].file_meta
        ds.SOPClassUID, ds.NumberOfFrames = EnhancedCTImageStorage, len(slices)
        ds.PixelData = b"".join(one.PixelData for one in slices)
        ds["PixelData"].VR = "OW"
        groups = [_groups(one) for one in slices]
        ds.SharedFunctionalGroupsSequence = [_only(groups[0], shared, inside=True)]
        ds.PerFrameFunctionalGroupsSequence = [_only(group, shared, inside=False) for group in groups]
        return ds

    return make


def _groups(one: Dataset) -> dict[str, Dataset]:
    position, orientation, measures, value, content = (Dataset() for _ in range(5))
    position.ImagePositionPatient = one.ImagePositionPatient
    orientation.ImageOrientationPatient = one.ImageOrientationPatient
    measures.PixelSpacing, measures.SliceThickness = one.PixelSpacing, one.SliceThickness
    for keyword in RESCALE_KEYWORDS:
        setattr(value, keyword, one[keyword].value)
    content.FrameAcquisitionNumber = one.AcquisitionNumber
    return {
        "PlanePosition": position,
        "PlaneOrientation": orientation,
        "PixelMeasures": measures,
        "PixelValueTransformation": value,
        "FrameContent": content,
    }


def _only(groups: dict[str, Dataset], names, *, inside: bool) -> Dataset:
    out = Dataset()
    for name, group in groups.items():
        if (name in names) == inside:
            setattr(out, f"{name}Sequence", [group])
    return out
