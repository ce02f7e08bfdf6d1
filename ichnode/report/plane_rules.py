"""What the gate holds against the place that an object says it has in the patient."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from ichnode.domain.geometry import MIN_GAP_MM, UNEQUAL_MM, Vector

SKEW: Final = 1e-3


def wrong_axes(picture: Dataset) -> Iterator[str]:
    """Axes of a picture that are not perpendicular unit vectors."""
    if "ImageOrientationPatient" in picture and not _are_axes(picture):
        yield "its axes are not perpendicular unit vectors"


def wrong_places(seg: Dataset) -> Iterator[str]:
    """Frames of a segmentation that lie where no frame can lie, or where its spacing says that none lies."""
    shared = seg.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0]
    if not _are_axes(orientation):
        yield "its axes are not perpendicular unit vectors"
        return
    row, column = _axes(orientation)
    heights = _heights(seg, np.cross(row, column))
    for one, other in pairwise(sorted(found for of_segment in heights.values() for found in of_segment)):
        gap = shared.PixelMeasuresSequence[0].get("SpacingBetweenSlices")
        steps = round((other - one) / float(gap)) if gap else 0
        if steps and abs(other - one - steps * float(gap)) > steps * UNEQUAL_MM:
            yield f"frames lie {other - one:.3g} mm apart, which is no multiple of {float(gap):.3g} mm"
            break
    for number, of_segment in heights.items():
        if any(other - one < MIN_GAP_MM for one, other in pairwise(sorted(of_segment))):
            yield f"two frames of segment {number} lie at the same place"


def _heights(seg: Dataset, normal: Vector) -> dict[int, list[float]]:
    """Heights (mm) of the frames along ``normal`` by segment; those of a label map under 0."""
    found: dict[int, list[float]] = {}
    for group in seg.PerFrameFunctionalGroupsSequence:
        identified = group.get("SegmentIdentificationSequence")
        number = int(identified[0].ReferencedSegmentNumber) if identified else 0
        position = np.array([float(mm) for mm in group.PlanePositionSequence[0].ImagePositionPatient])
        found.setdefault(number, []).append(float(position @ normal))
    return found


def _are_axes(item: Dataset) -> bool:
    axes = _axes(item)
    return axes.shape == (2, 3) and bool(np.allclose(axes @ axes.T, np.eye(2), atol=SKEW))


def _axes(item: Dataset) -> Vector:
    """(2, 3) row and column cosine; another shape where there are not six numbers."""
    values = np.array([float(value) for value in item.ImageOrientationPatient])
    return values.reshape(2, 3) if values.size == 6 else values
