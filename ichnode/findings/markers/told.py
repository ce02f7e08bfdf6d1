"""How a marker is told: the places that show it, or why there is none, or why it cannot be known."""

from collections.abc import Sequence

import numpy as np

from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Focus, Marker, MarkerName
from ichnode.findings.outlines import contour_of
from ichnode.findings.sections import Mask, Slice, area_mm2


def focus_of(cut: Slice, region: Mask, geometry: Geometry, contrast_hu: float | None = None) -> Focus:
    """The ``region`` (Y, X) of a slice as evidence."""
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
        contour=contour_of(region, cut.corner),
    )


def marker_of(name: MarkerName, seen: Sequence[Focus], wanted: str, found: str = "") -> Marker:
    """Present with its places, largest first, or absent since there is none ``wanted``. ``found``: words that follow
    the first place."""
    foci = tuple(sorted(seen, key=lambda focus: -focus.area_mm2))
    if not foci:
        return Marker(name=name, present=False, reason=f"none {wanted}")
    first = foci[0]
    parts = [f"{first.area_mm2:.0f} mm² in slice {first.slice_index + 1}"]
    if first.contrast_hu is not None:
        parts.append(f"{first.contrast_hu:.0f} HU darker")
    return Marker(name=name, present=True, reason=", ".join([*parts, *([found] if found else [])]), foci=foci)


def nothing_to_read(name: MarkerName) -> Marker:
    """The answer where there is no clot."""
    return untold(name, "there is no haematoma to read it from")


def untold(name: MarkerName, reason: str) -> Marker:
    """The answer where it cannot be known, and why."""
    return Marker(name=name, present=None, reason=reason)
