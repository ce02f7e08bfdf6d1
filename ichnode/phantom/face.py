"""What lies below the skull and before it: orbits, air spaces, muscle and fat, and the bones between."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ichnode.phantom.field import Points, Values, Waves, ellipsoid_mm, ramp, waves

AIR_HU: Final = -1000.0
FAT_HU: Final = -95.0
MUSCLE_HU: Final = 58.0
EYE_HU: Final = 12.0
SCLERA_HU: Final = 55.0
LENS_HU: Final = 80.0
BONE_HU: Final = 900.0
LENGTHWISE: Final = np.array([1, 1, 0.45], np.float32)  # muscles of the neck run along it

# centre and semi-axes of one side's air spaces: maxillary sinus, nasal cavity, ear canal; then those of the midline
AIR_SIDE: Final = (
    ((28.0, -52.0, -62.0), (14.0, 17.0, 17.0)),
    ((8.0, -62.0, -62.0), (5.5, 30.0, 24.0)),
    ((66.0, 21.0, -42.0), (16.0, 3.5, 3.5)),
)
AIR_MIDDLE: Final = (
    ((0.0, -26.0, -41.0), (14.0, 13.0, 10.0)),
    ((0.0, -20.0, -82.0), (13.0, 7.0, 22.0)),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """The soft parts. ``muscles`` and ``cells``: noise of fat planes and of small air cells."""

    muscles: Waves
    cells: Waves
    pneumatised: float

    def hu_at(self, points: Points, skin_mm: Values, under_mm: Values) -> Values:
        """(N,) HU of ``points`` (N, 3), ``skin_mm`` under the skin and ``under_mm`` under the skull base's bone."""
        side = np.array(points)
        side[:, 0] = np.abs(points[:, 0])
        hu = self._soft(points, skin_mm)
        hu = self._bones(hu, side)
        hu = self._orbits(hu, side)
        return self._air(hu, points, side, skin_mm, under_mm)

    def mastoid(self, points: Points) -> Values:
        """(N,) share of air in the bone of mastoid and petrous: cells behind the ear."""
        side = np.array(points)
        side[:, 0] = np.abs(points[:, 0])
        where = ellipsoid_mm(side, (55, 31, -45), (13, 15, 17))
        inner = ellipsoid_mm(side, (40, 20, -38), (5, 4, 5))
        cells = ramp(self.cells(points) + np.float32(self.pneumatised), 0.5)
        return np.asarray(ramp(-np.minimum(where, inner), 3.0) * cells)

    def _soft(self, points: Points, skin_mm: Values) -> Values:
        planes = self.muscles(points * LENGTHWISE)
        fat = np.maximum(ramp(0.33 - np.abs(planes), 0.25), ramp(9 - skin_mm, 4.0))
        hu = np.float32(MUSCLE_HU) + (np.float32(FAT_HU - MUSCLE_HU)) * fat
        return np.asarray(hu + (np.float32(45) - hu) * ramp(2.0 - skin_mm, 1.0), np.float32)

    def _bones(self, hu: Values, side: Points) -> Values:
        shapes = (
            ((28.0, -52.0, -62.0), (16.0, 19.0, 19.5)),  # maxilla
            ((0.0, -60.0, -62.0), (14.5, 31.0, 25.0)),  # round the nose
            ((50.0, -2.0, -72.0), (5.0, 11.0, 30.0)),  # ramus of the mandible
            ((0.0, -30.0, -44.0), (17.0, 18.0, 14.0)),  # sphenoid
        )
        bone = np.max([ramp(-ellipsoid_mm(side, *shape), 1.0) for shape in shapes], axis=0)
        arch = np.hypot(side[:, 0] - 63 + 0.012 * (side[:, 1] + 20) ** 2, side[:, 2] + 42) - 4
        arch = np.maximum(arch, np.abs(side[:, 1] + 24) - 26)
        wall = np.abs(_orbit_mm(side)[0] - 1.2) - 1.2
        wall = np.maximum(wall, np.maximum(-80 - side[:, 1], side[:, 1] + 34))
        bone = np.maximum(np.maximum(bone, ramp(-arch, 1.0)), ramp(-wall, 0.8))
        pair = ellipsoid_mm(side, (0.0, 30.0, -84.0), (28, 26, 9)), ellipsoid_mm(side, (0, 30, -84), (17, 17, 30))
        bone = np.maximum(bone, ramp(-np.maximum(pair[0], -pair[1]), 1.0))
        return np.asarray(hu + (np.float32(BONE_HU) - hu) * bone)

    def _orbits(self, hu: Values, side: Points) -> Values:
        near = np.flatnonzero((side[:, 1] < -22) & (side[:, 2] > -54) & (side[:, 2] < -4))
        some, out = side[near], hu[near]
        cone, radius, around, angle = _orbit_mm(some)
        cone = np.maximum(cone, some[:, 1] + 36)
        inside = ramp(-cone, 0.8)
        out += (np.float32(FAT_HU) - out) * inside
        straps = np.cos(4 * angle) > 0.55
        muscle = inside * straps * ramp(0.16 - np.abs(around - 0.72), 0.1) * (some[:, 1] > -76)
        nerve = ramp(2.2 - around * radius, 0.8) * (some[:, 1] > -66) * inside
        out += (np.float32(45) - out) * np.maximum(muscle, nerve)
        globe = ellipsoid_mm(some, (32.5, -77, -30), (12.0, 12.0, 12.0))
        out += (np.float32(SCLERA_HU) - out) * ramp(-globe, 0.8)
        out += (np.float32(EYE_HU) - out) * ramp(-globe - 1.4, 0.8)
        lens = ellipsoid_mm(some, (32.5, -86, -30), (4.5, 2.2, 4.5))
        hu[near] = out + (np.float32(LENS_HU) - out) * ramp(-lens, 0.6)
        return hu

    def _air(self, hu: Values, points: Points, side: Points, skin_mm: Values, under_mm: Values) -> Values:
        spaces = [ramp(-ellipsoid_mm(side, *space), 0.8) for space in (*AIR_SIDE, *AIR_MIDDLE)]
        air = np.max(spaces, axis=0)
        ethmoid = np.maximum(np.abs(points[:, 1] + 58) - 20, np.maximum(side[:, 0] - 11, np.abs(points[:, 2] + 32) - 9))
        septa = np.minimum(np.abs(np.sin(points[:, 1] * np.float32(0.42))) * 7, np.abs(side[:, 0] - 5.5) + 0.6)
        septa = np.minimum(septa, side[:, 0] * 1.0 + 0.2)
        bony = ramp(-ethmoid, 1.0)
        hu = hu + (np.float32(400) - hu) * bony
        air = np.maximum(air, bony * ramp(septa - 0.9, 0.8))
        turbinate = np.hypot(side[:, 0] - 9, points[:, 2] + 66) - 4
        air = air * (1 - ramp(-turbinate, 1.0) * (points[:, 1] < -40))
        septum = ramp(0.8 - side[:, 0], 0.6) * (points[:, 1] < -34)
        air = air * (1 - septum)
        cells = self.mastoid(points)
        air = np.maximum(air * ramp(under_mm - 1.0), cells * ramp(skin_mm - 8, 2.0))
        return np.asarray(hu + (np.float32(AIR_HU) - hu) * air)


def _orbit_mm(side: Points) -> tuple[Values, Values, Values, Values]:
    """(N,) distance to the cone of the orbit, its radius there, share of the radius and angle round its axis."""
    along = np.clip((side[:, 1] + 102) / 68, 0, 1)  # 0 before the eye, 1 at the apex
    radius = 21 - 17.5 * along**1.5
    across, up = side[:, 0] - (33 - 20 * along), side[:, 2] + 31 - 2 * along
    away = np.sqrt(across * across + up * up)
    return away - radius, radius, away / np.maximum(radius, 1), np.arctan2(up, across)


def draw_face(rng: np.random.Generator) -> Face:
    """The soft parts of a face."""
    return Face(
        muscles=waves(rng, 38.0, count=10), cells=waves(rng, 8.0, count=10), pneumatised=float(rng.uniform(-0.6, 0.4))
    )
