"""A head as a function of space: HU at any point, analytic and continuous, drawn from a seed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ichnode.phantom.brain import Brain, draw_brain
from ichnode.phantom.calcium import Spots, draw_spots
from ichnode.phantom.face import AIR_HU, FAT_HU, MUSCLE_HU, Face, draw_face
from ichnode.phantom.field import EDGE_MM, Points, Values, ellipsoid_mm, ramp
from ichnode.phantom.shell import NO_BASE_ABOVE_MM, Shell, draw_shell

CHUNK: Final = 48_000  # points at a time: what is worked on stays in the processor's cache
TABLE_HU: Final = 1450.0
DIPLOE_HU: Final = 750.0
TABLE_MM: Final = 1.5  # thickness of the outer and of the inner table
PETROUS_HU: Final = 1300.0
SKIN_HU: Final = 40.0
SKIN_MM: Final = 2.0
ABOVE_MM: Final = -99.0  # "distance below the skull base" of points that lie well above it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A head in its own coordinates: LPS mm, x to the left, y to the back, z up, origin in the middle of the brain."""

    shell: Shell
    brain: Brain
    face: Face
    spots: Spots
    sinus_mm: tuple[float, float, float]  # frontal sinus: middle in x, half width, half depth

    def hu_at(self, points: Points) -> Values:
        """HU at ``points`` (..., 3) float32, shape (...,) float32; air outside."""
        flat = np.ascontiguousarray(points.reshape(-1, 3), np.float32)
        out = np.empty(len(flat), np.float32)
        for start in range(0, len(flat), CHUNK):
            out[start : start + CHUNK] = self._hu(flat[start : start + CHUNK])
        return out.reshape(points.shape[:-1])

    def brain_at(self, points: Points) -> NDArray[np.bool_]:
        """Whether ``points`` (..., 3) lie inside of the skull, shape (...,)."""
        flat = np.ascontiguousarray(points.reshape(-1, 3), np.float32)
        return np.asarray(self._inner_mm(flat)[0] < 0).reshape(points.shape[:-1])

    def ventricle_at(self, points: Points) -> NDArray[np.bool_]:
        """Whether ``points`` (..., 3) lie in a ventricle, shape (...,)."""
        flat = np.ascontiguousarray(points.reshape(-1, 3), np.float32)
        return np.asarray(self.brain.ventricle_mm(flat) < 0).reshape(points.shape[:-1])

    def outline_mm(self, points: Points) -> Values:
        """(..., 3) -> (...,) rough distance to the skin, negative within: where there is anything to compute."""
        flat = np.ascontiguousarray(points.reshape(-1, 3), np.float32)
        vault = self.shell.vault_mm(flat) - np.float32(self.shell.bone_mm * 1.4 + self.shell.scalp_mm + 8)
        return np.asarray(np.minimum(vault, self.shell.face_mm(flat))).reshape(points.shape[:-1])

    def _inner_mm(self, points: Points) -> tuple[Values, Values, Values, Values]:
        """(N,) distance outside the inner table, of the vault alone, of the base alone, and below the base's bone."""
        vault = self.shell.vault_mm(points) + self.shell.bumps(points) * np.float32(1.0)
        inner = vault.copy()
        under, base = np.full((2, len(points)), ABOVE_MM, np.float32)
        low = np.flatnonzero(points[:, 2] < NO_BASE_ABOVE_MM)
        if len(low):
            under[low], thick = self.shell.base_at(points[low])
            base[low] = under[low] - thick
            inner[low] = np.maximum(vault[low], under[low])
        return inner, vault, under, base

    def _hu(self, points: Points) -> Values:
        inner, vault, under, base = self._inner_mm(points)
        hu = np.full(len(points), AIR_HU, np.float32)
        outer = np.flatnonzero(inner > -EDGE_MM)
        hu[outer] = self._outside(points[outer], inner[outer], vault[outer], under[outer], base[outer])
        within = np.flatnonzero(inner < EDGE_MM)
        some, deep = points[within], -inner[within]
        grey = self.spots.paint(some, self.brain.hu_at(some, deep))
        hu[within] += (grey - hu[within]) * ramp(deep)
        return hu

    def _outside(self, points: Points, inner: Values, vault: Values, under: Values, base: Values) -> Values:
        """Bone, scalp, face and air."""
        thick = self.shell.vault_bone_mm(points)
        outside_vault = vault - thick
        bone_depth = -np.maximum(outside_vault, base)  # positive within the bone
        scalp, muscle = self.shell.scalp_at(points)
        skin = outside_vault - scalp
        below = np.flatnonzero(points[:, 2] < 0)
        skin[below] = np.minimum(skin[below], self.shell.face_mm(points[below]))
        hu = self._scalp(-skin, scalp, muscle)
        lower = np.flatnonzero((points[:, 2] < -4) & (bone_depth < EDGE_MM) & (skin < EDGE_MM))
        if len(lower):
            hu[lower] = self.face.hu_at(
                points[lower], -skin[lower], np.where(base[lower] < ABOVE_MM / 2, 1, base[lower])
            )
        bony = np.flatnonzero((bone_depth > -EDGE_MM) & (inner > -EDGE_MM))
        if len(bony):
            bone = self._bone(points[bony], bone_depth[bony], inner[bony], under[bony])
            hu[bony] += (bone - hu[bony]) * ramp(bone_depth[bony])
        return np.asarray(np.float32(AIR_HU) + (hu - np.float32(AIR_HU)) * ramp(-skin))

    def _scalp(self, deep_mm: Values, scalp_mm: Values, muscle: Values) -> Values:
        """Skin, fat under it, galea, and the temporal muscle. All (N,)."""
        hu = np.full(len(deep_mm), FAT_HU, np.float32)
        galea = ramp(deep_mm - scalp_mm + 2.2, 1.0)
        hu += galea * 75
        hu += (np.float32(MUSCLE_HU) - hu) * muscle * ramp(deep_mm - 4.5, 2.0)
        return np.asarray(hu + (np.float32(SKIN_HU) - hu) * ramp(SKIN_MM - deep_mm, 0.8), np.float32)

    def _bone(self, points: Points, depth: Values, inner: Values, under: Values) -> Values:
        table = np.maximum(ramp(TABLE_MM - depth, 1.0), ramp(TABLE_MM - inner, 1.0))
        hu = np.float32(DIPLOE_HU) + np.float32(TABLE_HU - DIPLOE_HU) * table
        petrous = np.flatnonzero((under > 0) & (points[:, 2] < -18))
        if len(petrous):
            some = points[petrous]
            dense = ramp(12 - np.abs(np.abs(some[:, 0]) - 32), 12.0) * ramp(14 - np.abs(some[:, 1] - 14), 10.0)
            mixed = hu[petrous] + (np.float32(PETROUS_HU) - hu[petrous]) * dense
            air = self.face.mastoid(some) * ramp(inner[petrous] - 2)
            hu[petrous] = mixed + (np.float32(AIR_HU) - mixed) * air
        front = np.flatnonzero((points[:, 1] < -60) & (np.abs(points[:, 2] + 2) < 24))
        if len(front):
            some, (_, half_length, _) = points[front], self.shell.semi_mm
            sinus = ellipsoid_mm(some, (self.sinus_mm[0], -half_length - 3, -5), (*self.sinus_mm[1:], 16))
            hollow = ramp(-sinus) * ramp(depth[front] - 1.2) * ramp(inner[front] - 1.2)
            hu[front] += (np.float32(AIR_HU) - hu[front]) * hollow
        return np.asarray(hu)


def make_head(rng: np.random.Generator, *, craniotomy: bool = False) -> Head:
    """A head drawn from ``rng``: an adult of any age, never the same twice."""
    shell = draw_shell(rng, craniotomy=craniotomy)
    brain, face, spots = draw_brain(rng), draw_face(rng), draw_spots(rng)
    sinus = float(rng.normal(0, 5)), float(rng.uniform(4, 26)), float(rng.uniform(4, 9))
    return Head(shell=shell, brain=brain, face=face, spots=spots, sinus_mm=sinus)
