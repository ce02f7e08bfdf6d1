"""From DICOM images of one series to a volume in Hounsfield units on its own grid."""

import zlib
from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from ichnode.domain.errors import BadGeometry, Rejected, Retryable
from ichnode.domain.flags import Flag
from ichnode.domain.geometry import MIN_GAP_MM, Geometry, Vector
from ichnode.domain.values import FrameSource, Volume
from ichnode.image.frames import Frame, frames_of
from ichnode.image.pixels import check_lossless, hounsfield
from ichnode.image.readable import UNREADABLE, make_readable

UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
MIN_SLICES: Final = 10
MIN_AXIAL: Final = 0.9  # |z| of the slice normal
JITTER: Final = 1e-3  # orientations that differ by less are one, badly written
ROUNDING: Final = 1e-5  # and by less than this, not even badly
SPACING_MM: Final = 1e-4
PIXEL_MM: Final = (0.1, 3.0)  # what a head CT can have; anything else is a damaged header
LARGEST_GAP_MM: Final = 25.0
LARGEST_MATRIX: Final = 4096
MIN_AIR: Final = 0.02  # share of voxels: round every head there is air, unless the rescale was lost
AIR_HU: Final = -300
THICKNESS_MM: Final = (0.5, 6.0)  # slices for which the recipe was tried; others are flagged
SAME_THICKNESS_MM: Final = 0.1


def read_datasets(paths: Sequence[Path]) -> list[Dataset]:
    """The images at ``paths``, pixels included; every element of their headers can be read, see ``make_readable``.

    Raises Rejected for a file that is not DICOM, Retryable for one that cannot be read now.
    """
    datasets: list[Dataset] = []
    for path in paths:
        try:
            content = BytesIO(path.read_bytes())
        except OSError as error:
            raise Retryable(f"A file could not be read: {error.strerror}.") from error
        try:
            datasets.append(dcmread(content))
        except (InvalidDicomError, zlib.error, *UNREADABLE) as error:
            raise Rejected("One of the files is not a DICOM image.") from error
        make_readable(datasets[-1])
    return datasets


def load_series(datasets: Sequence[Dataset]) -> Volume:
    """The volume that the images of one series form: classic single frames, or Enhanced multi-frame ones, in any order.

    Flags: QF_TILT, QF_UNEQUAL, QF_THICK, and QF_HEADER where the header had to be mended or an acquisition left out.

    Raises Rejected or BadGeometry, with a sentence for the radiographer, for what cannot be an axial head CT volume.
    """
    _check_together(datasets)
    frames = frames_of(datasets)
    if len(frames) < MIN_SLICES:
        raise Rejected(f"The series has only {len(frames)} slice(s); a head CT needs at least {MIN_SLICES}.")
    _check_same(frames)
    row, column = _axes(frames)
    stack = _one_stack(frames, np.cross(row, column))
    geometry = Geometry(
        origins_mm=np.array([frame.position for frame in stack], np.float64),
        row_cosine=row,
        column_cosine=column,
        row_spacing_mm=stack[0].spacing[0],
        column_spacing_mm=stack[0].spacing[1],
        rows=stack[0].matrix[0],
        columns=stack[0].matrix[1],
    )
    _check_gaps(stack, geometry)
    mended = len(stack) < len(frames) or _is_mended(stack)
    hu = hounsfield(stack)
    if np.count_nonzero(hu < AIR_HU) < MIN_AIR * hu.size:
        raise Rejected("The images show no air round the head: their HU scale (rescale intercept or slope) is wrong.")
    return Volume(
        hu=hu,
        geometry=geometry,
        sources=tuple(_source(frame) for frame in stack),
        flags=_flags(stack, geometry, mended=mended),
    )


def _check_together(datasets: Sequence[Dataset]) -> None:
    if not datasets:
        raise Rejected("The series has no images.")
    for dataset in datasets:
        check_lossless(dataset)
    if not all(isinstance(dataset.get(uid), str) for dataset in datasets for uid in UIDS):
        raise Rejected("One of the images does not say which it is, or to which series and study it belongs.")
    if len({dataset.get("SeriesInstanceUID") for dataset in datasets}) > 1:
        raise Rejected("The images belong to more than one series.")
    if len({dataset.get("StudyInstanceUID") for dataset in datasets}) > 1:
        raise Rejected("The images belong to more than one study.")
    if len({str(dataset.get("PatientID", "")).strip() for dataset in datasets}) > 1:
        raise Rejected("The images belong to more than one patient.")
    if len({dataset.get("SOPInstanceUID") for dataset in datasets}) < len(datasets):
        raise Rejected("One of the images is there twice.")
    if len({str(dataset.get("FrameOfReferenceUID") or "") for dataset in datasets} - {""}) > 1:
        raise BadGeometry("The images do not share one frame of reference: the patient was moved in between.")


def _check_same(frames: Sequence[Frame]) -> None:
    for one, other in pairwise(frames):
        if one.matrix != other.matrix:
            sizes = " and ".join(f"{rows} × {columns}" for rows, columns in (one.matrix, other.matrix))
            raise BadGeometry(f"{_two(one, other)} have different sizes ({sizes} pixels); {_NOT_ONE}")
    first = frames[0]
    rows, columns = first.matrix
    if max(rows, columns) > LARGEST_MATRIX:
        raise Rejected(f"The images have {rows} × {columns} pixels, which no head CT has.")
    if not PIXEL_MM[0] <= min(first.spacing) <= max(first.spacing) <= PIXEL_MM[1]:
        raise BadGeometry(f"A pixel spacing of {_spacing_text(first)} cannot be that of a head CT.")
    for other in frames[1:]:
        if _apart(first.spacing, other.spacing) > SPACING_MM:
            a, b = (_spacing_text(frame) for frame in (first, other))
            raise BadGeometry(f"{_two(first, other)} have different pixel spacing ({a} and {b}); {_NOT_ONE}")
        if _apart(first.orientation, other.orientation) > JITTER:
            raise BadGeometry(f"{_two(first, other)} are not parallel; {_NOT_ONE}")


_NOT_ONE: Final = "the series cannot be one volume."


def _check_gaps(stack: Sequence[Frame], geometry: Geometry) -> None:
    widest = int(geometry.gaps_mm.argmax())
    if geometry.gaps_mm[widest] > LARGEST_GAP_MM:
        gap = f"{geometry.gaps_mm[widest]:.0f} mm"
        raise BadGeometry(f"{_two(stack[widest], stack[widest + 1])} lie {gap} apart; {_NOT_ONE}")


def _axes(frames: Sequence[Frame]) -> tuple[Vector, Vector]:
    """The one orientation of all slices, perpendicular and of unit length: rounding and jitter are averaged away."""
    six = np.mean([frame.orientation for frame in frames], axis=0)
    row, column = six[:3], six[3:]
    if max(abs(np.linalg.norm(row) - 1), abs(np.linalg.norm(column) - 1), abs(row @ column)) > JITTER:
        raise BadGeometry("The image orientation is damaged: its axes are not perpendicular unit vectors.")
    row = row / np.linalg.norm(row)
    column = column - (column @ row) * row
    column = column / np.linalg.norm(column)
    upright = abs(float(np.cross(row, column)[2]))
    if upright < MIN_AXIAL:
        angle = np.degrees(np.arccos(upright))
        raise BadGeometry(f"The slices are not axial: they lean {angle:.0f}° against the transverse plane.")
    return row, column


def _one_stack(frames: Sequence[Frame], normal: Vector) -> list[Frame]:
    """The frames by position along the normal; of several acquisitions at the same positions, the one that is whole."""
    stack = _sorted(frames, normal)
    twice = _twice(stack, normal)
    if not twice:
        return stack
    acquisitions = {frame.acquisition for frame in stack}
    by_size = sorted(([f for f in stack if f.acquisition == a] for a in acquisitions), key=len, reverse=True)
    if len(by_size) > 1 and len(by_size[0]) > len(by_size[1]) and _is_whole(by_size[0], stack, normal):
        return by_size[0]
    raise BadGeometry(
        f"{_two(*twice)} lie at the same position, and no single acquisition covers the whole head alone; {_NOT_ONE}"
    )


def _is_whole(part: Sequence[Frame], stack: Sequence[Frame], normal: Vector) -> bool:
    """Whether ``part`` has each position once and reaches as far as all frames together."""
    if len(part) < MIN_SLICES or _twice(part, normal):
        return False
    heights, all_heights = ([np.dot(f.position, normal) for f in each] for each in (part, stack))
    return bool(heights[0] - all_heights[0] < MIN_GAP_MM and all_heights[-1] - heights[-1] < MIN_GAP_MM)


def _sorted(frames: Iterable[Frame], normal: Vector) -> list[Frame]:
    return sorted(frames, key=lambda frame: float(np.dot(frame.position, normal)))


def _twice(stack: Sequence[Frame], normal: Vector) -> tuple[Frame, Frame] | None:
    for one, other in pairwise(stack):
        if np.dot(np.subtract(other.position, one.position), normal) < MIN_GAP_MM:
            return one, other
    return None


def _is_mended(stack: Sequence[Frame]) -> bool:
    """Whether anything was written so badly that the report must mend it too."""
    jitter = max(_apart(stack[0].orientation, frame.orientation) for frame in stack)
    unframed = any(not frame.dataset.get("FrameOfReferenceUID") for frame in stack)
    return jitter > ROUNDING or unframed or any(frame.thickness_mm is None for frame in stack)


def _flags(stack: Sequence[Frame], geometry: Geometry, *, mended: bool) -> frozenset[Flag]:
    thick = [frame.thickness_mm for frame in stack if frame.thickness_mm] or [float(np.median(geometry.gaps_mm))]
    odd = min(thick) < THICKNESS_MM[0] or max(thick) > THICKNESS_MM[1] or np.ptp(thick) > SAME_THICKNESS_MM
    seen = {
        Flag.QF_TILT: geometry.is_tilted,
        Flag.QF_UNEQUAL: geometry.is_unequal,
        Flag.QF_THICK: odd,
        Flag.QF_HEADER: mended,
    }
    return frozenset(flag for flag, is_set in seen.items() if is_set)


def _source(frame: Frame) -> FrameSource:
    number = None if frame.index is None else frame.index + 1
    return FrameSource(sop_instance_uid=str(frame.dataset.SOPInstanceUID), frame_number=number)


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _two(one: Frame, other: Frame) -> str:
    return f"Slices {one.number} and {other.number}"


def _spacing_text(frame: Frame) -> str:
    row, column = frame.spacing
    return f"{row:.4g} mm" if row == column else f"{row:.4g} × {column:.4g} mm"
