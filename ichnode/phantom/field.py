"""Building blocks of shapes that are continuous in space: soft steps, ellipsoids, tubes, smooth noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating[Any]]  # (..., 3) mm; float32, as is all that is computed from it
Values = NDArray[np.floating[Any]]

EDGE_MM: Final = 0.6  # width of a soft step: about a pixel, so that edges are no staircases


def ramp(distance_mm: Values, width_mm: float = EDGE_MM) -> Values:
    """0 where ``distance_mm`` is well below zero, 1 well above, linear over ``width_mm`` between."""
    return np.asarray(np.clip(distance_mm * np.float32(1 / width_mm) + np.float32(0.5), 0, 1))


def smooth(value: Values) -> Values:
    """Smoothstep of ``value`` clipped to [0, 1]."""
    clipped = np.clip(value, 0, 1)
    return clipped * clipped * (3 - 2 * clipped)


def within(points: Points, low: Sequence[float] | Points, high: Sequence[float] | Points) -> NDArray[np.bool_]:
    """(N,): which of ``points`` (N, 3) lie in the box. An axis at a time: numpy is slow along an axis of three."""
    inside = (points[:, 0] >= low[0]) & (points[:, 0] <= high[0])
    for k in (1, 2):
        inside &= (points[:, k] >= low[k]) & (points[:, k] <= high[k])
    return np.asarray(inside)


def length(vectors: Points) -> Values:
    """(N,) lengths of ``vectors`` (N, 3)."""
    x, y, z = vectors[:, 0], vectors[:, 1], vectors[:, 2]
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def ellipsoid_mm(points: Points, centre_mm: tuple[float, ...], semi_mm: tuple[float, ...]) -> Values:
    """(...,) distance to an ellipsoid along the ray from its centre, negative within; true near the surface only."""
    x, y, z = ((points[..., k] - np.float32(centre_mm[k])) * np.float32(1 / semi_mm[k]) for k in range(3))
    return np.asarray((np.sqrt(x * x + y * y + z * z) - 1) * np.float32(min(semi_mm)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tube:
    """A chain of round cones. ``knots_mm`` (K, 3) its axis, ``radii_mm`` (K,)."""

    knots_mm: NDArray[np.float32]
    radii_mm: NDArray[np.float32]

    def distance_mm(self, points: Points) -> Values:
        """(N,) distance of ``points`` (N, 3) to its surface, negative within."""
        nearest = np.full(len(points), np.inf, np.float32)
        for k in range(len(self.knots_mm) - 1):
            start, way = self.knots_mm[k], self.knots_mm[k + 1] - self.knots_mm[k]
            offset = points - start
            along = np.clip(offset @ way / np.float32(way @ way), 0, 1)
            offset -= along[:, None] * way
            radius = self.radii_mm[k] + along * (self.radii_mm[k + 1] - self.radii_mm[k])
            np.minimum(nearest, length(offset) - radius, out=nearest)
        return nearest


def tube(*knots: tuple[float, float, float, float], scale: float = 1.0) -> Tube:
    """A tube from knots (x, y, z, radius) in mm; ``scale`` multiplies the radii."""
    table = np.asarray(knots, np.float32)
    return Tube(knots_mm=table[:, :3], radii_mm=table[:, 3] * np.float32(scale))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Waves:
    """Smooth noise of unit variance, a sum of plane waves.

    ``vectors`` (3, K) rad/mm, ``phases`` (K,), ``mix`` (K, C): C channels of noise.
    """

    vectors: NDArray[np.float32]
    phases: NDArray[np.float32]
    mix: NDArray[np.float32]

    def __call__(self, points: Points) -> Values:
        """(..., C) noise at ``points`` (..., 3); (...,) for one channel."""
        angles = self.vectors.T @ points.reshape(-1, 3).T
        angles += self.phases[:, None]
        np.cos(angles, out=angles)
        values = self.mix.T @ angles
        if len(values) == 1:
            return np.asarray(values[0].reshape(points.shape[:-1]))
        return np.asarray(values.T.reshape(*points.shape[:-1], len(values)))


def waves(
    rng: np.random.Generator, wavelength_mm: float, *, count: int = 10, channels: int = 1, spread: float = 0.35
) -> Waves:
    """Noise whose waves are ``wavelength_mm`` long, give or take ``spread``, in all directions."""
    ways = rng.standard_normal((count, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    lengths = wavelength_mm * rng.uniform(1 - spread, 1 + spread, (count, 1))
    mix = np.full((count, 1), 1.0) if channels == 1 else rng.standard_normal((count, channels))
    mix *= np.sqrt(2 / (mix**2).sum(axis=0))
    return Waves(
        vectors=np.asarray((ways * 2 * np.pi / lengths).T, np.float32),
        phases=rng.uniform(0, 2 * np.pi, count).astype(np.float32),
        mix=np.asarray(mix, np.float32),
    )
