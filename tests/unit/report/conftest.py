"""Synthetic CT series with an ellipsoid of known volume, and the real headers with the same ellipsoid put in."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    SecondaryCaptureImageStorage,
)
from scipy import ndimage

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.followup import Baseline, Growth, Section
from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Bat, Focus, Marker, MarkerName
from ichnode.domain.outputs import Reference
from ichnode.domain.values import (
    Expansion,
    Findings,
    FrameSource,
    Laterality,
    Lesion,
    ModelIdentity,
    Onset,
    Size,
    Volume,
)
from ichnode.report.inputs import Installation, Source
from ichnode.report.uids import uid

REPOSITORY = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("ICHNODE_DATA", REPOSITORY.parent / "shared/data"))

SLICES, ROWS, COLUMNS, SPACING = 20, 128, 96, 1.8
AT = datetime(2026, 1, 5, 8, 20, 11)
MODEL = ModelIdentity(name="ich-small", version="0.1.0", sha256="0123456789abcdef" * 4)
CENTRE_MM, RADII_MM = np.array([20.0, 5.0, 48.0]), np.array([16.0, 20.0, 22.0])


@dataclass(frozen=True)
class Case:
    """A source and what is found in it."""

    source: Source
    findings: Findings

    def nothing_found(self) -> "Case":
        empty = np.zeros_like(self.findings.mask)
        return Case(self.source, findings_of(self.source.volume, empty))


def header(name: str, index: int, sop_class: str = CTImageStorage) -> Dataset:
    """What every synthetic image has; text in plain ASCII."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid("test-image", name, str(index))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid("test-study", name), uid("test-series", name)
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = uid("test-frame", name), ""
    ds.PatientName, ds.PatientID, ds.PatientSex, ds.PatientBirthDate = "Test^Phantom", "PID1", "M", "19500101"
    ds.PatientAge = "076Y"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = "20260105", "081500", "ACC1", "1"
    ds.ReferringPhysicianName, ds.StudyDescription = "", "CT HEAD"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "CT", 2, index + 1
    ds.Manufacturer, ds.ManufacturerModelName, ds.SoftwareVersions = "SYNTHETIC", "PHANTOM", ["1", "2"]
    ds.Rows, ds.Columns = ROWS, COLUMNS
    return ds


def stack(*, tilt_deg: float = 0.0, unequal: bool = False) -> Geometry:
    """A stack about the origin of the patient; ``unequal``: 2.5 mm below, 5 mm above."""
    z = np.arange(SLICES) * 5.0 if not unequal else np.concatenate([np.arange(10) * 2.5, 26.25 + np.arange(10) * 5.0])
    tilt = np.radians(tilt_deg)
    corner = np.array([-COLUMNS / 2 * SPACING, -ROWS / 2 * SPACING * np.cos(tilt), -ROWS / 2 * SPACING * np.sin(tilt)])
    return Geometry(
        origins_mm=np.round(corner + z[:, None] * np.array([0, 0, 1.0]), 6),
        row_cosine=np.array([1.0, 0, 0]),
        column_cosine=np.round(np.array([0, np.cos(tilt), np.sin(tilt)]), 8),
        row_spacing_mm=SPACING,
        column_spacing_mm=SPACING,
        rows=ROWS,
        columns=COLUMNS,
    )


def ellipsoid(geometry: Geometry, centre_mm: np.ndarray = CENTRE_MM, radii_mm: np.ndarray = RADII_MM) -> np.ndarray:
    """(Z, Y, X) bool, in the patient's own space."""
    row, column = np.mgrid[: geometry.rows, : geometry.columns]
    in_plane = (
        column[..., None] * geometry.column_spacing_mm * geometry.row_cosine
        + row[..., None] * geometry.row_spacing_mm * geometry.column_cosine
    )
    return np.stack([(((origin + in_plane - centre_mm) / radii_mm) ** 2).sum(-1) < 1 for origin in geometry.origins_mm])


def head(geometry: Geometry, mask: np.ndarray) -> np.ndarray:
    """HU (Z, Y, X) of a skull, a brain and a bleed where ``mask`` is."""
    noise = np.random.default_rng(7).normal(0, 4, geometry.shape)
    row, column = np.mgrid[: geometry.rows, : geometry.columns]
    radius = np.hypot((row - geometry.rows / 2) / 1.2, column - geometry.columns / 2) / geometry.columns
    hu = np.where(radius < 0.42, 33 + noise, np.where(radius < 0.46, 1100, -1000))
    return np.where(mask, 62 + noise, hu).astype(np.int16)


def findings_of(volume: Volume, mask: np.ndarray, **changes: object) -> Findings:
    """What measuring would say; written out here, for a room's tests import no other room."""
    areas, hu = mask.sum(axis=(1, 2)), volume.hu[mask].astype(float)
    values: dict[str, object] = {
        "volume_ml": float(areas @ volume.geometry.voxel_volumes_ml),
        "hu_mean": float(hu.mean()) if hu.size else None,
        "hu_sd": float(hu.std()) if hu.size else None,
        "key_slice": int(areas.argmax()) if hu.size else len(mask) // 2,
        "labels": mask.astype(np.uint16),
        "lesions": lesions_of(volume, mask),
        "model": MODEL,
        "expansion": Expansion(probability=0.63, threshold=0.4, trained_on_patients=False),
        "doubts": tuple(Doubt(flag=flag) for flag in sorted(volume.flags)),
    }
    return Findings(**(values | changes))  # type: ignore[arg-type]


def lesions_of(volume: Volume, mask: np.ndarray) -> tuple[Lesion, ...]:
    """The mask as one lesion; none of an empty mask."""
    hu, total_ml = volume.hu[mask].astype(float), float(mask.sum(axis=(1, 2)) @ volume.geometry.voxel_volumes_ml)
    if not hu.size:
        return ()
    return (Lesion(number=1, volume_ml=total_ml, hu_mean=float(hu.mean()), hu_sd=float(hu.std())),)


def focus_at(findings: Findings, volume: Volume, index: int, *, shift: int = 0, contrast_hu: float | None) -> Focus:
    """A small place within the haematoma of slice ``index``, ``shift`` rows below its middle."""
    geometry = volume.geometry
    row, column = (float(x) for x in np.argwhere(findings.mask[index]).mean(axis=0))
    row += shift
    position = (
        geometry.origins_mm[index]
        + row * geometry.row_spacing_mm * geometry.column_cosine
        + column * geometry.column_spacing_mm * geometry.row_cosine
    )
    around = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = 4.0 / geometry.row_spacing_mm
    contour = tuple((row + radius * float(np.sin(a)), column + radius * float(np.cos(a))) for a in around)
    x, y, z = (float(value) for value in position)
    return Focus(slice_index=index, position_mm=(x, y, z), area_mm2=50.3, contrast_hu=contrast_hu, contour=contour)


STATES = {  # marker -> present, contrast in HU of its places
    MarkerName.HYPODENSITY: (True, 21.0),
    MarkerName.BLACK_HOLE: (True, 34.0),
    MarkerName.SWIRL: (None, None),
    MarkerName.BLEND: (False, None),
    MarkerName.FLUID_LEVEL: (False, None),
    MarkerName.IRREGULAR: (True, None),
    MarkerName.HETEROGENEOUS: (False, None),
    MarkerName.ISLAND: (False, None),
    MarkerName.SATELLITE: (None, None),
}


def markers_of(findings: Findings, volume: Volume) -> tuple[Marker, ...]:
    """All nine markers: three present, the first two at one place, two that cannot be told."""
    key = findings.key_slice
    shared = [
        focus_at(findings, volume, key, contrast_hu=34.0),
        focus_at(findings, volume, key, shift=-8, contrast_hu=21.0),
    ]
    shape = [focus_at(findings, volume, key, shift=9, contrast_hu=None)]
    places = {MarkerName.HYPODENSITY: shared, MarkerName.BLACK_HOLE: shared[:1], MarkerName.IRREGULAR: shape}
    reasons = {True: "seen at the threshold", None: "too few slices to tell", False: "nothing reaches the threshold"}
    return tuple(
        Marker(name=name, present=present, reason=reasons[present], foci=tuple(places.get(name, ())))
        for name, (present, _) in STATES.items()
    )


BASELINE = Baseline(
    study_instance_uid="2.25.71",
    acquired_at=1767590000.0,
    volume_ml=18.1,
    paths=(),
    report=Reference(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", sop_instance_uid="2.25.72", series_instance_uid="2.25.73"
    ),
    seg=Reference(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4", sop_instance_uid="2.25.74", series_instance_uid="2.25.75"
    ),
)


def growth_of(case: Case, baseline_ml: float = 18.1) -> Growth:
    """Grown since a scan 5.2 hours before, which shows a smaller bleed in the plane of the key slice."""
    findings, volume = case.findings, case.source.volume
    smaller = ndimage.binary_erosion(findings.mask[findings.key_slice], iterations=3)
    hu = np.where(findings.mask[findings.key_slice] & ~smaller, 34, volume.hu[findings.key_slice]).astype(np.float32)
    return Growth(
        hours=5.2,
        baseline_ml=baseline_ml,
        followup_ml=findings.volume_ml,
        expanded=True,
        baseline=BASELINE,
        history=((0.0, 9.4), (2.1, baseline_ml), (7.3, findings.volume_ml)),
        before=Section(hu=hu, mask=smaller),
    )


def with_everything(case: Case) -> Case:
    """``case`` with all that can be said of a haematoma."""
    findings, volume = case.findings, case.source.volume
    said = replace(
        findings,
        size=Size(a_mm=44.1, b_mm=31.0, c_mm=40.0, diameter_mm=44.6, diameter_slice=findings.key_slice),
        laterality=Laterality.RIGHT,
        markers=markers_of(findings, volume),
        bat=Bat(low=2, high=4),
        growth=growth_of(case),
        doubts=(
            *findings.doubts,
            Doubt(flag=Flag.QF_TILT, evidence="leans by 18.2 degrees"),
            Doubt(flag=Flag.QF_TOUCH, evidence="12 voxels at the upper end"),
        ),
    )
    return Case(case.source, said)


ONSET = Onset(hours=1.5, source="ichnode onset, by hand")


def single_frames(name: str, geometry: Geometry) -> list[Dataset]:
    """One CT image a slice, without pixels: the report needs none."""
    images = []
    for index, origin in enumerate(geometry.origins_mm):
        ds = header(name, index)
        ds.ImagePositionPatient = [float(x) for x in origin]
        ds.ImageOrientationPatient = [float(x) for x in (*geometry.row_cosine, *geometry.column_cosine)]
        ds.PixelSpacing, ds.SliceThickness = [SPACING, SPACING], 5
        images.append(ds)
    return images


def enhanced(name: str, geometry: Geometry, frame_of_slice: Sequence[int], frames: int) -> Dataset:
    """One multi-frame CT of ``frames`` frames; slice i of the stack is frame ``frame_of_slice[i]``."""
    ds = header(name, 0, EnhancedCTImageStorage)
    ds.NumberOfFrames = frames
    measures, plane, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [SPACING, SPACING], 5
    plane.ImageOrientationPatient = [float(x) for x in (*geometry.row_cosine, *geometry.column_cosine)]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    ds.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for number in range(1, frames + 1):
        index = frame_of_slice.index(number) if number in frame_of_slice else 0
        position, group = Dataset(), Dataset()
        position.ImagePositionPatient = [float(x) for x in geometry.origins_mm[index]]
        group.PlanePositionSequence = [position]
        groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = groups
    return ds


def case_of(
    images: Sequence[Dataset], geometry: Geometry, sources: Sequence[FrameSource] = (), flags: Sequence[Flag] = ()
) -> Case:
    """A bleed found on ``images``; ``sources`` default to one image a slice."""
    mask = ellipsoid(geometry)
    sources = tuple(sources) or tuple(FrameSource(sop_instance_uid=str(ds.SOPInstanceUID)) for ds in images)
    volume = Volume(hu=head(geometry, mask), geometry=geometry, sources=tuple(sources), flags=frozenset(flags))
    return Case(Source(datasets=tuple(images), volume=volume), findings_of(volume, mask))


def axial() -> Case:
    geometry = stack()
    return case_of(list(reversed(single_frames("axial", geometry))), geometry, _sources("axial"))


def _sources(name: str) -> tuple[FrameSource, ...]:
    return tuple(FrameSource(sop_instance_uid=uid("test-image", name, str(index))) for index in range(SLICES))


def tilted() -> Case:
    geometry = stack(tilt_deg=18)
    return case_of(single_frames("tilted", geometry), geometry, flags=[Flag.QF_TILT])


def unequal() -> Case:
    geometry = stack(unequal=True)
    return case_of(single_frames("unequal", geometry), geometry, flags=[Flag.QF_UNEQUAL, Flag.QF_MISSING])


def bare() -> Case:
    """No frame of reference, no thickness, no sex, no date, no scanner."""
    geometry = stack()
    images = single_frames("bare", geometry)
    for ds in images:
        del ds.FrameOfReferenceUID, ds.PositionReferenceIndicator, ds.SliceThickness, ds.PatientSex, ds.StudyDate
        del ds.Manufacturer, ds.ManufacturerModelName, ds.ReferringPhysicianName, ds.AccessionNumber, ds.StudyID
    return case_of(images, geometry)


def multiframe() -> Case:
    """Frames stored from head to foot, with one frame between them that the volume left out."""
    geometry = stack()
    frames = [SLICES + 1 - index + (index < 10) for index in range(SLICES)]
    ds = enhanced("multiframe", geometry, frames, SLICES + 2)
    sources = [FrameSource(sop_instance_uid=str(ds.SOPInstanceUID), frame_number=number) for number in frames]
    return case_of([ds], geometry, sources)


CHINESE_NAME, CHINESE_STUDY = "Wang^XiaoDong=王^小东", "头颅CT平扫"
GB2312_IN_ISO_2022 = {  # each part that has Chinese letters starts with the escape sequence, PS3.5 K.1
    "PatientName": b"Wang^XiaoDong=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab ",
    "StudyDescription": b"\x1b$)A\xcd\xb7\xc2\xadCT\xc6\xbd\xc9\xa8 ",
}


def with_bytes(dataset: Dataset, keyword: str, vr: str, value: bytes) -> None:
    """Put an element as a file would have it."""
    tag = Tag(keyword)
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def declare_chinese(ds: Dataset, character_set: str | list[str]) -> None:
    """A Chinese name and study. pydicom cannot write ISO 2022 IR 58 itself: these are the bytes."""
    ds.SpecificCharacterSet = character_set
    if character_set == ["", "ISO 2022 IR 58"]:
        with_bytes(ds, "PatientName", "PN", GB2312_IN_ISO_2022["PatientName"])
        with_bytes(ds, "StudyDescription", "LO", GB2312_IN_ISO_2022["StudyDescription"])
    else:
        ds.PatientName, ds.StudyDescription = CHINESE_NAME, CHINESE_STUDY


def chinese(name: str, character_set: str | list[str]) -> Case:
    geometry = stack()
    images = single_frames(name, geometry)
    for ds in images:
        declare_chinese(ds, character_set)
    return case_of(images, geometry)


SYNTHETIC: dict[str, Callable[[], Case]] = {
    "axial": axial,
    "tilted": tilted,
    "unequal": unequal,
    "bare": bare,
    "multiframe": multiframe,
    "gb18030": lambda: chinese("gb18030", "GB18030"),
    "iso2022-58": lambda: chinese("iso2022-58", ["", "ISO 2022 IR 58"]),
}

REAL = {"ge-tilt": "dicom/ge-tilt", "philips-5mm": "dicom/philips-study/S2010"}


def real(name: str) -> Case:
    """A real series with the ellipsoid put in at the middle of its stack."""
    paths, volume, mask = _real_volume(name)
    images = tuple(dcmread(path, stop_before_pixels=True) for path in paths)
    return Case(Source(datasets=images, volume=volume), findings_of(volume, mask))


@cache
def _real_volume(name: str) -> tuple[tuple[Path, ...], Volume, np.ndarray]:
    """Files, ascending along the normal, their voxels and the ellipsoid; read once for all tests."""
    folder = DATA / REAL[name]
    if not folder.is_dir():
        pytest.skip(f"the real series {name} is not here: set ICHNODE_DATA to the folder of data that holds dicom/")
    images = {path: dcmread(path) for path in sorted(folder.iterdir())}
    first = next(iter(images.values()))
    cosines = np.array(first.ImageOrientationPatient, float)
    normal = np.cross(cosines[:3], cosines[3:])
    paths = sorted(images, key=lambda path: float(np.array(images[path].ImagePositionPatient, float) @ normal))
    ordered = [images[path] for path in paths]
    geometry = Geometry(
        origins_mm=np.array([ds.ImagePositionPatient for ds in ordered], float),
        row_cosine=cosines[:3],
        column_cosine=cosines[3:],
        row_spacing_mm=float(first.PixelSpacing[0]),
        column_spacing_mm=float(first.PixelSpacing[1]),
        rows=first.Rows,
        columns=first.Columns,
    )
    middle = geometry.origins_mm[len(ordered) // 2] + 0.5 * geometry.row_spacing_mm * (
        geometry.columns * geometry.row_cosine + geometry.rows * geometry.column_cosine
    )
    mask = ellipsoid(geometry, middle + np.array([22.0, 0, 0]), np.array([14.0, 22.0, 20.0]))
    hu = np.stack([ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in ordered])
    hu = np.where(mask, 62 + (hu - 33) / 2, hu).clip(-1024, 3071).astype(np.int16)
    due = {Flag.QF_TILT: geometry.is_tilted, Flag.QF_UNEQUAL: geometry.is_unequal}
    sources = tuple(FrameSource(sop_instance_uid=str(ds.SOPInstanceUID)) for ds in ordered)
    flags = frozenset(flag for flag, yes in due.items() if yes)
    return tuple(paths), Volume(hu=hu, geometry=geometry, sources=sources, flags=flags), mask


@pytest.fixture(params=[*SYNTHETIC, *REAL])
def any_case(request: pytest.FixtureRequest) -> Case:
    """Every kind of source, one after the other."""
    return SYNTHETIC[request.param]() if request.param in SYNTHETIC else real(request.param)


@pytest.fixture(scope="session")
def make_case() -> Callable[[str], Case]:
    """A case by its name, made anew: a test may change it."""
    made = SYNTHETIC | {"everything": lambda: with_everything(axial())}
    return lambda name: made[name]() if name in made else real(name)


@pytest.fixture(scope="session")
def everything() -> Case:
    """The axial case with all that can be said of a haematoma, growth included; not to be changed."""
    return with_everything(axial())


@pytest.fixture(scope="session")
def installation() -> Installation:
    return Installation(device_serial="ICHNODE-0001", node_version="0.1.0")


@pytest.fixture(scope="session")
def at() -> datetime:
    return AT


@pytest.fixture
def scout() -> Dataset:
    """A page that is no CT image and has no geometry."""
    ds = header("scout", 0, SecondaryCaptureImageStorage)
    ds.Modality = "OT"
    del ds.FrameOfReferenceUID, ds.PositionReferenceIndicator
    return ds


@pytest.fixture
def put_bytes() -> Callable[[Dataset, str, str, bytes], None]:
    """Puts an element into a dataset as a file would have it."""
    return with_bytes


@pytest.fixture
def put_chinese() -> Callable[[Dataset, str | list[str]], None]:
    """Puts a Chinese name and study description into a dataset."""
    return declare_chinese
