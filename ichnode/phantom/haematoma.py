"""A haematoma as it is drawn: blood with texture and dark features, oedema around it, and the push on the brain."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from ichnode.phantom.field import Waves, smooth
from ichnode.phantom.metaballs import Shape
from ichnode.phantom.sites import Place

Array = NDArray[np.float32]
Inside = NDArray[np.bool_]

EDGE_MM: Final = 1.6  # over which blood gives way to brain; real edges are 1-2 mm before the scanner blurs them
FEATURE_EDGE_MM: Final = 0.8  # sharp beside any scanner's blur and far below the 3 mm that a blend's border may have
SKIN_MM: Final = 4.0  # the outermost blood is less dense, as in the real clots of phe-sich
SKIN_HU: Final = 6.0
OEDEMA_HU: Final = 19.0
PUSH_MM: Final = 45.0  # distance from the surface at which the brain is no longer pushed
PUSH_SHARE: Final = 0.17  # of the radius: 3 mm at the surface of 30 mL, as clot also splits fibres apart


class Feature(Protocol):
    """Something darker within the blood, given in the shape's own units so that it grows with it."""

    @property
    def marker(self) -> str:
        """The marker that it was planted as."""
        ...

    @property
    def lowering_hu(self) -> float:
        """By how much it is darker than the blood around it."""
        ...

    def outside(self, points: Array) -> Array:
        """Signed distance of ``points`` (N, 3) from the feature, (N,), all in units; negative within."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Focus:
    """A small separate haematoma: a ball."""

    marker: str
    centre_mm: Array
    radius_mm: float
    direction: Array  # (3,) unit vector, nearly in-plane, from the axis of the main haematoma
    gap_mm: float  # to the main haematoma

    @property
    def volume_ml(self) -> float:
        """Volume of the ball."""
        return float(4 / 3 * np.pi * self.radius_mm**3 / 1000)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Haematoma:
    """A haematoma: ``shape`` at ``scale_mm`` about the place's centre, and its ``foci`` apart from it.

    ``largest_z`` is the height of the largest slice in the shape's units.

    ``blood_hu`` is its density, ``texture_hu`` the standard deviation of ``texture`` (asked at mm off the centre).
    ``oedema_mm`` is the mean width of the rim, ``oedema_share`` how far it goes towards OEDEMA_HU,
    ``radius_mm`` the radius of a ball of its volume.
    """

    place: Place
    shape: Shape
    largest_z: float
    scale_mm: float
    foci: tuple[Focus, ...]
    blood_hu: float
    texture_hu: float
    texture: Waves
    features: tuple[Feature, ...]
    oedema_mm: float
    oedema_share: float
    radius_mm: float

    @property
    def box_mm(self) -> Array:
        """(2, 3) corners of the box outside of which nothing is changed."""
        return self._box(PUSH_MM)

    @property
    def push_mm(self) -> float:
        """How far the brain at its surface has been pushed."""
        return PUSH_SHARE * self.radius_mm

    def displace(self, points: Array) -> Array:
        """Where the undisplaced anatomy of ``points`` (..., 3) lies: nearer to the haematoma, by up to some mm.

        Outside of the brain nothing moves, so the skull stays and the fluid under it is used up, as it is in patients.
        """
        moved = points.copy()
        near = self._near(points, PUSH_MM)
        near[near] = self.place.brain.brain_at(points[near])
        distance, normal = self.main(points[near])
        fade = np.clip(1 - np.maximum(distance, 0) / PUSH_MM, 0, 1)
        moved[near] -= normal * (np.float32(self.push_mm) * fade * fade)[..., None]
        return moved

    def paint(self, points: Array, hu: Array) -> Array:
        """``hu`` (...,) with oedema and blood drawn at ``points`` (..., 3)."""
        painted = hu.copy()
        near = self._near(points, 2 * self.oedema_mm + EDGE_MM)
        near[near] = self.place.room_at(points[near])
        at = points[near]
        distance = self.distance_mm(at)
        painted[near] = self._with_blood(at, self._with_oedema(at, hu[near], distance), distance)
        return painted

    def blood_at(self, points: Array) -> Inside:
        """Whether ``points`` (..., 3) lie in blood of the parenchyma, dark features of the clot included."""
        inside = self._near(points, EDGE_MM)
        inside[inside] = self.place.room_at(points[inside])
        inside[inside] = self.distance_mm(points[inside]) < 0
        return inside

    def distance_mm(self, points: Array) -> Array:
        """Signed distance from the surface of the blood, foci included, (...,) mm, negative inside."""
        distance = self.main(points)[0]
        for focus in self.foci:
            away = points - focus.centre_mm
            np.minimum(distance, np.sqrt((away * away).sum(axis=-1)) - np.float32(focus.radius_mm), out=distance)
        return distance

    def main(self, points: Array) -> tuple[Array, Array]:
        """Signed distance (...,) mm from the main haematoma alone, and its outward normals (..., 3)."""
        units = (points - self.place.centre_mm) / np.float32(self.scale_mm)
        distance, normal = self.shape.distance_and_normal(units)
        return distance * np.float32(self.scale_mm), normal

    def _with_oedema(self, points: Array, hu: Array, distance: Array) -> Array:
        width = self.oedema_mm * np.clip(1 + 0.45 * self.texture(points * np.float32(0.35)), 0.3, 2)
        strength = np.float32(self.oedema_share) * (1 - _between(distance / width, 0.25, 1))
        tissue = _between(hu, 8, 18) * (1 - _between(hu, 48, 60))
        return np.asarray(hu + strength * tissue * (np.minimum(hu, OEDEMA_HU) - hu), np.float32)

    def _with_blood(self, points: Array, hu: Array, distance: Array) -> Array:
        mixed = hu.copy()
        inside = distance < EDGE_MM
        units = (points[inside] - self.place.centre_mm) / np.float32(self.scale_mm)
        deep = distance[inside]
        blood = self.blood_hu - SKIN_HU * _between(deep, -SKIN_MM, 0)
        blood = blood + np.float32(self.texture_hu) * self.texture(points[inside] - self.place.centre_mm)
        blood -= self._lowering(units)
        share = 1 - _between(deep, -EDGE_MM / 2, EDGE_MM / 2)
        mixed[inside] += share * (blood - mixed[inside])
        return mixed

    def _lowering(self, units: Array) -> Array:
        lowering = np.zeros(units.shape[:-1], np.float32)
        for feature in self.features:
            outside = feature.outside(units) * np.float32(self.scale_mm)
            share = 1 - _between(outside, -FEATURE_EDGE_MM / 2, FEATURE_EDGE_MM / 2)
            np.maximum(lowering, share * np.float32(feature.lowering_hu), out=lowering)
        return lowering

    def _box(self, margin_mm: float) -> Array:
        reach = self.scale_mm * self.shape.reach + margin_mm
        low, high = self.place.centre_mm - reach, self.place.centre_mm + reach
        for focus in self.foci:
            low = np.minimum(low, focus.centre_mm - focus.radius_mm - margin_mm)
            high = np.maximum(high, focus.centre_mm + focus.radius_mm + margin_mm)
        return np.asarray([low, high], np.float32)

    def _near(self, points: Array, margin_mm: float) -> Inside:
        return within(points, self._box(margin_mm))


def within(points: Array, box_mm: Array) -> Inside:
    """Whether ``points`` (..., 3) lie in ``box_mm`` (2, 3)."""
    inside = np.ones(points.shape[:-1], bool)
    for axis, (low, high) in enumerate(box_mm.T):
        inside &= (points[..., axis] >= low) & (points[..., axis] <= high)
    return inside


def _between(values: Array, low: float, high: float) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between."""
    return smooth((values - np.float32(low)) / np.float32(high - low))
