"""Did the head move, between slices or within one?"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.domain.flags import Doubt, Flag
from ichnode.findings.gates.rules import RULES, GateRules
from ichnode.findings.gates.sight import Mask, Sight
from ichnode.findings.gates.skull import Rays, seen_twice

Values = NDArray[np.float64]
Slabs = NDArray[np.int64]

FULL: Final = 0.6  # of the largest area: slices in which the shape changes little from one to the next
FEW: Final = 7  # slabs in a row from which on a trend can be told
TREND: Final = 5  # steps around, whose median is the trend
OBLONG: Final = 1.15  # a section rounder than that has no axis that could turn
# Steps are measured over two slabs: scanners that take slices in pairs may set the pairs off, and no head moves so.
STEP: Final = 2


def motion(sight: Sight, rays: Rays, rules: GateRules = RULES) -> Doubt | None:
    """QF_MOTION, where slices lie beside their neighbours, are turned against them, or show the skull twice."""
    said = []
    full = np.flatnonzero(sight.areas_cm2 > FULL * sight.areas_cm2.max())
    if len(full) >= FEW:
        jumps, turns = _jumps_mm(sight, full), _turns_deg(sight, full)
        if jumps.max() >= rules.jump_mm:
            said.append(f"the head jumps by {jumps.max():.0f} mm, {_where(sight, full, jumps)}")
        if turns.max() >= rules.turn_deg:
            said.append(f"the head turns by {turns.max():.0f} degrees, {_where(sight, full, turns)}")
    twice = seen_twice(rays)
    if twice.size and twice.max() >= rules.double_share:
        where = sight.slices(rays.slabs[[int(twice.argmax())]])
        said.append(f"the skull is seen twice along {twice.max():.0%} of its outline, {where}")
    return Doubt(flag=Flag.QF_MOTION, evidence="; ".join(said)) if said else None


def _where(sight: Sight, slabs: Slabs, steps: Values) -> str:
    worst = int(steps.argmax())
    return sight.slices(slabs[worst : worst + STEP + 1])


def _jumps_mm(sight: Sight, slabs: Slabs) -> Values:
    """(N-STEP,) mm that body and cavity both step aside, beyond how they drift around there."""
    body, cavity = (
        _beyond_trend(sight, slabs, np.array([ndimage.center_of_mass(mask[k]) for k in slabs]) * sight.pixel_mm)
        for mask in (sight.body, sight.cavity)
    )
    same_way = (body * cavity).sum(axis=1) > 0
    return np.asarray(np.minimum(np.linalg.norm(body, axis=1), np.linalg.norm(cavity, axis=1)) * same_way, np.float64)


def _turns_deg(sight: Sight, slabs: Slabs) -> Values:
    """(N-STEP,) degrees by which the long axes of body and cavity both turn, beyond their trend."""
    body, cavity = (_turns_of(sight, slabs, mask) for mask in (sight.body, sight.cavity))
    return np.asarray(np.minimum(abs(body), abs(cavity)) * (body * cavity > 0), np.float64)


def _turns_of(sight: Sight, slabs: Slabs, mask: Mask) -> Values:
    axes = np.array([_long_axis(mask[k], sight.pixel_mm) for k in slabs])
    angles = np.degrees(np.unwrap(2 * axes[:, 0]) / 2)
    is_told = np.minimum(axes[STEP:, 1], axes[:-STEP, 1]) >= OBLONG
    return np.asarray(_beyond_trend(sight, slabs, angles[:, None])[:, 0] * is_told, np.float64)


def _beyond_trend(sight: Sight, slabs: Slabs, values: Values) -> Values:
    """(N-STEP, D) steps of ``values`` (N, D) less what the median step a millimetre around there makes of each."""
    heights = sight.heights_mm[slabs]
    apart = (heights[STEP:] - heights[:-STEP])[:, None]
    steps = values[STEP:] - values[:-STEP]
    trend = ndimage.median_filter(steps / apart, size=(TREND, 1), mode="nearest")
    return np.asarray(steps - trend * apart, np.float64)


def _long_axis(mask: Mask, pixel_mm: tuple[float, float]) -> tuple[float, float]:
    """Angle of the longer principal axis, radians, modulo a half turn, and how many times longer it is."""
    down, across = (n * mm for n, mm in zip(np.nonzero(mask), pixel_mm, strict=True))
    spread = np.cov(down, across)
    short, long = np.linalg.eigvalsh(spread)
    return float(0.5 * np.arctan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1])), float((long / short) ** 0.5)
