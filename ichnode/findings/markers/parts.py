"""The blend sign, and the two parts of a clot that it and a fluid level are read from."""

from typing import Final

import numpy as np
from skimage.filters import threshold_otsu

from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Marker, MarkerName
from ichnode.findings.marker_rules import MarkerRules
from ichnode.findings.markers.told import focus_of, marker_of, nothing_to_read
from ichnode.findings.sections import Clot, Mask, Slice, area_mm2, distance_mm, eroded, largest, opened

GOES_ON: Final = 0.3  # of a dark part lies under and over clot
PASSED: Final = 0.8  # of the whole step lies within its width, as width is told between 10 and 90 %


def blend(clot: Clot) -> Marker:
    """A dark area next to a bright one with a well-defined margin, the dark one at the clot's edge.

    In a slice of the closed and filled clot: two parts, of ``blend_share`` of the area each at least, that differ by
    more than ``blend_hu`` and pass into each other within ``blend_transition_mm``.
    Source: Li et al., Stroke 2015;46:2119.
    """
    if not clot.slices:
        return nothing_to_read(MarkerName.BLEND)
    rules, geometry, seen = clot.rules, clot.geometry, []
    for cut in clot.slices:
        parts = two_parts(cut, geometry, rules)
        if parts is None or not goes_on(clot, cut, parts[0]):
            continue
        dark, bright = parts
        contrast_hu = float(cut.hu[bright].mean() - cut.hu[dark].mean())
        if contrast_hu > rules.blend_hu and _is_sharp(cut, dark, bright, contrast_hu, geometry, rules):
            seen.append(focus_of(cut, dark, geometry, contrast_hu))
    wanted = f"parts that differ by more than {rules.blend_hu:g} HU within {rules.blend_transition_mm:g} mm"
    return marker_of(MarkerName.BLEND, seen, wanted)


def goes_on(clot: Clot, cut: Slice, dark: Mask) -> bool:
    """Whether there is clot above and below the ``dark`` part of a slice: else brain is mixed in and darkens it."""
    here = clot.slices.index(cut)
    step = max(1, round(clot.rules.slab_mm / float(np.median(clot.geometry.gaps_mm))))
    if here - step < 0 or here + step >= len(clot.slices):
        return False
    return all(np.mean(clot.slices[k].mask[dark]) > GOES_ON for k in (here - step, here + step))


def two_parts(cut: Slice, geometry: Geometry, rules: MarkerRules) -> tuple[Mask, Mask] | None:
    """The dark part at the clot's edge and the bright part of a slice; None where it has no two parts of a size."""
    core = eroded(cut.filled, rules.rim_mm, geometry)
    whole_mm2 = area_mm2(cut.filled, geometry)
    if area_mm2(core, geometry) < rules.blend_slice_mm2 or np.ptp(cut.smooth[core]) <= rules.level_hu:
        return None
    between_hu = threshold_otsu(cut.smooth[core])
    bright = largest(core & (cut.smooth > between_hu))
    dark = largest(opened(core & (cut.smooth <= between_hu), rules.blend_width_mm / 2, geometry))
    large = min(area_mm2(dark, geometry), area_mm2(bright, geometry)) >= rules.blend_share * whole_mm2
    return (dark, bright) if large and _is_open(cut, dark, core, between_hu, geometry, rules) else None


def _is_open(cut: Slice, dark: Mask, core: Mask, between_hu: float, geometry: Geometry, rules: MarkerRules) -> bool:
    """Whether the rim of the clot beside the ``dark`` part is dark as well: no bright blood encloses it."""
    beside = cut.filled & ~core & (distance_mm(~dark, geometry) <= rules.rim_mm)
    return bool(beside.any()) and float(np.median(cut.smooth[beside])) <= between_hu


def _is_sharp(cut: Slice, dark: Mask, bright: Mask, contrast_hu: float, geometry: Geometry, rules: MarkerRules) -> bool:
    """Whether the HU of the two sides, half the transition from their border, differ by nearly the contrast."""
    half_mm = rules.blend_transition_mm / 2
    to_bright, to_dark = distance_mm(~bright, geometry), distance_mm(~dark, geometry)
    below = dark & (to_bright > half_mm) & (to_bright <= 2 * half_mm)
    above = bright & (to_dark > half_mm) & (to_dark <= 2 * half_mm)
    if not (below.any() and above.any()):
        return False
    return bool(cut.hu[above].mean() - cut.hu[below].mean() >= PASSED * contrast_hu)
