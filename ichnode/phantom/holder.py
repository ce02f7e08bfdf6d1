"""What lies round the head in the gantry: the head holder, its cushion, a fold of cloth."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.geometry import Geometry

SHELL_HU: Final = 220.0  # carbon fibre and resin, as thick walls
CUSHION_HU: Final = -880.0
CLOTH_HU: Final = -420.0


def with_holder(
    hu: NDArray[np.float32], geometry: Geometry, head_mm: tuple[float, float, float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """``hu`` (Z, Y, X) with holder and cushion round a head centred at ``head_mm``, wherever there was air."""
    reach, wall, lift = rng.uniform(112, 122), rng.uniform(2.5, 4.0), rng.uniform(8, 22)
    waviness, phase = rng.uniform(1.5, 4.0), rng.uniform(0, 2 * np.pi, 2)
    x = geometry.origins_mm[0, 0] + np.arange(geometry.columns) * geometry.column_spacing_mm - head_mm[0]
    for k in range(geometry.shape[0]):
        start = geometry.origins_mm[k]
        rows = np.arange(geometry.rows) * geometry.row_spacing_mm
        y = (start[1] + rows * geometry.column_cosine[1] - head_mm[1])[:, None]
        z = float(start[2])
        radius = np.hypot(x[None, :] * 1.06, y + lift)
        low = y > 8
        shell = np.clip(wall / 2 - np.abs(radius - reach) + 0.5, 0, 1) * low
        angle = np.arctan2(y + lift, x[None, :])
        wave = waviness * np.sin(3 * angle + phase[0] + z / 40) + np.sin(11 * angle + phase[1])
        cloth = np.clip(0.9 - np.abs(radius - reach + 9 + wave) / 0.8, 0, 1) * (y > -20)
        cushion = (radius > reach - 9 + wave) & (radius < reach) & low
        extra = np.where(cushion, CUSHION_HU, -1000.0)
        extra = np.maximum(extra + (CLOTH_HU - extra) * cloth, -1000 + (SHELL_HU + 1000) * shell)
        hu[k] = np.maximum(hu[k], extra)
    return hu
