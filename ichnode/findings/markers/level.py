"""The fluid level: dark blood above, bright below, a straight horizontal line between them."""

from typing import Final

import numpy as np
from scipy.stats import theilslopes
from skimage.measure import find_contours

from ichnode.domain.geometry import Geometry, Vector
from ichnode.domain.markers import Marker, MarkerName
from ichnode.findings.marker_rules import MarkerRules
from ichnode.findings.markers.parts import Parts, parts_of
from ichnode.findings.markers.told import focus_of, marker_of, nothing_to_read, untold
from ichnode.findings.sections import Clot, Mask, Slice, eroded, grown

IN_PLANE: Final = 0.5  # share of gravity within the slice below which a level would lie flat in it
STRAIGHT: Final = 0.7  # of a border: what hangs on it, a pocket, takes a smaller part
DOWN: Final = {"S": (0.0, 1.0, 0.0), "P": (0.0, -1.0, 0.0), "DL": (1.0, 0.0, 0.0), "DR": (-1.0, 0.0, 0.0)}


def gravity(patient_position: str) -> Vector:
    """(3,) unit vector downwards in patient coordinates (LPS): a patient on the back unless the header says otherwise.

    ``patient_position``: HFS, FFP, HFDL ...; whether head or feet go first changes nothing. Source: PS3.3 C.7.3.1.1.2.
    """
    return np.array(DOWN.get(patient_position.strip().upper()[2:], DOWN["S"]))


def fluid_level(clot: Clot, down: Vector) -> Marker:
    """A straight border across the clot, level with the ground, the dark part above it.

    In a slice: two parts that differ by more than ``level_hu``, the dark one ``level_width_mm`` thick, whose border
    lies within ``level_deg`` of the horizontal, is ``level_mm`` long and off a straight line by ``level_rms_mm`` at
    most. ``down`` (3,): ``gravity``. Undetermined where the slices lie nearly flat on the ground.
    Source: Morotti et al., Stroke 2019;50:e50.
    """
    if not clot.slices:
        return nothing_to_read(MarkerName.FLUID_LEVEL)
    within = np.array([down @ clot.geometry.column_cosine, down @ clot.geometry.row_cosine])
    if np.linalg.norm(within) < IN_PLANE:
        return untold(MarkerName.FLUID_LEVEL, "the slices lie flat: a level would not be seen in them")
    within /= np.linalg.norm(within)
    seen = [
        focus_of(cut, parts.dark, clot.geometry, parts.contrast_hu)
        for cut in clot.slices
        for parts in parts_of(clot, cut, clot.rules.level_width_mm)
        if parts.contrast_hu > clot.rules.level_hu and _is_level(cut, parts, within, clot.geometry, clot.rules)
    ]
    wanted = f"straight and horizontal over {clot.rules.level_mm:g} mm with the dark part above"
    return marker_of(MarkerName.FLUID_LEVEL, seen, wanted)


def _is_level(cut: Slice, parts: Parts, down: Vector, geometry: Geometry, rules: MarkerRules) -> bool:
    """Whether the dark part lies above on a straight horizontal border; ``down`` (2,) in rows and columns."""
    mm = np.array([geometry.row_spacing_mm, geometry.column_spacing_mm])
    higher = (np.argwhere(parts.bright).mean(axis=0) - np.argwhere(parts.dark).mean(axis=0)) * mm @ down > 0
    along, depth = _border(cut, parts, down, geometry, rules)
    if not higher or len(along) < 3:
        return False
    slope, height = theilslopes(depth, along)[:2]
    straight = np.abs(depth - slope * along - height) <= 2 * rules.level_rms_mm
    if np.mean(straight) < STRAIGHT or np.count_nonzero(straight) < 3:
        return False
    slope, height = np.polyfit(along[straight], depth[straight], 1)
    off_mm = np.sqrt(np.mean((depth - slope * along - height)[straight] ** 2))
    long_mm = np.ptp(along[straight]) + 2 * rules.rim_mm  # the rim is left out at both ends
    is_flat = abs(np.degrees(np.arctan(slope))) <= rules.level_deg and off_mm <= rules.level_rms_mm
    return bool(is_flat and long_mm >= rules.level_mm)


def _border(cut: Slice, parts: Parts, down: Vector, geometry: Geometry, rules: MarkerRules) -> tuple[Vector, Vector]:
    """Where the clot off its rim passes from the dark part to the bright: ways along the ground and depths, mm.

    One depth a pixel, the highest: a pocket that hangs on the border has its own below.
    """
    half_hu = (float(cut.smooth[parts.bright].mean()) + float(cut.smooth[parts.off_rim].mean())) / 2
    core: Mask = eroded(cut.filled, rules.rim_mm, geometry)
    beside = grown(parts.dark, rules.rim_mm, geometry)
    lines = [line for line in find_contours(cut.smooth, half_hu, mask=core) if len(line)]
    points = np.concatenate([np.empty((0, 2)), *lines])
    rows, columns = np.round(points).astype(int).T
    points = points[beside[rows, columns]] * np.array([geometry.row_spacing_mm, geometry.column_spacing_mm])
    along, depth = points @ np.array([-down[1], down[0]]), points @ down
    pixels = np.round(along / min(geometry.row_spacing_mm, geometry.column_spacing_mm)).astype(int)
    first = [int(np.flatnonzero(pixels == pixel)[depth[pixels == pixel].argmin()]) for pixel in np.unique(pixels)]
    return along[first], depth[first]
