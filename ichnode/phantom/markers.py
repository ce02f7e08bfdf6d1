"""The markers of expansion by name, and what each of them needs."""

from collections.abc import Set as AbstractSet
from typing import Final

MARKERS: Final = (
    "hypodensity",
    "black_hole",
    "swirl",
    "blend",
    "fluid_level",
    "irregular",
    "heterogeneous",
    "island",
    "satellite",
)
MIN_VOLUME_ML: Final = {
    "hypodensity": 5.0,
    "black_hole": 5.0,
    "swirl": 8.0,
    "blend": 3.0,
    "fluid_level": 5.0,
    "irregular": 3.0,
    "heterogeneous": 20.0,
    "island": 3.0,
    "satellite": 1.0,
}  # smallest haematoma in which a marker can be drawn so that 5 mm slices still show it

HYPODENSITY_HU: Final = 10.0  # below the clot's median
BLACK_HOLE_HU: Final = 28.0
SWIRL_HU: Final = 3.0  # above brain and no more
BLEND_HU: Final = 18.0
BLEND_SHARE: Final = 0.1  # of the slice's area, of each part
LEVEL_MM: Final = 10.0  # length of a fluid level
LEVEL_DEG: Final = 10.0  # off the horizontal
LEVEL_RMS_MM: Final = 0.7  # off a straight line
LEVEL_HU: Final = 24.0  # contrast of a planted level: no rule sets one; seen clearly beside noise
FOCI: Final = 3  # of heterogeneous density, and of an island sign
SATELLITE_GAP_MM: Final = 1.0
SATELLITE_MM: Final = 10.0  # largest diameter
MIN_AREA_MM2: Final = 9.0  # of a hypodensity
INCOMPATIBLE: Final = frozenset({"blend", "fluid_level"})  # two borders through one clot are neither


def fitting(markers: AbstractSet[str], volume_ml: float) -> frozenset[str]:
    """Those of ``markers`` that a haematoma of ``volume_ml`` has room for together.

    Taken in the order of MARKERS; what each needs alone (MIN_VOLUME_ML) is added up, as they share the clot.
    """
    kept: set[str] = set()
    for marker in (name for name in MARKERS if name in markers):
        together = kept | {marker}
        if sum(MIN_VOLUME_ML[name] for name in together) <= volume_ml and not together >= INCOMPATIBLE:
            kept = together
    return frozenset(kept)
