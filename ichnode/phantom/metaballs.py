"""The shape of a haematoma: metaballs, in units of its own scale.

The field is the sum of ``exp(-d_i / blend)`` over balls with distances ``d_i`` from their surfaces, in a space that an
affine map has stretched; the surface is where the field is 1. ``-blend * log(field)`` is then nearly a signed distance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ichnode.phantom.field import Waves

Array = NDArray[np.float32]
STEP: Final = 0.06  # of the quadrature grid in units; a shape of about unit radius gets some 20,000 points
REACH: Final = 2.6  # units; no drawn shape is larger
FLOOR: Final = np.float32(1e-30)  # keeps the logarithm finite far away


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shape:
    """Metaballs: ``centres`` (B, 3) and ``radii`` (B,) in the stretched space, ``stretch`` (3, 3) from own units to it.

    ``roughness`` times ``waves`` (standard deviation 1) is added to the distance, in units.
    """

    centres: Array
    radii: Array
    stretch: Array
    blend: float
    roughness: float
    waves: Waves

    @property
    def reach(self) -> float:
        """Radius of a ball about the origin, in units, that holds the shape."""
        far = np.linalg.norm(self.centres, axis=1) + self.radii + 2 * self.blend + 3 * self.roughness
        return float(far.max() * np.linalg.norm(np.linalg.inv(self.stretch), 2))

    def distance(self, points: Array) -> Array:
        """Signed distance (negative inside) of ``points`` (..., 3), both in units; nearly Euclidean by the surface."""
        return self.distance_and_normal(points)[0]

    def distance_and_normal(self, points: Array) -> tuple[Array, Array]:
        """The distance (...,) and the outward unit normal (..., 3) of the shape as seen from ``points`` (..., 3)."""
        stretched = points @ self.stretch.T
        field = np.full(points.shape[:-1], FLOOR, np.float32)
        gradient = np.zeros_like(stretched)
        for centre, radius in zip(self.centres, self.radii, strict=True):
            away = stretched - centre
            length = np.sqrt(np.einsum("...i,...i->...", away, away)) + np.float32(1e-6)
            part = np.exp(np.maximum((radius - length) / np.float32(self.blend), np.float32(-60)))
            field += part
            away *= (part / length)[..., None]
            gradient += away
        gradient = (gradient / field[..., None]) @ self.stretch
        slope = np.sqrt(np.einsum("...i,...i->...", gradient, gradient)) + np.float32(1e-6)
        distance = -np.float32(self.blend) * np.log(field) / np.maximum(slope, np.float32(0.5))
        return distance + np.float32(self.roughness) * self.waves(points), gradient / slope[..., None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quadrature:
    """The inside of a shape as points (N, 3) with the ``share`` (N,) of their cells that is inside, both in units."""

    points: Array
    share: Array

    def volume(self, scale_mm: float, room: Callable[[Array], NDArray[np.bool_]]) -> float:
        """Volume in mL of the shape at ``scale_mm`` where ``room`` holds; ``room`` is asked at mm off the centre."""
        inside = self.share[room(self.points * np.float32(scale_mm))].sum(dtype=np.float64)
        return float(inside * (STEP * scale_mm) ** 3 / 1000)

    @property
    def largest_z(self) -> float:
        """Height, in units, of the axial slice of largest area."""
        levels, which = np.unique(self.points[:, 2], return_inverse=True)
        return float(levels[np.argmax(np.bincount(which, self.share))])


def quadrature(shape: Shape) -> Quadrature:
    """The inside of ``shape`` on a grid of STEP; cells on the surface count by their distance from it."""
    coarse = _grid(np.arange(-REACH, REACH, 4 * STEP))
    near = coarse[shape.distance(coarse) < 8 * STEP]
    offsets = _grid((np.arange(4) - 1.5) * STEP)
    points = (near[:, None, :] + offsets[None, :, :]).reshape(-1, 3).astype(np.float32)
    share = np.clip(0.5 - shape.distance(points) / STEP, 0, 1).astype(np.float32)
    return Quadrature(points=points[share > 0], share=share[share > 0])


def scale_for(
    inside: Quadrature, volume_ml: float, room: Callable[[Array], NDArray[np.bool_]], tolerance: float = 1e-4
) -> float | None:
    """The scale in mm at which the shape has ``volume_ml`` within ``room``, by bisection; None: it finds no room."""
    free = float(volume_ml / inside.volume(1.0, lambda points: np.ones(len(points), bool))) ** (1 / 3)
    low, high = 0.98 * free, 1.6 * free
    if inside.volume(high, room) < volume_ml:
        return None
    while high - low > tolerance * free:
        middle = (low + high) / 2
        low, high = (middle, high) if inside.volume(middle, room) < volume_ml else (low, middle)
    return float(low + high) / 2


def _grid(axis: NDArray[Any]) -> Array:
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
