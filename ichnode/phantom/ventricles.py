"""The ventricles and the cisterns: what is filled with liquor inside the brain."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ichnode.phantom.field import Points, Tube, Values, ellipsoid_mm, tube, within

FAR_MM: Final = np.float32(60)  # the answer for points outside the box where the ventricles lie
SQUEEZE: Final = np.array([1.0, 0.8, 0.72], np.float32)  # the lateral ventricles are slits rather than pipes
BOX_MM: Final = ((-46.0, -52.0, -48.0), (46.0, 74.0, 38.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ventricles:
    """Tubes of one side, mirrored, with radii by side (``swell``: left, right), and the two midline ventricles."""

    lateral: Tube
    horn: Tube
    swell: tuple[float, float]
    third_mm: tuple[float, float, float]
    fourth_mm: tuple[float, float, float]

    def distance_mm(self, points: Points) -> Values:
        """(N,) distance to the nearest ventricle, negative within; FAR_MM outside BOX_MM."""
        near = np.flatnonzero(within(points, *BOX_MM))
        out = np.full(len(points), FAR_MM, np.float32)
        some = points[near]
        side = np.abs(some)
        side[:, 1:] = some[:, 1:]
        wider = np.where(some[:, 0] > 0, np.float32(self.swell[0]), np.float32(self.swell[1]))
        distance = np.full(len(near), FAR_MM, np.float32)
        upper = np.flatnonzero(some[:, 2] > -8)
        distance[upper] = self.lateral.distance_mm(side[upper] * SQUEEZE) - wider[upper]
        lower = np.flatnonzero((some[:, 2] < 14) & (some[:, 1] > -10))
        horn = self.horn.distance_mm(side[lower]) - wider[lower] * np.float32(0.5)
        distance[lower] = np.minimum(distance[lower], horn)
        np.minimum(distance, ellipsoid_mm(some, (0, 3, -4), self.third_mm), out=distance)
        np.minimum(distance, ellipsoid_mm(some, (0, 37, -36), self.fourth_mm), out=distance)
        out[near] = distance
        return out


def draw_ventricles(rng: np.random.Generator, atrophy: float) -> Ventricles:
    """Ventricles of a head whose ``atrophy`` lies in [0, 1]."""
    size = float(rng.normal(0.62, 0.12) + 0.75 * atrophy)
    lateral = tube(
        (16.0, -36, 3, 3.2), (10.5, -27, 8, 4.8), (7.0, -12, 14, 4.2), (9.5, 4, 20, 4.4), (15.5, 20, 20, 5.0),
        (23.5, 33, 11, 6.4), (27.0, 36, 2, 5.4), scale=size,
    )  # fmt: skip
    lateral = Tube(knots_mm=lateral.knots_mm * SQUEEZE, radii_mm=lateral.radii_mm)
    horn = tube(
        (24.0, 58, 3, 0.8), (25.5, 46, 4, 2.2), (27.0, 36, 2, 3.6), (32.5, 26, -7, 2.6), (33.0, 12, -17, 1.6),
        (30.0, 0, -21, 1.4), scale=size,
    )  # fmt: skip
    swell = float(rng.normal(0, 0.35)), float(rng.normal(0, 0.35))
    third = 0.8 + 2.6 * size * float(rng.uniform(0.6, 1.2)), 13.0, 10.0
    fourth = 6.5 * size**0.4, 5.5 * size**0.4, 11.0
    return Ventricles(lateral=lateral, horn=horn, swell=swell, third_mm=third, fourth_mm=fourth)
