"""The slices themselves: how thick, how far apart, how they lean; how many are missing."""

from collections.abc import Sequence

import numpy as np

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.geometry import Geometry

SAME_MM = 0.1


def thick(flags: frozenset[Flag], geometry: Geometry, stated_mm: Sequence[float]) -> Doubt | None:
    """QF_THICK with its figures, where the volume bears it. ``stated_mm``: thickness by the header, an image each."""
    if Flag.QF_THICK not in flags:
        return None
    known = stated_mm or geometry.gaps_mm
    return Doubt(flag=Flag.QF_THICK, evidence=f"slices of {_range(min(known), max(known))} mm")


def unequal(geometry: Geometry) -> Doubt | None:
    """QF_UNEQUAL with its figures, where gaps differ."""
    if not geometry.is_unequal:
        return None
    gaps = geometry.gaps_mm
    return Doubt(flag=Flag.QF_UNEQUAL, evidence=f"gaps of {_range(gaps.min(), gaps.max())} mm")


def tilted(geometry: Geometry) -> Doubt | None:
    """QF_TILT with its angle, where the stack leans."""
    if not geometry.is_tilted:
        return None
    return Doubt(flag=Flag.QF_TILT, evidence=f"leans by {geometry.tilt_deg:.0f} degrees")


def missing(geometry: Geometry, count: int) -> Doubt | None:
    """QF_MISSING, where ``count`` slices of the series never arrived, and how far apart the others are."""
    if not count:
        return None
    widest = float(np.max(geometry.gaps_mm))
    said = f"{count} {'slice' if count == 1 else 'slices'} not received, gaps of up to {widest:.2g} mm"
    return Doubt(flag=Flag.QF_MISSING, evidence=said)


def _range(low: float, high: float) -> str:
    return f"{low:.3g}" if high - low < SAME_MM else f"{low:.3g} to {high:.3g}"
