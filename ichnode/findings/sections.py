"""The cross-sections of a clot, in which markers are read, and plane geometry in mm on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.domain.errors import BadGeometry
from ichnode.domain.geometry import Geometry
from ichnode.findings.marker_rules import MarkerRules

Mask = NDArray[np.bool_]
Hu = NDArray[np.int16] | NDArray[np.float32]
Floats = NDArray[np.float32]

BLOOD_HU: Final = (0, 100)  # no blood lies outside: air, metal, calcification and bone count as the nearer end


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice:
    """One cross-section of a clot, cropped: ``hu`` and ``smooth`` (Y, X), and the clot with its pockets, ``filled``.

    ``index`` and ``corner`` (row, column) say where it was cut out of the volume.
    """

    index: int
    corner: tuple[int, int]
    hu: Floats
    smooth: Floats
    filled: Mask


def slices_of(mask: Mask, hu: Hu, geometry: Geometry, rules: MarkerRules) -> Iterator[Slice]:
    """The slices of the clot ``mask`` (Z, Y, X) bool in the native ``hu`` (Z, Y, X), cropped with room for the closing.

    ``mask`` must not be empty.
    """
    room = int(np.ceil(rules.close_mm / min(geometry.row_spacing_mm, geometry.column_spacing_mm))) + 2
    ends = []
    for axis, margin in ((0, 0), (1, room), (2, room)):
        marked = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        ends.append(slice(max(0, int(marked[0]) - margin), int(marked[-1]) + 1 + margin))
    box = (ends[0], ends[1], ends[2])
    filled = np.stack([ndimage.binary_fill_holes(closed(part, rules.close_mm, geometry)) for part in mask[box]])
    blood = np.clip(hu[box], *BLOOD_HU).astype(np.float32)
    smooth = _smoothed(blood, filled, geometry, rules)
    for z in range(len(filled)):
        yield Slice(
            index=ends[0].start + z,
            corner=(ends[1].start, ends[2].start),
            hu=blood[z],
            smooth=smooth[z],
            filled=filled[z],
        )


def check_shapes(mask: Mask, hu: Hu, geometry: Geometry) -> None:
    """Raises BadGeometry unless ``mask`` and ``hu`` (Z, Y, X) lie on the grid of ``geometry``."""
    if not mask.shape == hu.shape == geometry.shape:
        raise BadGeometry(f"Mask {mask.shape}, image {hu.shape} and geometry {geometry.shape} do not fit.")


def distance_mm(mask: Mask, geometry: Geometry) -> NDArray[np.float64]:
    """Distance (Y, X) of each marked voxel to the next unmarked one, mm; without end where all are marked."""
    if mask.all():
        return np.full(mask.shape, np.inf)
    sampling = (geometry.row_spacing_mm, geometry.column_spacing_mm)
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=sampling), np.float64)


def eroded(mask: Mask, radius_mm: float, geometry: Geometry) -> Mask:
    """``mask`` (Y, X) without what lies within ``radius_mm`` of its edge."""
    return np.asarray(distance_mm(mask, geometry) > radius_mm, np.bool_)


def opened(mask: Mask, radius_mm: float, geometry: Geometry) -> Mask:
    """``mask`` (Y, X) without what a disk of ``radius_mm`` does not reach from inside: rims and threads."""
    return np.asarray(distance_mm(~eroded(mask, radius_mm, geometry), geometry) <= radius_mm, np.bool_)


def closed(mask: Mask, radius_mm: float, geometry: Geometry) -> Mask:
    """``mask`` (Y, X) with what a disk of ``radius_mm`` does not reach from outside: clefts and pockets."""
    return eroded(distance_mm(~mask, geometry) <= radius_mm, radius_mm, geometry)


def regions(mask: Mask) -> Iterator[Mask]:
    """The connected parts of ``mask`` (Y, X); voxels connect by sides, not by corners."""
    labels, count = ndimage.label(mask)
    for number in range(1, count + 1):
        yield labels == number


def largest(mask: Mask) -> Mask:
    """The largest connected part of ``mask`` (Y, X); nothing of nothing."""
    labels, count = ndimage.label(mask)
    return np.asarray(labels == np.bincount(labels[labels > 0]).argmax(), np.bool_) if count else mask


def area_mm2(region: Mask, geometry: Geometry) -> float:
    """Area of ``region`` (Y, X), mm²."""
    return float(np.count_nonzero(region)) * geometry.row_spacing_mm * geometry.column_spacing_mm


def _smoothed(hu: Floats, filled: Mask, geometry: Geometry, rules: MarkerRules) -> Floats:
    """Mean of the clot's own voxels around each, so that brain does not darken the clot's edge nor bone brighten it."""
    slices = max(1, round(rules.slab_mm / float(np.median(geometry.gaps_mm))))
    sd = (0.0, rules.smooth_sd_mm / geometry.row_spacing_mm, rules.smooth_sd_mm / geometry.column_spacing_mm)
    sums = []
    for part in (hu * filled, filled.astype(np.float32)):
        slab = ndimage.uniform_filter1d(part, slices, axis=0, mode="constant")
        sums.append(ndimage.gaussian_filter(slab, sd, mode="constant"))
    return np.asarray(np.where(filled, sums[0] / np.maximum(sums[1], 1e-6), 0), np.float32)
