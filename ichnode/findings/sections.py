"""The cross-sections of a clot, in which markers are read, and plane geometry in mm on them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.domain.errors import BadGeometry
from ichnode.domain.geometry import Geometry
from ichnode.findings.marker_rules import MarkerRules

Mask = NDArray[np.bool_]
Hu = NDArray[np.int16] | NDArray[np.float32]
Floats = NDArray[np.float32]
T = TypeVar("T")

RULES: Final = MarkerRules()
GOES_ON: Final = 0.3  # of a dark part lies under and over clot
BLOOD_HU: Final = (0, 100)  # no blood lies outside: air, metal, calcification and bone count as the nearer end


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slice:
    """One cross-section of a clot, cropped: (Y, X) the clot with its pockets, ``filled``, and what is seen in it.

    ``hu`` is the mean of a slab, which is the slice itself unless slices are thin, and ``smooth`` the same smoothed.
    ``mask`` is the clot as it was marked. ``index`` and ``corner`` (row, column) say where it was cut out.
    """

    index: int
    corner: tuple[int, int]
    hu: Floats
    smooth: Floats
    mask: Mask
    filled: Mask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Clot:
    """What every marker is read from: ``mask`` (Z, Y, X) bool on the native ``hu`` (Z, Y, X), and its ``geometry``.

    ``slices`` are the cross-sections, none of an empty mask. ``rules``: the thresholds to read by.
    """

    mask: Mask
    hu: Hu
    geometry: Geometry
    rules: MarkerRules
    slices: tuple[Slice, ...]

    @property
    def largest_slices(self) -> tuple[Slice, ...]:
        """The slice of the largest area, and those that are as large but for ``large_share``."""
        areas = [np.count_nonzero(cut.mask) for cut in self.slices]
        return tuple(
            cut
            for cut, area in zip(self.slices, areas, strict=True)
            if area and area >= self.rules.large_share * max(areas)
        )


def clot_of(mask: Mask, hu: Hu, geometry: Geometry, rules: MarkerRules = RULES) -> Clot:
    """The clot ``mask`` (Z, Y, X) bool in the native image ``hu`` (Z, Y, X). Raises BadGeometry for other shapes."""
    check_shapes(mask, hu, geometry)
    slices = tuple(slices_of(mask, hu, geometry, rules)) if mask.any() else ()
    return Clot(mask=mask, hu=hu, geometry=geometry, rules=rules, slices=slices)


def once_a_clot(look: Callable[[Clot], Iterator[T]]) -> Callable[[Clot], tuple[T, ...]]:
    """What ``look`` finds in a clot, sought once: several markers are read from the same places."""
    found: WeakKeyDictionary[Clot, tuple[T, ...]] = WeakKeyDictionary()

    @wraps(look)
    def told(clot: Clot) -> tuple[T, ...]:
        if clot not in found:
            found[clot] = tuple(look(clot))
        return found[clot]

    return told


def slices_of(mask: Mask, hu: Hu, geometry: Geometry, rules: MarkerRules) -> Iterator[Slice]:
    """The slices of the clot ``mask`` (Z, Y, X) bool in the native ``hu`` (Z, Y, X), cropped with room for the closing.

    ``mask`` must not be empty.
    """
    room = _room_to_close(geometry, rules)
    ends = []
    for axis, margin in ((0, 0), (1, room), (2, room)):
        marked = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        ends.append(slice(max(0, int(marked[0]) - margin), int(marked[-1]) + 1 + margin))
    box = (ends[0], ends[1], ends[2])
    filled = _filled(mask[box], geometry, rules)
    blood, smooth = _smoothed(np.clip(hu[box], *BLOOD_HU).astype(np.float32), filled, geometry, rules)
    for z in range(len(filled)):
        yield Slice(
            index=ends[0].start + z,
            corner=(ends[1].start, ends[2].start),
            hu=blood[z],
            smooth=smooth[z],
            mask=mask[box][z],
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
    found = np.zeros(mask.shape)
    if mask.any():
        box = around(mask, 1)  # the unmarked voxel that is next lies within
        sampling = (geometry.row_spacing_mm, geometry.column_spacing_mm)
        found[box] = ndimage.distance_transform_edt(mask[box], sampling=sampling)
    return found


def distance_to_mm(region: Mask, reach_mm: float, geometry: Geometry) -> NDArray[np.float64]:
    """Distance (Y, X) of each voxel to ``region``, mm; without end where it is beyond ``reach_mm``."""
    found = np.full(region.shape, np.inf)
    if region.any():
        box = around(region, int(np.ceil(reach_mm / min(geometry.row_spacing_mm, geometry.column_spacing_mm))))
        found[box] = distance_mm(~region[box], geometry)
        found[found > reach_mm] = np.inf
    return found


def around(region: Mask, room: int) -> tuple[slice, slice]:
    """The rows and columns of ``region`` (Y, X), which is not empty, and ``room`` voxels more on each side."""
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    return (
        slice(max(0, int(rows[0]) - room), int(rows[-1]) + 1 + room),
        slice(max(0, int(columns[0]) - room), int(columns[-1]) + 1 + room),
    )


def eroded(mask: Mask, radius_mm: float, geometry: Geometry) -> Mask:
    """``mask`` (Y, X) without what lies within ``radius_mm`` of its edge."""
    return np.asarray(distance_mm(mask, geometry) > radius_mm, np.bool_)


def grown(mask: Mask, radius_mm: float, geometry: Geometry) -> Mask:
    """``mask`` (Y, X) and what lies within ``radius_mm`` of it."""
    return np.asarray(distance_to_mm(mask, radius_mm, geometry) <= radius_mm, np.bool_)


def opened(mask: Mask, radius_mm: float, geometry: Geometry) -> Mask:
    """``mask`` (Y, X) without what a disk of ``radius_mm`` does not reach from inside: rims and threads."""
    return grown(eroded(mask, radius_mm, geometry), radius_mm, geometry)


def closed(mask: Mask, radius_mm: float, geometry: Geometry) -> Mask:
    """``mask`` (Y, X) with what a disk of ``radius_mm`` does not reach from outside: clefts and pockets."""
    return eroded(grown(mask, radius_mm, geometry), radius_mm, geometry)


def regions(mask: Mask) -> Iterator[Mask]:
    """The connected parts of ``mask`` (Y, X); voxels connect by sides, not by corners."""
    labels, count = ndimage.label(mask)
    for number in range(1, count + 1):
        yield labels == number


def largest(mask: Mask) -> Mask:
    """The largest connected part of ``mask`` (Y, X); nothing of nothing."""
    labels, count = ndimage.label(mask)
    return np.asarray(labels == np.bincount(labels[labels > 0]).argmax(), np.bool_) if count else mask


def goes_on(clot: Clot, cut: Slice, dark: Mask) -> bool:
    """Whether there is clot above and below the ``dark`` part of a slice: else brain is mixed in and darkens it."""
    here = clot.slices.index(cut)
    step = max(1, round(clot.rules.slab_mm / float(np.median(clot.geometry.gaps_mm))))
    if here - step < 0 or here + step >= len(clot.slices):
        return False
    return all(np.mean(clot.slices[k].mask[dark]) > GOES_ON for k in (here - step, here + step))


def area_mm2(region: Mask, geometry: Geometry) -> float:
    """Area of ``region`` (Y, X), mm²."""
    return float(np.count_nonzero(region)) * geometry.row_spacing_mm * geometry.column_spacing_mm


def _room_to_close(geometry: Geometry, rules: MarkerRules) -> int:
    return int(np.ceil(rules.close_mm / min(geometry.row_spacing_mm, geometry.column_spacing_mm))) + 2


def _filled(mask: Mask, geometry: Geometry, rules: MarkerRules) -> Mask:
    """``mask`` (Z, Y, X) closed and filled a slice at a time; each part for itself, as what lies between is brain."""
    filled = mask.copy()
    room = _room_to_close(geometry, rules)
    labels, _ = ndimage.label(mask)
    for number, (slices, *_) in enumerate(ndimage.find_objects(labels), 1):
        part = labels[slices] == number
        box = around(part.any(axis=0), room)
        for z, section in enumerate(part, slices.start):
            filled[z][box] |= ndimage.binary_fill_holes(closed(section[box], rules.close_mm, geometry))
    return filled


def _smoothed(hu: Floats, filled: Mask, geometry: Geometry, rules: MarkerRules) -> tuple[Floats, Floats]:
    """Mean of slabs, and of the neighbours in them, of the clot's own voxels alone, so that brain does not darken the
    clot's edge nor bone brighten it; 0 outside."""
    slices = max(1, round(rules.slab_mm / float(np.median(geometry.gaps_mm))))
    sd = (0.0, rules.smooth_sd_mm / geometry.row_spacing_mm, rules.smooth_sd_mm / geometry.column_spacing_mm)
    sums = [
        ndimage.uniform_filter1d(part, slices, axis=0, mode="constant")
        for part in (hu * filled, filled.astype(np.float32))
    ]
    wide = [ndimage.gaussian_filter(part, sd, mode="constant") for part in sums]
    slab, smooth = (np.where(filled, of / np.maximum(count, 1e-6), 0) for of, count in (sums, wide))
    return slab.astype(np.float32), smooth.astype(np.float32)
