"""Markers of dark places within the clot: hypodensity, black hole, swirl, heterogeneous density."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
from scipy import ndimage

from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Marker, MarkerName
from ichnode.findings.marker_rules import MarkerRules
from ichnode.findings.markers.told import focus_of, marker_of, nothing_to_read, untold
from ichnode.findings.sections import (
    BLOOD_HU,
    Clot,
    Mask,
    Slice,
    area_mm2,
    distance_to_mm,
    eroded,
    goes_on,
    largest,
    once_a_clot,
    regions,
)

BRIGHT_PERCENT: Final = 75  # of the clot's HU: where the search for darker places begins
STEP_HU: Final = 2.0  # between the levels at which dark places are told apart


def hypodensity(clot: Clot) -> Marker:
    """Any hypodense region strictly encapsulated in the clot.

    In a slice of the closed and filled clot, smoothed: a place darker by ``dark_hu`` than the ring of clot around it,
    of ``dark_area_mm2`` at least, with a wall of brighter blood between it and the edge.
    Source: Boulouis et al., JAMA Neurol 2016;73:961.
    """
    if not clot.slices:
        return nothing_to_read(MarkerName.HYPODENSITY)
    rules = clot.rules
    seen = [focus_of(cut, region, clot.geometry, contrast) for cut, region, contrast in _encapsulated(clot)]
    wanted = f"darker than the clot by {rules.dark_hu:g} HU, {rules.dark_area_mm2:g} mm² and encapsulated"
    return marker_of(MarkerName.HYPODENSITY, seen, wanted)


def black_hole(clot: Clot) -> Marker:
    """A hypodensity that is darker by more than ``black_hole_hu`` than the ring of clot around it.

    Source: Li et al., Stroke 2016;47:1777.
    """
    if not clot.slices:
        return nothing_to_read(MarkerName.BLACK_HOLE)
    rules = clot.rules
    seen = [
        focus_of(cut, region, clot.geometry, contrast_hu)
        for cut, region, contrast_hu in _encapsulated(clot)
        if contrast_hu > rules.black_hole_hu
    ]
    wanted = f"encapsulated and darker than the clot around it by more than {rules.black_hole_hu:g} HU"
    return marker_of(MarkerName.BLACK_HOLE, seen, wanted)


def swirl(clot: Clot, brain_hu: float | None) -> Marker:
    """A region within the clot as dark as brain or darker; it may be open to the edge.

    In a slice, within the clot as marked and its pockets but off its rim, outlined half-way between its darkest and
    its surroundings: its median not denser than ``brain_hu``, that of the other hemisphere, by more than ``swirl_hu``;
    of ``dark_area_mm2`` at least, with clot above and below, and darker by ``dark_hu`` than the ring of clot around it,
    which the dark side of a blend is not. Undetermined without ``brain_hu``.
    Source: Selariu et al., Acta Neurol Scand 2012.
    """
    if not clot.slices:
        return nothing_to_read(MarkerName.SWIRL)
    if brain_hu is None:
        return untold(MarkerName.SWIRL, "the other hemisphere could not be measured")
    rules, geometry = clot.rules, clot.geometry
    seen = [
        focus_of(cut, region, geometry, contrast_hu)
        for cut in clot.slices
        for region, contrast_hu in _streaks(cut, brain_hu + rules.swirl_hu, geometry, rules)
        if goes_on(clot, cut, region)
    ]
    wanted = f"as dark as brain, which has {brain_hu:.0f} HU on the other side"
    return marker_of(MarkerName.SWIRL, seen, wanted)


def _streaks(cut: Slice, as_dark_hu: float, geometry: Geometry, rules: MarkerRules) -> Iterator[tuple[Mask, float]]:
    """Places off the rim, pockets included, whose median is ``as_dark_hu`` or less, and by how much they are darker.

    Outlined half-way as a hypodensity is: smoothing fills a streak from both sides, its own voxels tell its density.
    """
    place = _pockets_filled(cut) & eroded(cut.filled, rules.rim_mm, geometry)
    for seed in regions(place & (cut.smooth <= as_dark_hu + rules.dark_hu)):
        ring_hu = _ring_hu(cut, seed, geometry, rules)
        if ring_hu is None:
            continue
        half_hu = (ring_hu + float(cut.smooth[seed].min())) / 2
        region = largest(seed & (cut.smooth <= half_hu))
        if area_mm2(region, geometry) < rules.dark_area_mm2 or float(np.median(cut.hu[region])) > as_dark_hu:
            continue
        contrast_hu = _contrast_hu(cut, region, geometry, rules)
        if contrast_hu is not None and contrast_hu >= rules.dark_hu:
            yield region, contrast_hu


def heterogeneous(clot: Clot) -> Marker:
    """``foci`` hypodensities or more on the largest slice. Source: Barras et al., Stroke 2009;40:1325."""
    if not clot.slices:
        return nothing_to_read(MarkerName.HETEROGENEOUS)
    rules = clot.rules
    large = {cut.index for cut in clot.largest_slices}
    places = [place for place in _encapsulated(clot) if place[0].index in large]
    counts = Counter(cut.index for cut, _, _ in places)
    index, count = counts.most_common(1)[0] if counts else (0, 0)
    if count < rules.foci:
        reason = f"{count} hypodensities on the largest slice, {rules.foci:g} are needed"
        return Marker(name=MarkerName.HETEROGENEOUS, present=False, reason=reason)
    seen = [focus_of(cut, region, clot.geometry, hu) for cut, region, hu in places if cut.index == index]
    return marker_of(MarkerName.HETEROGENEOUS, seen, "", f"the largest of {count} hypodensities on this slice")


@once_a_clot
def _encapsulated(clot: Clot) -> Iterator[tuple[Slice, Mask, float]]:
    """The hypodensities, a slice at a time, and by how many HU each is darker than the clot around it.

    Each is outlined half-way between its darkest and its surroundings. These, not the median of the clot, are what it
    is compared with: half of a clot may be dark.
    """
    rules, geometry = clot.rules, clot.geometry
    if not clot.slices:
        return
    bright_hu = float(np.percentile(clot.hu[clot.mask], BRIGHT_PERCENT))
    from_hu = min(bright_hu, BLOOD_HU[1]) - rules.wall_hu  # metal and calcification are no bright blood
    for cut in clot.slices:
        edge = cut.filled & ~ndimage.binary_erosion(cut.filled)
        for basin in _basins(cut, cut.filled, edge, from_hu, geometry, rules):
            ring_hu = _ring_hu(cut, basin, geometry, rules)
            if ring_hu is None:
                continue
            half_hu = (ring_hu + float(cut.smooth[basin].min())) / 2
            region = largest(basin & (cut.smooth <= half_hu))
            if _reaches(region, cut.filled & (cut.smooth <= half_hu), edge):
                continue
            contrast_hu = _contrast_hu(cut, region, geometry, rules)
            large = area_mm2(region, geometry) >= rules.dark_area_mm2
            if large and contrast_hu is not None and contrast_hu >= rules.dark_hu:
                yield cut, region, contrast_hu


def _reaches(region: Mask, dark: Mask, edge: Mask) -> bool:
    """Whether ``region`` goes on to the ``edge`` within what is ``dark``."""
    labels, _ = ndimage.label(dark)
    return bool(np.intersect1d(labels[region], labels[edge & dark]).any())


def _basins(
    cut: Slice, within: Mask, edge: Mask, below_hu: float, geometry: Geometry, rules: MarkerRules
) -> Iterator[Mask]:
    """The parts of ``within`` darker than ``below_hu`` that blood encloses, each apart from the others.

    What reaches the edge, or holds several dark places, is looked at again at a lower level: a wall between them must
    be brighter than the place by ``wall_hu``.
    """
    for region in regions(within & (cut.smooth < below_hu)):
        if area_mm2(region, geometry) < rules.dark_area_mm2 / 2:
            continue
        is_open = bool((region & edge).any())
        deeper = [
            each
            for each in _basins(cut, region, edge, below_hu - STEP_HU, geometry, rules)
            if below_hu - float(cut.smooth[each].min()) >= rules.wall_hu
        ]
        if is_open or len(deeper) > 1:
            yield from deeper
        else:
            yield region


def _pockets_filled(cut: Slice) -> Mask:
    """The clot as marked with what it encloses: no cleft between two lobes."""
    return np.asarray(ndimage.binary_fill_holes(cut.mask), np.bool_)


def _contrast_hu(cut: Slice, region: Mask, geometry: Geometry, rules: MarkerRules) -> float | None:
    """By how much ``region`` is darker than the ring of clot around it; None where it is empty or has no ring."""
    ring_hu = _ring_hu(cut, region, geometry, rules) if region.any() else None
    return None if ring_hu is None else ring_hu - float(np.median(cut.hu[region]))


def _ring_hu(cut: Slice, region: Mask, geometry: Geometry, rules: MarkerRules) -> float | None:
    """Median HU of the clot within ``ring_mm`` around ``region``, beyond the slope that smoothing made of its edge."""
    away = distance_to_mm(region, rules.ring_mm + rules.smooth_sd_mm, geometry) - rules.smooth_sd_mm
    ring = cut.filled & (away > 0) & (away <= rules.ring_mm)
    return float(np.median(cut.hu[ring])) if ring.any() else None
