"""Is it a head, and is all of it there?"""

from typing import Final

import numpy as np

from ichnode.domain.flags import Doubt, Flag
from ichnode.findings.gates.rules import RULES, GateRules
from ichnode.findings.gates.sight import SOFT_HU, Sight

# Share of the widest section's area at so many mm above the lowest slice that shows brain, and below the highest one.
# Source: medians of the training cases of phe-sich that reach beyond the brain there
FROM_BASE: Final = ((0.0, 10.0, 20.0, 30.0, 40.0, 50.0), (0.04, 0.12, 0.27, 0.38, 0.62, 0.77))
FROM_VERTEX: Final = ((0.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0), (0.09, 0.22, 0.36, 0.48, 0.61, 0.79, 0.92))

BRAIN_BEHIND_MM: Final = 14.0  # soft tissue that is as deep behind the edge of the picture is brain, not scalp


def not_a_head(sight: Sight, rules: GateRules = RULES) -> Doubt | None:
    """QF_HEAD, where no skull surrounds soft tissue as dense as brain, or the body is wider than any head."""
    skull = sight.areas_cm2 >= rules.skull_cm2
    height_mm = float(sight.depth_mm[skull].sum())
    if height_mm < rules.skull_mm:
        return _doubt(
            Flag.QF_HEAD, f"bone surrounds soft tissue over {height_mm:.0f} mm, in a head over {rules.skull_mm:.0f} mm"
        )
    density = float(np.median(sight.hu[sight.cavity]))
    if not rules.brain_hu_low <= density <= rules.brain_hu_high:
        return _doubt(Flag.QF_HEAD, f"what the skull encloses has {density:.0f} HU")
    width_mm = sight.body[skull].any(axis=(0, 1)).sum() * sight.pixel_mm[1]
    if width_mm > rules.widest_mm:
        return _doubt(Flag.QF_HEAD, f"the body is {width_mm:.0f} mm wide where bone surrounds soft tissue")
    return None


def cut_off(sight: Sight, rules: GateRules = RULES) -> Doubt | None:
    """QF_COVERAGE, where vertex or skull base lie beyond the images, or the head beyond the edge of the picture."""
    largest = sight.areas_cm2.max()
    if not largest:
        return None
    said = []
    ends = (("vertex", FROM_VERTEX, -1), ("skull base", FROM_BASE, 0))
    for name, (mm, shares), end in ends:
        missing = float(np.interp(sight.areas_cm2[end] / largest, shares, mm))
        if missing >= rules.missing_mm:
            said.append(f"{name} missing, about {missing:.0f} mm")
    beyond_mm = _at_edge_mm(sight)
    if beyond_mm >= rules.edge_mm:
        said.append(f"the head lies at the edge of the picture over {beyond_mm:.0f} mm")
    return _doubt(Flag.QF_COVERAGE, "; ".join(said)) if said else None


def _at_edge_mm(sight: Sight) -> float:
    """Longest stretch of an edge of the picture, in a slice of the vault, that brain reaches.

    Scalp and head rest may lie at the edge: behind them comes bone, and behind the edge of a cut head comes brain.
    """
    low, high = SOFT_HU
    hu = sight.hu[sight.vault]
    soft = sight.body[sight.vault] & (hu > low) & (hu < high)
    down, across = sight.pixel_mm
    stretches = [0.0]
    for lines, along, inwards in ((soft, across, down), (soft.transpose(0, 2, 1), down, across)):
        deep = max(1, round(BRAIN_BEHIND_MM / inwards))
        for end in (lines[:, :deep], lines[:, -deep:]):
            stretches += (end.all(axis=1).sum(axis=1) * along).tolist()
    return max(stretches)


def _doubt(flag: Flag, evidence: str) -> Doubt:
    return Doubt(flag=flag, evidence=evidence)
