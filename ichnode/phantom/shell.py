"""The skull as a shell: its inner surface, its base, the thickness of bone and scalp, and the outline of the head."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ichnode.phantom.field import Points, Values, Waves, ellipsoid_mm, ramp, smooth, waves

TABLE_MM: Final = 0.5  # grid of the base's height map
TABLE_X_MM: Final = 96.0
TABLE_Y_MM: Final = (-124.0, 124.0)
OPEN_MM: Final = -220.0  # "height" of the base where there is none: the foramen magnum
RIDGE_SLOPE: Final = 0.62  # of the petrous ridge, from near the sella to behind the ear
NO_BASE_ABOVE_MM: Final = -6.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shell:
    """Sizes in mm, head coordinates (LPS, origin within the brain).

    ``semi_mm``: half width, half length, height of the vault. ``base`` (X, Y, 3): height, slope factor and thickness of
    the skull base over (x, y). ``bumps``: noise of the surface. ``flap_mm``: centre and radius of a missing bone flap.
    """

    semi_mm: tuple[float, float, float]
    widening: float
    bone_mm: float
    scalp_mm: float
    base: NDArray[np.float32]
    bumps: Waves
    flap_mm: tuple[float, float, float, float] | None

    def vault_mm(self, points: Points) -> Values:
        """(N,) distance to the inside of the vault along the ray from the origin, positive outside."""
        half_width, half_length, height = self.semi_mm
        x, y, z = points[:, 0], points[:, 1], points[:, 2]
        back = y * np.float32(1 / half_length)
        across = x / (half_width * (1 + self.widening * np.clip(back, -1.5, 1.5)))
        low = np.float32(1 / (height * 1.25))
        up = z * np.where(z > 0, np.float32(1 / height), low)
        xx, yy, zz = across * across, back * back, up * up
        square = np.clip(xx * yy, 0, 0.3) * 0.34 + np.clip(zz * (xx + yy), 0, 0.3) * 0.16
        radius = np.sqrt(np.maximum(xx + yy + zz - square, 1e-6))
        length = np.sqrt(x * x + y * y + z * z)
        return np.asarray(length - length / radius, np.float32)

    def base_at(self, points: Points) -> tuple[Values, Values]:
        """(N,) distance below the skull base (negative above it) and (N,) thickness of its bone."""
        i = np.clip(
            (points[:, 0] + np.float32(TABLE_X_MM)) * np.float32(1 / TABLE_MM) + np.float32(0.5),
            0,
            self.base.shape[0] - 1,
        )
        j = np.clip(
            (points[:, 1] - np.float32(TABLE_Y_MM[0])) * np.float32(1 / TABLE_MM) + np.float32(0.5),
            0,
            self.base.shape[1] - 1,
        )
        at = i.astype(np.int32) * np.int32(self.base.shape[1]) + j.astype(np.int32)
        height, slope, thick = np.take(self.base.reshape(-1, 3), at, axis=0).T
        return (height - points[:, 2]) * slope, thick

    def vault_bone_mm(self, points: Points) -> Values:
        """(N,) thickness of the vault: thin at the temples, thick in front and behind."""
        x, y, z = (points[:, k] / self.semi_mm[k] for k in range(3))
        temple = np.clip(x * x - 0.55, 0, 0.5) * np.clip(0.6 - z, 0, 1) * 1.3
        ends = np.clip(y * y - 0.5, 0, 0.5) * 0.6
        thick = self.bone_mm * (1 - np.clip(temple, 0, 0.55) + ends)
        if self.flap_mm is not None:
            x, y, z = (points[:, k] - self.flap_mm[k] for k in range(3))
            left = ramp(np.sqrt(x * x + y * y + z * z) - self.flap_mm[3], 3.0)
            thick = (thick + 2) * left - 2  # below zero: no film of bone is left
        return np.asarray(thick, np.float32)

    def scalp_at(self, points: Points) -> tuple[Values, Values]:
        """(N,) thickness of the scalp, and (N,) share of it that is the temporal muscle."""
        half_width, _, _ = self.semi_mm
        x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
        temple = ramp(x - np.float32(half_width * 0.7), 16.0) * ramp(12 - z, 40.0) * ramp(34 - np.abs(y + 26), 24.0)
        return self.scalp_mm + np.float32(11) * temple, np.clip(temple * 4, 0, 1)

    def face_mm(self, points: Points) -> Values:
        """(N,) distance to the outline of face and neck."""
        half_width, half_length, _ = self.semi_mm
        face = ellipsoid_mm(points, (0, -38, -72), (half_width - 2, 64, 62))
        neck = ellipsoid_mm(points, (0, 22, -120), (half_width - 2, half_length - 12, 100))
        nose = ellipsoid_mm(points, (0, -half_length - 14, -62), (13, 18, 24))
        return np.minimum(np.minimum(face, neck), nose)


def draw_shell(rng: np.random.Generator, *, craniotomy: bool = False) -> Shell:
    """A skull of an adult, of a size that varies as adults' do."""
    size = rng.normal(1.0, 0.03)
    semi = (67.5 * size * rng.normal(1, 0.025), 84.0 * size * rng.normal(1, 0.025), 72.0 * size * rng.normal(1, 0.02))
    bone = float(rng.uniform(5.5, 9.0))
    scalp = float(rng.uniform(4.0, 8.0))
    widening = float(rng.uniform(0.06, 0.12))
    base = _base(rng, semi)
    bumps = waves(rng, 90.0, count=6)
    side, front = rng.choice([-1.0, 1.0]), rng.uniform(-15, 15)
    flap = (side * semi[0] * 0.85, front, semi[2] * 0.5, 32.0) if craniotomy else None
    return Shell(semi_mm=semi, widening=widening, bone_mm=bone, scalp_mm=scalp, base=base, bumps=bumps, flap_mm=flap)


def _base(rng: np.random.Generator, semi_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """(X, Y, 3) height, slope factor and thickness of the skull base."""
    sx, sy = semi_mm[0] / 67.5, semi_mm[1] / 84.0
    x, y = np.meshgrid(
        np.arange(-TABLE_X_MM, TABLE_X_MM + TABLE_MM / 2, TABLE_MM), np.arange(*TABLE_Y_MM, TABLE_MM), indexing="ij"
    )
    lopsided = rng.normal(0, 0.03)
    ax, y = np.abs(x) * (1 + lopsided * np.sign(x)) / sx, y / sy
    behind = (y - RIDGE_SLOPE * (ax - 10) + 2) / np.hypot(1, RIDGE_SLOPE)  # distance behind the petrous ridge
    front = -24 + 6 * _bell(ax, 30, 13) * _bell(y, -58, 24) - 4 * _bell(ax, 0, 7) * _bell(y, -60, 22)
    middle = smooth((-behind - 4) / 9) * smooth((y + 40 - 20 * ((ax - 42) / 28) ** 2) / 9) * smooth((ax - 13) / 8)
    clivus = 8 + 14 * _bell(ax, 0, 14)
    rear = smooth((behind - 2) / clivus)
    bowl = -63 + 16 * (ax / 55) ** 2 + 26 * np.clip((y - 45) / 40, 0, 2) ** 2
    height = front + middle * (-50 + 7 * ((y + 12) / 25) ** 2 + 9 * ((ax - 38) / 22) ** 2 - front)
    height = height + rear * (bowl - height) - 8 * _bell(ax, 0, 6) * _bell(y, -14, 5)
    hole = np.hypot(ax / 15, (y - 27) / 18) < 1
    thick = 2.2 + 12 * _bell(behind, 2, 6) * smooth((ax - 8) / 6) + 9 * _bell(ax, 0, 12) * _bell(y, 0, 14)
    thick += 2 * smooth((y - 20) / 20) + 9 * _bell(ax, 50, 13) * _bell(y, 34, 14)
    height = gaussian_filter(height, 1.2 / TABLE_MM)
    slope = 1 / np.sqrt(1 + np.hypot(*np.gradient(height, TABLE_MM)) ** 2)
    height = np.where(hole, OPEN_MM, height)
    return np.stack([height, slope, gaussian_filter(thick, 1.5 / TABLE_MM)], axis=-1).astype(np.float32)


def _bell(value: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    return np.exp(-(((value - centre) / width) ** 2))
