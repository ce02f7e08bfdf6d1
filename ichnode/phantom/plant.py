"""Planting the dark markers: pockets, bands and cuts at a set strength where the clot has room for them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ichnode.phantom.features import AnyFeature, Band, Cut, Pocket
from ichnode.phantom.haematoma import Array
from ichnode.phantom.markers import (
    BLACK_HOLE_HU,
    BLEND_HU,
    FOCI,
    HYPODENSITY_HU,
    LEVEL_HU,
    LEVEL_MM,
    SWIRL_HU,
)
from ichnode.phantom.metaballs import Quadrature, Shape

WALL_MM: Final = (3.5, 2.5)  # of blood around an enclosed pocket: wished, and the least
RADII_MM: Final = (4.2, 3.6, 3.0, 2.5)  # of pockets, the first that fits; the last shows 9 mm² beside a scanner's blur
HEIGHTS_MM: Final = (7.0, 5.5, 4.0, 3.0)  # half-heights, the first that fits: 5 mm fill a thick slice wherever it lies
BAND_MM: Final = 2.2  # half-width of a swirl: a streak, too narrow for the dark part of a blend
FLOOR_HU: Final = 4.0  # no blood is darker
DARK_SHARE: Final = (0.25, 0.4)  # of a clot with a blend
PLANTED: Final = ("blend", "fluid_level", "swirl", "black_hole", "hypodensity", "heterogeneous")  # in this order


class Planter:
    """Plants features into one clot at one scale; each keeps clear of those before it."""

    def __init__(self, rng: np.random.Generator, shape: Shape, inside: Quadrature, scale_mm: float) -> None:
        self.features: list[AnyFeature] = []
        self._rng, self._scale = rng, scale_mm
        self._points = inside.points[inside.share > 0.5]
        self._deep = -shape.distance(self._points) * scale_mm
        self._shape, self._height = shape, inside.largest_z

    def pocket(self, marker: str, lowering_hu: float, radii_mm: Sequence[float] = RADII_MM) -> bool:
        """One enclosed pocket at the height of the largest slice, as large as fits; False: none fits."""
        level = self._points[np.abs(self._points[:, 2] - self._height) * self._scale < 2.5]
        for wall in WALL_MM:
            for half_height in HEIGHTS_MM:
                for radius in radii_mm:
                    free = [c for c in self._rng.permutation(level)[:60] if self._fits(c, radius, half_height, wall)]
                    if free:
                        return self._put(
                            Pocket(
                                marker=marker,
                                lowering_hu=lowering_hu,
                                centre=free[0],
                                radius=radius / self._scale,
                                half_height=half_height / self._scale,
                                dents=self._dents(),
                            )
                        )
        return False

    def band(self, marker: str, lowering_hu: float) -> bool:
        """A bent band upright through the middle; every other one opens to the outside. False: it does not fit."""
        is_open = bool(self._rng.random() < 0.5)
        for _ in range(300):
            radius, extent = self._rng.uniform(0.35, 0.7), self._rng.uniform(1.2, 2.2)
            middle = self._rng.uniform(-np.pi, np.pi)
            start = self._rng.choice(self._points)[:2].astype(np.float64)
            bend = start - radius * np.array([np.cos(middle), np.sin(middle)])
            for half_height in HEIGHTS_MM:
                made = Band(
                    marker=marker,
                    lowering_hu=lowering_hu,
                    bend=bend,
                    arc_radius=radius,
                    middle=middle,
                    extent=extent,
                    half_width=BAND_MM / self._scale,
                    height=self._height,
                    half_height=half_height / self._scale,
                )
                if self._band_fits(made, half_height, is_open):
                    return self._put(made)
        return False

    def side(self, marker: str, lowering_hu: float) -> bool:
        """One side of the clot, in-plane, of DARK_SHARE of it: a blend."""
        angle = self._rng.uniform(-np.pi, np.pi)
        normal = np.array([np.cos(angle), np.sin(angle), 0], np.float32)
        share = self._rng.uniform(*DARK_SHARE)
        bow = float(self._rng.uniform(-0.4, 0.4))
        flat = Cut(marker=marker, lowering_hu=lowering_hu, normal=normal, offset=0.0, bow=bow)
        offset = float(np.quantile(-flat.outside(self._points), 1 - share))
        return self._put(replace(flat, offset=offset))

    def level(self, marker: str, lowering_hu: float, length_mm: float) -> bool:
        """The front of the clot above a level line (the patient lies on the back), nearest to ``length_mm`` long."""
        normal = np.array([0, -1, 0], np.float32)
        height = self._points[np.abs(self._points[:, 2] - self._height) < 0.04]
        offsets = np.quantile(height @ normal, np.linspace(0.35, 0.8, 19))
        chords = [self._chord_mm(height, float(offset)) for offset in offsets]
        best = float(offsets[int(np.argmin(np.abs(np.array(chords) - length_mm)))])
        return self._put(Cut(marker=marker, lowering_hu=lowering_hu, normal=normal, offset=best, bow=0.0))

    def _chord_mm(self, level: Array, offset: float) -> float:
        near = level[np.abs(-level[:, 1] - offset) < 0.05]
        return float(np.ptp(near[:, 0]) * self._scale) if len(near) else 0.0

    def _dents(self) -> tuple[tuple[float, float], tuple[float, float]]:
        turns = self._rng.uniform(0, 2 * np.pi, 2)
        return (float(self._rng.uniform(0, 0.18)), float(turns[0])), (
            float(self._rng.uniform(0, 0.12)),
            float(turns[1]),
        )

    def _put(self, feature: AnyFeature) -> bool:
        self.features.append(feature)
        return True

    def _fits(self, centre: Array, radius_mm: float, half_height_mm: float, wall_mm: float) -> bool:
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(16)], axis=1) * (radius_mm + wall_mm)
        rim = np.concatenate([ring * [1, 1, 0] + [0, 0, z] for z in (-half_height_mm, 0, half_height_mm)])
        caps = [[0, 0, -half_height_mm - 1], [0, 0, half_height_mm + 1], [0, 0, 0]]
        points = (centre + np.concatenate([rim, caps]) / self._scale).astype(np.float32)
        inside = self._shape.distance(points).max() < 0
        return bool(inside) and all(feature.outside(points).min() > 0 for feature in self.features)

    def _band_fits(self, band: Band, half_height_mm: float, is_open: bool) -> bool:
        spine = band.spine(15)
        lifted = np.concatenate(
            [spine + np.array([0, 0, z / self._scale], np.float32) for z in (-half_height_mm, 0, half_height_mm)]
        )
        deep = -self._shape.distance(lifted).reshape(3, -1) * self._scale
        wall = BAND_MM + WALL_MM[1]
        fits = deep[1, 0] < 0 and (deep[:, 5:] > wall).all() if is_open else (deep > wall).all()
        return bool(fits) and all(feature.outside(lifted).min() * self._scale > wall for feature in self.features)


def plant(planter: Planter, marker: str, *, strength: float, blood_hu: float, brain_hu: float) -> bool:
    """``marker`` at ``strength`` times its threshold; False: the clot has no room for it.

    The strength multiplies the drop in HU, for a swirl the drop from blood to brain + SWIRL_HU, for a fluid level its
    length and for heterogeneous density the number of pockets.
    """

    def lowering(threshold_hu: float) -> float:
        return min(strength * threshold_hu, blood_hu - FLOOR_HU)

    match marker:
        case "hypodensity":
            return planter.pocket(marker, lowering(HYPODENSITY_HU))
        case "black_hole":
            return planter.pocket(marker, lowering(BLACK_HOLE_HU))
        case "swirl":
            return planter.band(marker, lowering(blood_hu - brain_hu - SWIRL_HU))
        case "blend":
            return planter.side(marker, lowering(BLEND_HU))
        case "fluid_level":
            return planter.level(marker, LEVEL_HU, strength * LEVEL_MM)
        case "heterogeneous":
            count = max(1, round(FOCI * strength))
            planted = sum(planter.pocket(marker, 1.6 * HYPODENSITY_HU, RADII_MM[2:]) for _ in range(count))
            return planted >= min(count, FOCI)
    raise ValueError(marker)
