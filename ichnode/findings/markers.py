"""Markers of haematoma expansion, read from a mask and the image's own HU: hypodensity and blend sign.

Never from the network's input, which has lost all that is darker than the mean brain.
"""

from typing import Final

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Focus, Marker, MarkerName
from ichnode.findings.marker_rules import MarkerRules
from ichnode.findings.sections import (
    Hu,
    Mask,
    Slice,
    area_mm2,
    check_shapes,
    distance_mm,
    eroded,
    largest,
    opened,
    regions,
    slices_of,
)

PASSED: Final = 0.8  # of the whole step lies within its width, as width is told between 10 and 90 %
RULES: Final = MarkerRules()


def hypodensity(mask: Mask, hu: Hu, geometry: Geometry, rules: MarkerRules = RULES) -> Marker:
    """Any hypodense region strictly encapsulated in the clot.

    In a slice of the closed and filled ``mask`` (Z, Y, X) bool, smoothed: a region darker than the clot's median by
    ``dark_hu``, of ``dark_area_mm2`` at least, that nowhere touches the edge. ``hu`` (Z, Y, X) is the native image.
    Raises BadGeometry for shapes that do not fit. Source: Boulouis et al., JAMA Neurol 2016;73:961.
    """
    check_shapes(mask, hu, geometry)
    if not mask.any():
        return _nothing_to_read(MarkerName.HYPODENSITY)
    median_hu = float(np.median(hu[mask]))
    seen = []
    for cut in slices_of(mask, hu, geometry, rules):
        edge = cut.filled & ~ndimage.binary_erosion(cut.filled)
        for region in regions(cut.filled & (cut.smooth < median_hu - rules.dark_hu)):
            if area_mm2(region, geometry) >= rules.dark_area_mm2 and not (region & edge).any():
                seen.append(_focus(cut, region, geometry, median_hu - float(cut.hu[region].mean())))
    wanted = f"darker than the clot by {rules.dark_hu:g} HU, {rules.dark_area_mm2:g} mm² and encapsulated"
    return _marker(MarkerName.HYPODENSITY, seen, wanted)


def blend(mask: Mask, hu: Hu, geometry: Geometry, rules: MarkerRules = RULES) -> Marker:
    """A dark area next to a bright one with a well-defined margin, the dark one at the clot's edge.

    In a slice of the closed and filled ``mask`` (Z, Y, X) bool: two parts, of ``blend_share`` of the area each at
    least, that differ by more than ``blend_hu`` and pass into each other within ``blend_transition_mm``. ``hu`` (Z, Y,
    X) is the native image. Raises BadGeometry for shapes that do not fit. Source: Li et al., Stroke 2015;46:2119.
    """
    check_shapes(mask, hu, geometry)
    if not mask.any():
        return _nothing_to_read(MarkerName.BLEND)
    seen = []
    for cut in slices_of(mask, hu, geometry, rules):
        parts = _two_parts(cut, geometry, rules)
        if parts is None:
            continue
        dark, bright = parts
        contrast_hu = float(cut.hu[bright].mean() - cut.hu[dark].mean())
        if contrast_hu > rules.blend_hu and _is_sharp(cut, dark, bright, contrast_hu, geometry, rules):
            seen.append(_focus(cut, dark, geometry, contrast_hu))
    wanted = f"parts that differ by more than {rules.blend_hu:g} HU within {rules.blend_transition_mm:g} mm"
    return _marker(MarkerName.BLEND, seen, wanted)


def _two_parts(cut: Slice, geometry: Geometry, rules: MarkerRules) -> tuple[Mask, Mask] | None:
    """The dark part at the clot's edge and the bright part of a slice; None where it has no two parts of a size."""
    core = eroded(cut.filled, rules.rim_mm, geometry)
    whole_mm2 = area_mm2(cut.filled, geometry)
    if area_mm2(core, geometry) < rules.blend_slice_mm2 or np.ptp(cut.smooth[core]) <= rules.blend_hu:
        return None
    between_hu = threshold_otsu(cut.smooth[core])
    bright = largest(core & (cut.smooth > between_hu))
    dark = largest(opened(core & (cut.smooth <= between_hu), rules.rim_mm, geometry))
    large = min(area_mm2(dark, geometry), area_mm2(bright, geometry)) >= rules.blend_share * whole_mm2
    at_edge = (dark & ~ndimage.binary_erosion(core)).any()
    return (dark, bright) if large and at_edge else None


def _is_sharp(cut: Slice, dark: Mask, bright: Mask, contrast_hu: float, geometry: Geometry, rules: MarkerRules) -> bool:
    """Whether the HU of the two sides, half the transition from their border, differ by nearly the contrast."""
    half_mm = rules.blend_transition_mm / 2
    to_bright, to_dark = distance_mm(~bright, geometry), distance_mm(~dark, geometry)
    below = dark & (to_bright > half_mm) & (to_bright <= 2 * half_mm)
    above = bright & (to_dark > half_mm) & (to_dark <= 2 * half_mm)
    if not (below.any() and above.any()):
        return False
    return bool(cut.hu[above].mean() - cut.hu[below].mean() >= PASSED * contrast_hu)


def _focus(cut: Slice, region: Mask, geometry: Geometry, contrast_hu: float) -> Focus:
    row, column = (float(index.mean()) + start for index, start in zip(np.nonzero(region), cut.corner, strict=True))
    x, y, z = (
        geometry.origins_mm[cut.index]
        + row * geometry.row_spacing_mm * geometry.column_cosine
        + column * geometry.column_spacing_mm * geometry.row_cosine
    )
    return Focus(
        slice_index=cut.index,
        position_mm=(float(x), float(y), float(z)),
        area_mm2=area_mm2(region, geometry),
        contrast_hu=contrast_hu,
    )


def _marker(name: MarkerName, seen: list[Focus], wanted: str) -> Marker:
    foci = tuple(sorted(seen, key=lambda focus: -focus.area_mm2))
    if not foci:
        return Marker(name=name, present=False, reason=f"none {wanted}")
    first = foci[0]
    where = f"{first.area_mm2:.0f} mm² in slice {first.slice_index}, {first.contrast_hu:.0f} HU darker"
    return Marker(name=name, present=True, reason=where, foci=foci)


def _nothing_to_read(name: MarkerName) -> Marker:
    return Marker(name=name, present=None, reason="there is no haematoma to read it from")
