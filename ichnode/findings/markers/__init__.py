"""Markers of haematoma expansion, each a function of a clot: its mask, the image's own HU and where its voxels lie.

Never from the network's input, which has lost all that is darker than the mean brain.
"""

from ichnode.domain.geometry import Vector
from ichnode.domain.markers import Marker
from ichnode.findings.markers.dark import black_hole, heterogeneous, hypodensity, swirl
from ichnode.findings.markers.level import fluid_level, gravity
from ichnode.findings.markers.parts import blend
from ichnode.findings.markers.shape import irregular, island, satellite
from ichnode.findings.sections import Clot

__all__ = [
    "black_hole",
    "blend",
    "fluid_level",
    "gravity",
    "heterogeneous",
    "hypodensity",
    "irregular",
    "island",
    "read_markers",
    "satellite",
    "swirl",
]


def read_markers(clot: Clot, *, brain_hu: float | None, down: Vector) -> tuple[Marker, ...]:
    """All markers in the order of MarkerName. ``brain_hu``: of the other hemisphere; ``down`` (3,): ``gravity``."""
    return (
        hypodensity(clot),
        black_hole(clot),
        swirl(clot, brain_hu),
        blend(clot),
        fluid_level(clot, down),
        irregular(clot),
        heterogeneous(clot),
        island(clot),
        satellite(clot),
    )
