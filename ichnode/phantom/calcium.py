"""Calcifications that healthy old heads have: pineal gland, choroid plexus, falx, pallidum."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ichnode.phantom.field import Points, Values, length, ramp, within

# place, centre (one side), radius range in mm, share of heads that have it
PLACES: Final = (
    ((0.0, 30.0, 1.0), (1.0, 2.8), 0.65),
    ((24.0, 36.0, 7.0), (1.0, 3.2), 0.55),
    ((-24.0, 36.0, 7.0), (1.0, 3.2), 0.55),
    ((0.0, -58.0, 30.0), (0.8, 2.5), 0.15),
    ((18.0, -6.0, -1.0), (1.0, 3.0), 0.1),
    ((-18.0, -6.0, -1.0), (1.0, 3.0), 0.1),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spots:
    """Dense balls: ``centres_mm`` (S, 3), ``radii_mm`` (S,), ``hu`` (S,)."""

    centres_mm: NDArray[np.float32]
    radii_mm: NDArray[np.float32]
    hu: NDArray[np.float32]

    def paint(self, points: Points, hu: Values) -> Values:
        """``hu`` (N,) with the spots drawn at ``points`` (N, 3)."""
        for centre, radius, value in zip(self.centres_mm, self.radii_mm, self.hu, strict=True):
            near = np.flatnonzero(within(points, centre - radius - 1, centre + radius + 1))
            if len(near):
                inside = ramp(radius - length(points[near] - centre), 1.2)
                hu[near] += (value - hu[near]) * inside
        return hu


def draw_spots(rng: np.random.Generator) -> Spots:
    """Some of PLACES, each a cluster of a few balls."""
    centres, radii, hu = [], [], []
    for centre, (low, high), share in PLACES:
        present, count = rng.random() < share, int(rng.integers(1, 4))
        offsets = rng.normal(0, 1.6, (3, 3))
        sizes, dense = rng.uniform(low, high, 3), rng.uniform(110, 420, 3)
        for k in range(count if present else 0):
            centres.append(np.asarray(centre) + offsets[k])
            radii.append(sizes[k])
            hu.append(dense[k])
    return Spots(
        centres_mm=np.asarray(centres, np.float32).reshape(-1, 3),
        radii_mm=np.asarray(radii, np.float32),
        hu=np.asarray(hu, np.float32),
    )
