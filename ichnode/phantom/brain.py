"""The brain inside the skull: folded cortex, white matter, deep nuclei, brain stem, cerebellum, liquor and falx."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from ichnode.phantom.field import Points, Values, Waves, ellipsoid_mm, ramp, smooth, waves
from ichnode.phantom.ventricles import Ventricles, draw_ventricles

# HU at 120 kV. Source: the means of these tissues in the usual textbooks of CT; grey above white by 6 to 9 HU
LIQUOR_HU: Final = 7.0
WHITE_HU: Final = 28.5
GREY_HU: Final = 37.0
NUCLEI_HU: Final = 36.5
CEREBELLUM_HU: Final = 34.0
STEM_HU: Final = 31.0
FALX_HU: Final = 62.0
SINUS_HU: Final = 52.0
CORTEX_MM: Final = 3.2
FOLIA_SQUEEZE: Final = np.array([0.35, 0.8, 1.6], np.float32)  # folia lie flat
FISSURE_SQUEEZE: Final = np.array([0.55, 0.55, 1.5], np.float32)
GYRUS_MM: Final = 25.0  # wavelength of the folding: a gyrus is half of it
FOLD_RADIUS_MM: Final = 68.0
STEM: Final = ((17.5, 13.0, 9.0, -16.0), (16.5, 12.5, 7.0, -34.0), (9.5, 8.5, 15.0, -54.0))  # semi x, semi y, y, at z

# centre and semi-axes of one side's grey nuclei: head of caudate, putamen with pallidum, thalamus, insula's claustrum
NUCLEI: Final = (
    ((13.5, -21.0, 7.0), (5.0, 9.5, 8.5)),
    ((25.5, -7.0, 0.5), (6.5, 16.0, 10.5)),
    ((10.0, 9.0, 2.5), (8.5, 13.5, 8.5)),
    ((18.0, 2.0, 17.0), (3.0, 14.0, 3.5)),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Brain:
    """A brain. ``atrophy`` and ``leukoaraiosis`` in [0, 1]; ``contrast`` of grey and white about 1."""

    atrophy: float
    leukoaraiosis: float
    contrast: float
    falx_hu: float
    warp: Waves
    folds: Waves
    folia: Waves
    texture: Waves
    ventricles: Ventricles

    def warped(self, points: Points) -> Points:
        """Points of the regular brain that stand where ``points`` (N, 3) do in this one, lopsided as any."""
        return np.asarray(points + self.warp(points) * np.float32(1.6))

    def hu_at(self, points: Points, depth_mm: Values) -> Values:
        """(N,) HU at ``points`` (N, 3) that lie ``depth_mm`` (N,) under the inner table."""
        regular = self.warped(points)
        x, y, z = (np.ascontiguousarray(regular[:, k]) for k in range(3))
        across = np.abs(x)
        tentorium = -7 - 0.30 * across - 0.38 * np.maximum(y - 36, 0) - 0.35 * np.maximum(22 - y, 0)
        below = (tentorium - z) * np.float32(0.85)
        rear = y - 0.62 * (across - 10)
        under = (below > 0) & (rear > -4)
        hu = np.empty(len(points), np.float32)
        hu[~under] = self._cerebrum(regular[~under], across[~under], depth_mm[~under])
        hu[under] = self._posterior(regular[under], across[under], depth_mm[under], below[under])
        hu += self.texture(points) * np.float32(0.9)
        hu = self._midline(hu, regular, across, depth_mm, below)
        tent = np.flatnonzero((np.abs(below) < 1.5) & (across > 17) & (rear > -4))
        hu[tent] += (np.float32(44) - hu[tent]) * ramp(0.8 - np.abs(below[tent]), 0.8) * 0.6
        return hu

    def ventricle_mm(self, points: Points) -> Values:
        """(N,) distance to the ventricles, negative within."""
        return self.ventricles.distance_mm(self.warped(points))

    def _cerebrum(self, points: Points, across: Values, depth_mm: Values) -> Values:
        x, y, z = points[:, 0], points[:, 1], points[:, 2]
        stretch = np.float32(FOLD_RADIUS_MM) / (np.sqrt(x * x + y * y + z * z) + np.float32(1e-3)) + np.float32(0.22)
        directed = points * stretch[:, None]
        fold = np.abs(self.folds(directed)) * np.float32(GYRUS_MM * 0.23)  # about mm from the sulcus
        medial = across + np.float32(0.6)
        pia = depth_mm - np.float32(0.7 + 2.0 * self.atrophy)
        surface = np.minimum(
            np.minimum(pia, medial + 30 * (self._callosal_mm(y, z) < 0)), self._insula_mm(points, across)
        )
        open_mm = np.float32(0.4 + 1.5 * self.atrophy) * np.clip(1.5 - surface / 11, 0, 1.5)
        sulcus = fold + np.maximum(surface - 15, 0) * np.float32(0.8)
        grey = np.maximum(ramp(CORTEX_MM - surface, 2.0), ramp(CORTEX_MM + open_mm - sulcus, 2.0))
        nucleus = self._nuclei_mm(points, across)
        grey = np.maximum(grey, ramp(-nucleus, 1.6) * np.float32(0.93))
        hu = np.float32(WHITE_HU) + grey * np.float32((GREY_HU - WHITE_HU) * self.contrast)
        liquor = np.maximum(ramp(open_mm - sulcus, 1.0) * (surface < 19), ramp(-surface))
        ventricle = self.ventricles.distance_mm(points)
        cap = np.float32(9 * self.leukoaraiosis) * np.clip(1 - ventricle / (5 + 10 * self.leukoaraiosis), 0, 1)
        hu -= cap * (1 - grey)
        liquor = np.maximum(np.maximum(liquor, ramp(-ventricle, 0.8)), self._cisterns(points, across))
        return np.asarray(hu + (np.float32(LIQUOR_HU) - hu) * liquor)

    def _posterior(self, points: Points, across: Values, depth_mm: Values, below_mm: Values) -> Values:
        y = points[:, 1]
        wall = np.minimum(depth_mm - np.float32(0.8 + 1.2 * self.atrophy), below_mm - np.float32(0.4))
        stem = _stem_mm(points)
        folia = self.folia(points * FOLIA_SQUEEZE)
        hu = np.float32(CEREBELLUM_HU) + np.float32(1.8 * self.contrast) * folia
        core = ellipsoid_mm(points, (0, 46, -34), (30, 17, 12))
        hu -= np.float32(3.5 * self.contrast) * ramp(-core, 8.0)
        hu += (np.float32(STEM_HU) - hu) * ramp(-stem, 1.5)
        cleft = np.float32(0.2 + 1.0 * self.atrophy)
        liquor = ramp(-wall)
        fissure = np.abs(self.folds(points * FISSURE_SQUEEZE)) * np.float32(7)
        fissure = fissure + np.maximum(wall - 9, 0) * np.float32(0.5)
        liquor = np.maximum(liquor, ramp(cleft - fissure, 1.2) * np.float32(0.45 + 0.5 * self.atrophy))
        notch = across + np.maximum(66 - y, 0) * np.float32(0.6)
        liquor = np.maximum(liquor, ramp(1.5 + cleft - notch, 1.2))
        liquor = np.maximum(liquor, ramp(-self.ventricles.distance_mm(points), 0.8))
        liquor = np.maximum(liquor, self._cisterns(points, across))
        return np.asarray(hu + (np.float32(LIQUOR_HU) - hu) * liquor)

    def _cisterns(self, points: Points, across: Values) -> Values:
        """(N,) share of liquor round the brain stem and at the base."""
        y, z = points[:, 1], points[:, 2]
        out = np.zeros(len(points), np.float32)
        near = np.flatnonzero((across < 46) & (y < 50) & (y > -46) & (z < 6))
        some, side, y, z = points[near], across[near], y[near], z[near]
        stem = _stem_mm(some)
        front = np.clip((2 - y) / 8, 0, 1) * np.clip((-20 - z) / 8, 0, 1)
        behind = np.clip((y - 20) / 6, 0, 1) * np.clip((z + 26) / 8, 0, 1) * np.clip((-1 - z) / 6, 0, 1)
        beside = np.clip((z + 28) / 6, 0, 1) * np.clip((-8 - z) / 5, 0, 1)
        width = (0.5 + 1.3 * self.atrophy) + 1.4 * front + 2.2 * behind + 0.3 * beside
        ambient = ramp(width - np.abs(stem - width), 1.2) * np.clip(1.2 * (front + behind) + 0.85 * beside, 0, 1)
        star = ellipsoid_mm(some, (0, -11, -20), (9 + 3 * self.atrophy, 7.5, 6.5))
        bank = np.hypot(y + 13 + 0.12 * (side - 8), z + 19 - 0.15 * side) - (1.0 + 1.5 * self.atrophy)
        valley = np.maximum(bank, side - 36)
        out[near] = np.maximum(np.maximum(ambient, ramp(-star, 1.2)), ramp(-valley, 1.2) * np.float32(0.9))
        return out

    def _insula_mm(self, points: Points, across: Values) -> Values:
        """(N,) distance to the lateral fissure: a cleft from the side that forks at the insula."""
        out = np.full(len(points), 40, np.float32)
        near = np.flatnonzero((across > 28) & (np.abs(points[:, 1] + 6) < 30) & (np.abs(points[:, 2] - 2) < 22))
        some, side = points[near], across[near]
        y, z, wave = some[:, 1], some[:, 2], self.folds(some * np.float32(1.3))
        width = np.float32(0.1 + 1.7 * self.atrophy) + np.float32(0.5) * wave
        island = np.abs(side - 37 - 0.008 * (y + 4) ** 2 - 0.012 * (z - 2) ** 2 - 0.7 * wave)
        island = np.maximum(island, np.maximum(np.abs(y + 4) - 17, np.abs(z - 2) - 12))
        cleft = np.abs(z - 1 - 0.32 * (y + 6) + 0.10 * (side - 36) - 1.2 * wave)
        cleft = np.maximum(cleft, np.maximum(37 - side, np.abs(y + 8) - 21))
        out[near] = np.minimum(island, cleft) - width
        return out

    def _callosal_mm(self, y: Values, z: Values) -> Values:
        """(N,) distance in the midline from the corpus callosum and what lies below it, positive outside."""
        return np.asarray(np.hypot((y - 4) / 1.0, (z + 2) * 1.35) - 39)

    def _nuclei_mm(self, points: Points, across: Values) -> Values:
        nearest = np.full(len(points), 9.0, np.float32)
        near = np.flatnonzero((across < 34) & (np.abs(points[:, 1] + 4) < 30) & (np.abs(points[:, 2] - 4) < 20))
        some = points[near]
        some[:, 0] = across[near]
        distance = np.min([ellipsoid_mm(some, *nucleus) for nucleus in NUCLEI], axis=0)
        nearest[near] = distance
        return nearest

    def _midline(self, hu: Values, points: Points, across: Values, depth_mm: Values, below_mm: Values) -> Values:
        """The falx, and the sagittal sinus in its rim."""
        near = np.flatnonzero((across < 9) & (below_mm < 4))
        y, z, side, deep = points[near, 1], points[near, 2], across[near], depth_mm[near]
        free = self._callosal_mm(y, z) - 5 - 10 * np.clip(-y / 80, 0, 1)
        falx = (
            np.float32(0.8) * ramp(0.45 - side, 0.7) * ramp(free, 3.0) * ramp(z + 8 + 10 * np.clip(-y / 40, -1, 0), 3.0)
        )
        some = hu[near]
        some += (np.float32(self.falx_hu) - some) * falx
        sinus = ramp(6.5 - deep - 1.5 * side, 1.2) * smooth((z + 0.9 * y + 10) / 40)
        hu[near] = some + (np.float32(SINUS_HU) - some) * sinus
        return hu


def _stem_mm(points: Points) -> Values:
    """(N,) distance in the plane to the brain stem: midbrain, pons, medulla."""
    table = np.asarray(STEM, np.float32)[::-1]
    at = [np.interp(points[:, 2], table[:, 3], table[:, k]).astype(np.float32) for k in range(3)]
    x, y = points[:, 0] / at[0], (points[:, 1] - at[2]) / at[1]
    return np.asarray((np.sqrt(x * x + y * y) - 1) * at[1])


def draw_brain(rng: np.random.Generator) -> Brain:
    """A brain of an adult; the older, the wider its liquor spaces."""
    atrophy = float(rng.beta(1.6, 2.4))
    return Brain(
        atrophy=atrophy,
        leukoaraiosis=float(np.clip(rng.normal(0.6 * atrophy, 0.25), 0, 1)),
        contrast=float(rng.uniform(0.75, 1.1)),
        falx_hu=float(rng.uniform(48, FALX_HU)),
        warp=waves(rng, 75.0, count=9, channels=3),
        folds=waves(rng, GYRUS_MM, count=14, spread=0.3),
        folia=waves(rng, 5.5, count=8, spread=0.25),
        texture=waves(rng, 14.0, count=8),
        ventricles=draw_ventricles(rng, atrophy),
    )
