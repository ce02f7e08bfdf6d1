"""Dark features within a clot, given in the units of the haematoma's shape so that they grow with it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichnode.phantom.haematoma import Array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pocket:
    """A rounded pocket that stands upright, so that thick slices show its full depth; its ends are flat.

    In-plane its radius goes round with ``dents``: amplitude and phase of two and of three dents.
    """

    marker: str
    lowering_hu: float
    centre: Array  # (3,)
    radius: float
    half_height: float
    dents: tuple[tuple[float, float], tuple[float, float]]

    def outside(self, points: Array) -> Array:
        """Signed distance of ``points`` (N, 3) from the feature, (N,), all in units; negative within."""
        away = points - self.centre
        angle = np.arctan2(away[..., 1], away[..., 0])
        (two, turn), (three, twist) = self.dents
        radius = np.float32(self.radius) * (1 + two * np.cos(2 * angle + turn) + three * np.cos(3 * angle + twist))
        across = (away[..., 0] ** 2 + away[..., 1] ** 2) / radius**2
        upright = (away[..., 2] / np.float32(self.half_height)) ** 6
        return np.asarray((np.sqrt(across + upright) - 1) * np.float32(self.radius), np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Band:
    """A bent band, upright: an arc of ``arc_radius`` about ``bend`` (2,), ``extent`` rad long around ``middle`` rad."""

    marker: str
    lowering_hu: float
    bend: NDArray[np.float64]
    arc_radius: float
    middle: float
    extent: float
    half_width: float
    height: float
    half_height: float

    def outside(self, points: Array) -> Array:
        """Signed distance of ``points`` (N, 3) from the feature, (N,), all in units; negative within."""
        plane = points[..., :2] - self.bend.astype(np.float32)
        angle = np.arctan2(plane[..., 1], plane[..., 0]) - np.float32(self.middle)
        angle = (angle + np.float32(np.pi)) % np.float32(2 * np.pi) - np.float32(np.pi)
        along = np.abs(np.hypot(plane[..., 0], plane[..., 1]) - np.float32(self.arc_radius))
        ends = np.minimum(*(np.linalg.norm(plane - end, axis=-1) for end in self._ends()))
        across = np.where(np.abs(angle) < self.extent / 2, along, ends) / np.float32(self.half_width)
        upright = ((points[..., 2] - np.float32(self.height)) / np.float32(self.half_height)) ** 6
        return np.asarray((np.sqrt(across**2 + upright) - 1) * np.float32(self.half_width), np.float32)

    def spine(self, count: int) -> Array:
        """``count`` points (count, 3) along the middle of the band, in units."""
        angles = self.middle + np.linspace(-0.5, 0.5, count) * self.extent
        plane = self.bend + self.arc_radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.column_stack([plane, np.full(count, self.height)]).astype(np.float32)

    def _ends(self) -> Array:
        return np.asarray(self.spine(2)[:, :2] - self.bend, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """All of the clot on one side: where ``points @ normal`` exceeds ``offset`` plus ``bow`` times the way along it.

    The border is upright: ``normal`` (3,) lies in-plane. A ``bow`` (per unit, of the way squared) of 0 is a plane.
    """

    marker: str
    lowering_hu: float
    normal: Array  # (3,)
    offset: float
    bow: float

    def outside(self, points: Array) -> Array:
        """Signed distance of ``points`` (N, 3) from the feature, (N,), all in units; negative within."""
        along = points[..., 1] * self.normal[0] - points[..., 0] * self.normal[1]
        border = np.float32(self.offset) + np.float32(self.bow) * along**2
        return np.asarray(border - points @ self.normal, np.float32)


AnyFeature = Pocket | Band | Cut
