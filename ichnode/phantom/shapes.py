"""Drawing the shape of a haematoma: smooth, or irregular to a measured degree."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from skimage.measure import find_contours

from ichnode.domain.errors import ConfigError
from ichnode.phantom.field import waves
from ichnode.phantom.metaballs import REACH, Quadrature, Shape, quadrature

DEFECT_MM: Final = 3.0  # a convexity defect as deep as this is a focal irregularity (design/model.md)
SMOOTH_MM: Final = 1.8  # the deepest defect of a shape that is to be free of irregularity
DRAWS: Final = 8
LOBES_OUT: Final = (0.45, 1.3)  # units: hidden in the body, and off it
RASTER: Final = 0.02  # units, of the contour on which defects are measured

Array = NDArray[np.float32]


def draw_smooth(rng: np.random.Generator, volume_ml: float, slender: float) -> tuple[Shape, Quadrature]:
    """A compact shape, longer from front to back, whose outline has no convexity defect deeper than SMOOTH_MM."""
    radius_mm = (volume_ml * 750 / np.pi) ** (1 / 3)
    spread = rng.uniform(0.5, 0.8)
    directions = _directions(rng, int(rng.integers(3, 6)))
    radii = np.concatenate([[0.75], rng.uniform(0.4, 0.55, len(directions))])
    stretch = _stretch(rng, slender)
    rough = waves(rng, rng.uniform(7, 13) / radius_mm, count=16)
    roughness = min(rng.uniform(0.5, 1.0) / radius_mm, 0.07)
    for _ in range(10):
        centres = np.concatenate([np.zeros((1, 3)), directions * spread])
        shape = Shape(
            centres=centres.astype(np.float32),
            radii=radii.astype(np.float32),
            stretch=stretch,
            blend=0.2,
            roughness=roughness,
            waves=rough,
        )
        inside = quadrature(shape)
        if max(defects_mm(shape, inside, volume_ml), default=0.0) <= SMOOTH_MM:
            break
        spread, roughness = spread * 0.85, roughness * 0.85
    return shape, inside


def draw_irregular(
    rng: np.random.Generator, volume_ml: float, slender: float, strength: float
) -> tuple[Shape, Quadrature]:
    """A lobed shape in one piece whose second deepest convexity defect is ``strength`` times DEFECT_MM.

    That is on the largest slice; the lobes are pushed out by bisection, and drawn anew where they would come off
    before. Raises ConfigError for a haematoma too small for such defects.
    """
    wanted_mm = strength * DEFECT_MM
    for _ in range(DRAWS):
        lobed = _draw_lobes(rng, slender)
        low, high = LOBES_OUT
        for _ in range(8):
            middle = (low + high) / 2
            low, high = (low, middle) if _second(defects_mm(*lobed(middle), volume_ml)) >= wanted_mm else (middle, high)
        shape, inside = lobed(high)
        if wanted_mm <= _second(defects_mm(shape, inside, volume_ml)) < np.inf:
            return shape, inside
    raise ConfigError(
        f"{volume_ml:g} mL are too small for two defects of {wanted_mm:.1f} mm.",
        hint="Set more volume or less strength.",
    )


def _second(depths_mm: list[float]) -> float:
    return depths_mm[1] if len(depths_mm) > 1 else 0.0


def _draw_lobes(rng: np.random.Generator, slender: float) -> Callable[[float], tuple[Shape, Quadrature]]:
    """A body with lobes around it: a function of how far out they stand, in units."""
    count = int(rng.integers(3, 6))
    angles = 2 * np.pi * (np.arange(count) + rng.uniform(-0.3, 0.3, count)) / count + rng.uniform(0, 2 * np.pi)
    heights = rng.uniform(-0.4, 0.4, count)
    directions = np.stack([np.cos(angles), np.sin(angles), heights], axis=1) * rng.uniform(0.75, 1.15, count)[:, None]
    radii = np.concatenate([[0.7], rng.uniform(0.25, 0.5, count)]).astype(np.float32)
    stretch = _stretch(rng, slender)
    rough = waves(rng, rng.uniform(0.5, 1.0), count=16)

    def lobed(out: float) -> tuple[Shape, Quadrature]:
        centres = np.concatenate([np.zeros((1, 3)), directions * out]).astype(np.float32)
        shape = Shape(centres=centres, radii=radii, stretch=stretch, blend=0.1, roughness=0.03, waves=rough)
        return shape, quadrature(shape)

    return lobed


def defects_mm(shape: Shape, inside: Quadrature, volume_ml: float) -> list[float]:
    """Depths in mm, deepest first, of the convexity defects of the largest axial slice at ``volume_ml``.

    A defect is the stretch of the outline between two neighbouring corners of its convex hull; its depth is the
    largest distance from their chord. The free volume is taken: what the skull cuts off leaves no defect. A slice in
    several pieces has infinite ones.
    """
    scale_mm = (volume_ml / inside.volume(1.0, lambda points: np.ones(len(points), bool))) ** (1 / 3)
    return sorted((float(depth) * scale_mm for depth in _defects(shape, inside.largest_z)), reverse=True)


def _defects(shape: Shape, height: float) -> list[float]:
    axis = np.arange(-REACH, REACH, RASTER, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    field = shape.distance(np.stack([x, y, np.full_like(x, height)], axis=-1))
    pieces = find_contours(field, 0.0)
    if len(pieces) > 1:
        return [np.inf, np.inf]
    outline = pieces[0][:-1] * RASTER
    corners = np.sort(ConvexHull(outline).vertices)
    depths = []
    for start, end in zip(corners, np.append(corners[1:], corners[0] + len(outline)), strict=True):
        if end - start < 2:
            continue
        between = outline[np.arange(start, end + 1) % len(outline)]
        chord = between[-1] - between[0]
        offset = between - between[0]
        depths.append(np.abs(offset[:, 0] * chord[1] - offset[:, 1] * chord[0]).max() / np.linalg.norm(chord))
    return depths


def _directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    drawn = rng.normal(size=(count, 3))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _stretch(rng: np.random.Generator, slender: float) -> Array:
    """A map of determinant 1: the shape is ``slender`` times as long (front to back) as wide, and turned a little."""
    lengths = np.array([slender**-0.5, slender**0.5, 1.0]) * np.exp(rng.normal(0, 0.07, 3))
    lengths /= np.prod(lengths) ** (1 / 3)
    angle = rng.uniform(-0.6, 0.6)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return np.asarray(turn @ np.diag(1 / lengths) @ turn.T, np.float32)
