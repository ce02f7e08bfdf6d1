"""Markers of shape, read from the mask alone: irregular shape, island and satellite."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask

from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Focus, Marker, MarkerName
from ichnode.findings.marker_rules import MarkerRules
from ichnode.findings.markers.told import focus_of, marker_of, nothing_to_read
from ichnode.findings.outlines import bays, gap_mm, largest_diameter_mm
from ichnode.findings.sections import Clot, Mask, Slice, area_mm2, largest, once_a_clot, opened, regions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Separate:
    """A part of the mask apart from the main one, on the slice that shows most of it; distances in that slice.

    It reaches from slice ``first`` to ``last``.
    """

    cut: Slice
    first: int
    last: int
    region: Mask
    diameter_mm: float
    gap_mm: float

    def focus(self, geometry: Geometry) -> Focus:
        return focus_of(self.cut, self.region, geometry)


def irregular(clot: Clot) -> Marker:
    """``irregularities`` or more on the largest slice: bays ``defect_mm`` deep in its outline, and separate foci.

    Slices that are as large count too, each for itself. A focus counts that comes within a slab of such a slice, as
    slices of a tilted gantry cut it beside its middle.
    Source: Barras et al., Stroke 2009;40:1325; Morotti et al., Stroke 2019;50:e50.
    """
    if not clot.slices:
        return nothing_to_read(MarkerName.IRREGULAR)
    rules = clot.rules
    found = max((_irregularities(cut, clot) for cut in clot.largest_slices), key=len)
    if len(found) < rules.irregularities:
        reason = f"{len(found)} irregularities on the largest slice, {rules.irregularities:g} are needed"
        return Marker(name=MarkerName.IRREGULAR, present=False, reason=reason)
    return marker_of(MarkerName.IRREGULAR, found, "", f"the largest of {len(found)} bays and separate foci")


def island(clot: Clot) -> Marker:
    """``islands`` small haematomas apart from the main one, or ``joined_islands`` of which some are joined to it.

    Small is a diameter of ``island_mm`` at most; joined ones are what an opening by ``bud_mm`` takes off a slice.
    Source: Li et al., Stroke 2017;48:3019.
    """
    if not clot.slices:
        return nothing_to_read(MarkerName.ISLAND)
    rules, geometry = clot.rules, clot.geometry
    apart = [part.focus(geometry) for part in _separate(clot) if part.diameter_mm <= rules.island_mm]
    joined = max((_buds(cut, geometry, rules) for cut in clot.slices), key=len)
    found = apart if len(apart) >= rules.islands else [*apart, *joined]
    if len(apart) < rules.islands and len(found) < rules.joined_islands:
        reason = f"{len(apart)} small separate haematomas and {len(joined)} joined ones"
        return Marker(name=MarkerName.ISLAND, present=False, reason=reason)
    return marker_of(MarkerName.ISLAND, found, "", f"the largest of {len(found)} small haematomas")


def satellite(clot: Clot) -> Marker:
    """A small haematoma apart from the main one: less than ``small_mm`` across, ``near_mm`` to ``far_mm`` away.

    Source: Shimoda et al., Stroke 2017.
    """
    if not clot.slices:
        return nothing_to_read(MarkerName.SATELLITE)
    rules = clot.rules
    seen = [
        part
        for part in _separate(clot)
        if part.diameter_mm < rules.small_mm and rules.near_mm <= part.gap_mm <= rules.far_mm
    ]
    wanted = f"less than {rules.small_mm:g} mm across and {rules.near_mm:g} to {rules.far_mm:g} mm from the main clot"
    return marker_of(MarkerName.SATELLITE, [part.focus(clot.geometry) for part in seen], wanted)


def _irregularities(cut: Slice, clot: Clot) -> list[Focus]:
    """The bays of a slice, and the separate foci that it shows."""
    rules, geometry = clot.rules, clot.geometry
    deep = [_bay(cut, line, geometry) for depth, line in bays(largest(cut.mask), geometry) if depth >= rules.defect_mm]
    near = np.abs(geometry.positions_mm - geometry.positions_mm[cut.index]) <= rules.slab_mm
    return deep + [part.focus(geometry) for part in _separate(clot) if near[part.first : part.last + 1].any()]


@once_a_clot
def _separate(clot: Clot) -> Iterator[_Separate]:
    """The parts of the mask apart from the largest; voxels connect by sides, not by corners."""
    rules, geometry = clot.rules, clot.geometry
    marked = np.stack([cut.mask for cut in clot.slices])
    labels, count = ndimage.label(marked)
    if count < 2:
        return
    main = labels == _main(labels, count, clot)
    in_reach = np.flatnonzero(main.any(axis=(1, 2)))
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        part = labels[box] == number
        z = int(part.sum(axis=(1, 2)).argmax())
        region = np.zeros(labels.shape[1:], np.bool_)
        region[box[1:]] = largest(part[z])
        z += box[0].start
        if main[z][region].any() or area_mm2(region, geometry) < rules.speck_mm2:
            continue
        nearest = int(in_reach[np.abs(in_reach - z).argmin()])
        yield _Separate(
            cut=clot.slices[z],
            first=clot.slices[box[0].start].index,
            last=clot.slices[box[0].stop - 1].index,
            region=region,
            diameter_mm=largest_diameter_mm(region, geometry),
            gap_mm=gap_mm(region, main[nearest], geometry),
        )


def _main(labels: NDArray[np.int32], count: int, clot: Clot) -> int:
    """Which of the ``count`` parts in ``labels`` (Z, Y, X) is the largest by volume."""
    volumes_ml = clot.geometry.voxel_volumes_ml[[cut.index for cut in clot.slices]]
    counts = [np.bincount(section.ravel(), minlength=count + 1) for section in labels]
    sizes_ml = volumes_ml @ np.array(counts)
    return int(sizes_ml[1:].argmax()) + 1


def _buds(cut: Slice, geometry: Geometry, rules: MarkerRules) -> list[Focus]:
    """Small haematomas that hang on the main one of a slice by less than twice ``bud_mm``."""
    main = largest(cut.mask)
    body = largest(opened(main, rules.bud_mm, geometry))
    if not body.any():
        return []
    return [
        focus_of(cut, region, geometry)
        for region in regions(main & ~body)
        if largest_diameter_mm(region, geometry) <= rules.island_mm and opened(region, rules.bud_mm / 2, geometry).any()
    ]


def _bay(cut: Slice, line: np.ndarray, geometry: Geometry) -> Focus:
    inside = polygon2mask(cut.mask.shape, line)
    row, column = np.round(line.mean(axis=0)).astype(int)
    inside[row, column] = True
    return focus_of(cut, inside, geometry)
