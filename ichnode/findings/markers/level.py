"""The fluid level: dark blood above, bright below, a straight horizontal line between them."""

from typing import Final

import numpy as np
from skimage.measure import find_contours

from ichnode.domain.geometry import Geometry, Vector
from ichnode.domain.markers import Focus, Marker, MarkerName
from ichnode.findings.marker_rules import MarkerRules
from ichnode.findings.markers.parts import goes_on, two_parts
from ichnode.findings.markers.told import focus_of, marker_of, nothing_to_read, untold
from ichnode.findings.sections import Clot, Mask, Slice, eroded

IN_PLANE: Final = 0.5  # share of gravity within the slice below which a level would lie flat in it
DOWN: Final = {"S": (0.0, 1.0, 0.0), "P": (0.0, -1.0, 0.0), "DL": (1.0, 0.0, 0.0), "DR": (-1.0, 0.0, 0.0)}


def gravity(patient_position: str) -> Vector:
    """(3,) unit vector downwards in patient coordinates (LPS): a patient on the back unless the header says otherwise.

    ``patient_position``: HFS, FFP, HFDL ...; whether head or feet go first changes nothing. Source: PS3.3 C.7.3.1.1.2.
    """
    return np.array(DOWN.get(patient_position.strip().upper()[2:], DOWN["S"]))


def fluid_level(clot: Clot, down: Vector) -> Marker:
    """A straight border across the clot, level with the ground, the dark part above it.

    In a slice: two parts that differ by more than ``level_hu``, whose border lies within ``level_deg`` of the
    horizontal, is ``level_mm`` long and off a straight line by ``level_rms_mm`` at most. ``down`` (3,): ``gravity``.
    Undetermined where the slices lie nearly flat on the ground. Source: Morotti et al., Stroke 2019;50:e50.
    """
    if not clot.slices:
        return nothing_to_read(MarkerName.FLUID_LEVEL)
    within = np.array([down @ clot.geometry.column_cosine, down @ clot.geometry.row_cosine])
    if np.linalg.norm(within) < IN_PLANE:
        return untold(MarkerName.FLUID_LEVEL, "the slices lie flat: a level would not be seen in them")
    within /= np.linalg.norm(within)
    seen = [focus for cut in clot.slices if (focus := _level(clot, cut, within))]
    wanted = f"straight and horizontal over {clot.rules.level_mm:g} mm with the dark part above"
    return marker_of(MarkerName.FLUID_LEVEL, seen, wanted)


def _level(clot: Clot, cut: Slice, down: Vector) -> Focus | None:
    """The dark part above a level in one slice; ``down`` (2,) in rows and columns."""
    geometry, rules = clot.geometry, clot.rules
    parts = two_parts(cut, geometry, rules)
    if parts is None or not goes_on(clot, cut, parts[0]):
        return None
    dark, bright = parts
    contrast_hu = float(cut.hu[bright].mean() - cut.hu[dark].mean())
    mm = np.array([geometry.row_spacing_mm, geometry.column_spacing_mm])
    higher = (np.argwhere(bright).mean(axis=0) - np.argwhere(dark).mean(axis=0)) * mm @ down > 0
    if contrast_hu <= rules.level_hu or not higher:
        return None
    border = _border(cut, (float(cut.smooth[bright].mean()) + float(cut.smooth[dark].mean())) / 2, geometry, rules) * mm
    if len(border) < 3:
        return None
    depth, along = border @ down, border @ np.array([-down[1], down[0]])
    slope, height = np.polyfit(along, depth, 1)
    off_mm = float(np.sqrt(np.mean((depth - slope * along - height) ** 2)))
    long_mm = float(np.ptp(along)) + 2 * rules.rim_mm  # the rim is left out at both ends
    level = abs(np.degrees(np.arctan(slope))) <= rules.level_deg and off_mm <= rules.level_rms_mm
    return focus_of(cut, dark, geometry, contrast_hu) if level and long_mm >= rules.level_mm else None


def _border(cut: Slice, between_hu: float, geometry: Geometry, rules: MarkerRules) -> Vector:
    """(N, 2) rows and columns of the longest line along which the clot off its rim passes ``between_hu``."""
    core: Mask = eroded(cut.filled, rules.rim_mm, geometry)
    lines = find_contours(cut.smooth, between_hu, mask=core)
    return np.asarray(max(lines, key=len, default=np.empty((0, 2))), np.float64)
