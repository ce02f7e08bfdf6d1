"""The blend sign, and the two parts of a clot that it and a fluid level are read from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Marker, MarkerName
from ichnode.findings.marker_rules import MarkerRules
from ichnode.findings.markers.told import focus_of, marker_of, nothing_to_read
from ichnode.findings.sections import (
    Clot,
    Mask,
    Slice,
    area_mm2,
    distance_to_mm,
    eroded,
    goes_on,
    largest,
    opened,
    regions,
)

ALONG_EDGE: Final = 0.33  # of the outline of a dark part; a chord across a disk is shorter than either arc
PASSED: Final = 0.8  # of the whole step lies within its width, as width is told between 10 and 90 %
BRIGHT_PERCENT: Final = 75  # of the HU off the rim: what the bright part has
DEEPEST_HU: Final = 30.0  # what is darker still counts as so dark: no black hole sets the border, nor does bone


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """A ``dark`` part (Y, X) that is open to the clot's edge and the ``bright`` one of the same slice, off its rim.

    ``off_rim`` is the dark part without the clot's rim, of which ``contrast_hu`` is told. ``between_hu`` parts them.
    """

    dark: Mask
    off_rim: Mask
    bright: Mask
    contrast_hu: float
    between_hu: float


def blend(clot: Clot) -> Marker:
    """A dark area next to a bright one with a well-defined margin, the dark one at the clot's edge.

    In a slice of the closed and filled clot: two parts, of ``blend_share`` of the area each at least, that differ by
    more than ``blend_hu`` and pass into each other within ``blend_transition_mm``.
    Source: Li et al., Stroke 2015;46:2119.
    """
    if not clot.slices:
        return nothing_to_read(MarkerName.BLEND)
    rules, geometry = clot.rules, clot.geometry
    seen = [
        focus_of(cut, parts.dark, geometry, parts.contrast_hu)
        for cut in clot.slices
        for parts in parts_of(clot, cut, rules.blend_width_mm)
        if parts.contrast_hu > rules.blend_hu
        and _is_of_a_size(cut, parts, rules)
        and _is_sharp(cut, parts, geometry, rules)
    ]
    wanted = f"of two parts that differ by more than {rules.blend_hu:g} HU within {rules.blend_transition_mm:g} mm"
    return marker_of(MarkerName.BLEND, seen, wanted)


def parts_of(clot: Clot, cut: Slice, width_mm: float) -> Iterator[Parts]:
    """The dark parts of a slice, ``width_mm`` wide at least, each with the bright part; none where brain darkens it."""
    geometry, rules = clot.geometry, clot.rules
    core = eroded(cut.filled, rules.rim_mm, geometry)
    if area_mm2(core, geometry) < rules.blend_slice_mm2 or np.ptp(cut.smooth[core]) <= rules.level_hu:
        return
    brightest = float(np.percentile(cut.smooth[core], BRIGHT_PERCENT))
    between_hu = float(threshold_otsu(np.clip(cut.smooth[core], brightest - DEEPEST_HU, brightest)))
    bright = largest(core & (cut.smooth > between_hu))
    for dark in regions(opened(cut.filled & (cut.smooth <= between_hu), width_mm / 2, geometry)):
        off_rim = dark & core
        if area_mm2(off_rim, geometry) < rules.dark_area_mm2 or not goes_on(clot, cut, off_rim):
            continue
        if _is_open(cut, dark):
            contrast_hu = float(cut.hu[bright].mean() - cut.hu[off_rim].mean())
            yield Parts(dark=dark, off_rim=off_rim, bright=bright, contrast_hu=contrast_hu, between_hu=between_hu)


def _is_open(cut: Slice, dark: Mask) -> bool:
    """Whether the ``dark`` part lies along the clot's edge: a streak that opens there has blood on its two sides."""
    outline = dark & ~ndimage.binary_erosion(dark)
    edge = cut.filled & ~ndimage.binary_erosion(cut.filled)
    return bool(np.count_nonzero(outline & edge) >= ALONG_EDGE * np.count_nonzero(outline))


def _is_of_a_size(cut: Slice, parts: Parts, rules: MarkerRules) -> bool:
    least = min(np.count_nonzero(parts.dark), np.count_nonzero(parts.bright))
    return bool(least >= rules.blend_share * np.count_nonzero(cut.filled))


def _is_sharp(cut: Slice, parts: Parts, geometry: Geometry, rules: MarkerRules) -> bool:
    """Whether the HU of the two sides, half the transition from their border, differ by nearly the contrast."""
    half_mm = rules.blend_transition_mm / 2
    reach_mm = rules.blend_transition_mm
    to_bright, to_dark = (distance_to_mm(part, reach_mm, geometry) for part in (parts.bright, parts.off_rim))
    below = parts.off_rim & (to_bright > half_mm) & (to_bright <= 2 * half_mm)
    above = parts.bright & (to_dark > half_mm) & (to_dark <= 2 * half_mm)
    if not (below.any() and above.any()):
        return False
    return bool(cut.hu[above].mean() - cut.hu[below].mean() >= PASSED * parts.contrast_hu)
