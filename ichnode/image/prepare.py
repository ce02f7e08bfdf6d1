"""From a volume to what the network sees: stripped, resampled to its field of view, normalised within the brain."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.flags import Flag
from ichnode.domain.geometry import Geometry, Vector, slice_weights_mm
from ichnode.domain.values import NetworkInput, Volume
from ichnode.image.resample import Voxels, overlap_shares, resample
from ichnode.image.strip import brain_mask

Mask = NDArray[np.bool_]

WINDOW_HU: Final = (0, 100)
MIN_SD_HU: Final = 1.0  # no scanner is so quiet: a test object of one density is not blown up to noise
FIELD_TOLERANCE_ML: Final = 1.0  # as much of the mask may lie outside the field of view unflagged


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A field of view that weights can be trained on. ``fov_mm`` and ``shape``: (slices, rows, columns)."""

    name: str
    fov_mm: tuple[float, float, float]
    shape: tuple[int, int, int] = (32, 256, 256)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between slices, rows and columns."""
        z, y, x = (fov / size for fov, size in zip(self.fov_mm, self.shape, strict=True))
        return z, y, x


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        preset.name: preset
        for preset in (
            Preset(name="fov224", fov_mm=(160.0, 224.0, 224.0)),
            # As printed in the paper; it cuts an adult head. Source: Zhong et al., SVN 2021;6(4):610, supplement
            Preset(name="fov112", fov_mm=(160.0, 112.0, 112.0)),
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windowed:
    """A brain on the network's grid, before normalisation. ``hu`` (32, 256, 256) within WINDOW_HU, zero outside it."""

    hu: NDArray[np.float32]
    brain: Mask
    geometry: Geometry
    flags: frozenset[Flag]


def prepare(volume: Volume, preset: Preset) -> NetworkInput:
    """The network's input: brain alone, HU within 0-100, minus mean over SD of the brain, negatives at zero.

    Flags: those of the volume, QF_STRIP, QF_FIELD. Raises Rejected when the volume shows no head.
    """
    seen = window(volume, preset)
    return NetworkInput(values=normalise(seen.hu, seen.brain), geometry=seen.geometry, flags=seen.flags)


def window(volume: Volume, preset: Preset) -> Windowed:
    """The brain, stripped, on the network's grid, its HU clipped to WINDOW_HU.

    Values are means over the brain's share of each target voxel, so that neither bone nor the void that stripping left
    is mixed in at the rim. Raises Rejected when the volume shows no head.
    """
    mask, flags = brain_mask(volume.hu, volume.geometry)
    grid = network_geometry(volume.geometry, mask, preset)
    if _outside_ml(mask, volume.geometry, grid) > FIELD_TOLERANCE_ML:
        flags |= {Flag.QF_FIELD}
    share = resample(mask, volume.geometry, grid, 0)
    clipped: Voxels = np.where(mask, np.clip(volume.hu, *WINDOW_HU), 0)
    brain = share > 0.5
    hu = np.zeros(preset.shape, np.float32)
    hu[brain] = np.clip(resample(clipped, volume.geometry, grid, 0)[brain] / share[brain], *WINDOW_HU)
    return Windowed(hu=hu, brain=brain, geometry=grid, flags=volume.flags | flags)


def normalise(hu: NDArray[np.float32], brain: Mask) -> NDArray[np.float32]:
    """``hu`` (Z, Y, X) minus its mean over its SD within ``brain``; negatives and all outside are zero."""
    values = np.zeros(hu.shape, np.float32)
    inside = hu[brain]
    values[brain] = np.maximum(inside - inside.mean(), 0) / max(inside.std(), MIN_SD_HU)
    return values


def network_geometry(geometry: Geometry, mask: Mask, preset: Preset) -> Geometry:
    """The network's grid: columns run to the patient's left, rows to the back, slices to the head.

    The axes are those of the slices themselves; a leaning stack stands upright in it. ``mask`` (Z, Y, X) bool is
    centred in-plane. Along the normal it is centred too, but a plane falls on a slice, so that slices as thick as the
    network's are not blurred; what is too long is cut at the caudal end.
    """
    left, back, up = _anatomical_axes(geometry)
    spacing_z, spacing_y, spacing_x = preset.spacing_mm
    slices, rows, columns = preset.shape
    weights = slice_weights_mm(geometry.positions_mm)
    centre = _centroid(geometry, mask, weights)
    used = np.flatnonzero(mask.any(axis=(1, 2)))
    heights = geometry.origins_mm @ up
    nearest = heights[np.abs(heights - centre @ up).argmin()]
    top = max(heights[k] + weights[k] / 2 for k in used)
    bottom = min(heights[k] - weights[k] / 2 for k in used)
    first = nearest - spacing_z * round((nearest - centre @ up) / spacing_z + (slices - 1) / 2)
    first += spacing_z * _steps(first - spacing_z / 2, first + spacing_z * (slices - 0.5), bottom, top, spacing_z)
    corner = left * (centre @ left - spacing_x * (columns - 1) / 2) + back * (
        centre @ back - spacing_y * (rows - 1) / 2
    )
    return Geometry(
        origins_mm=corner + np.outer(first + spacing_z * np.arange(slices), up),
        row_cosine=left,
        column_cosine=back,
        row_spacing_mm=spacing_y,
        column_spacing_mm=spacing_x,
        rows=rows,
        columns=columns,
    )


def _steps(box_bottom: float, box_top: float, bottom: float, top: float, step: float) -> int:
    """Whole steps upwards that bring the box over the brain: its top always, its bottom as far as there is room."""
    slack = 1e-6
    if top > box_top + slack:
        return int(np.ceil((top - box_top - slack) / step))
    wanted = np.ceil((box_bottom - bottom - slack) / step)
    return -int(np.clip(wanted, 0, (box_top - top + slack) // step))


def _anatomical_axes(geometry: Geometry) -> tuple[Vector, Vector, Vector]:
    """Of the stack's own axes: the one nearest to the patient's left, the back, the head (LPS)."""
    up = geometry.normal * np.sign(geometry.normal[2])
    ways = [sign * way for way in (geometry.row_cosine, geometry.column_cosine) for sign in (1.0, -1.0)]
    left = max(ways, key=lambda way: float(way[0]))
    return left, np.cross(up, left), up


def _centroid(geometry: Geometry, mask: Mask, weights: Vector) -> Vector:
    """(3,) mean position of the mask's voxels, each with the thickness that its slice stands for."""
    counts = mask.sum(axis=(1, 2)) * weights
    down = (mask.sum(axis=2) @ np.arange(geometry.rows)) * weights * geometry.row_spacing_mm
    across = (mask.sum(axis=1) @ np.arange(geometry.columns)) * weights * geometry.column_spacing_mm
    moments = counts @ geometry.origins_mm
    moments = moments + down.sum() * geometry.column_cosine + across.sum() * geometry.row_cosine
    return np.asarray(moments / counts.sum())


def _outside_ml(mask: Mask, geometry: Geometry, grid: Geometry) -> float:
    """Volume of the mask outside the grid's field of view."""
    reached = overlap_shares(grid, geometry).sum(axis=1)
    steps = (
        (grid.column_cosine, grid.row_spacing_mm, grid.rows),
        (grid.row_cosine, grid.column_spacing_mm, grid.columns),
    )
    down = np.arange(geometry.rows)[:, None] * geometry.row_spacing_mm
    across = np.arange(geometry.columns)[None, :] * geometry.column_spacing_mm
    outside = 0.0
    for k in np.flatnonzero(mask.any(axis=(1, 2))):
        inside = mask[k]
        for way, spacing, size in steps:
            start = (geometry.origins_mm[k] - grid.origins_mm[0]) @ way
            index = (start + down * (geometry.column_cosine @ way) + across * (geometry.row_cosine @ way)) / spacing
            inside = inside & (index >= -0.5) & (index < size - 0.5)
        outside += (mask[k].sum() - inside.sum() * reached[k]) * geometry.voxel_volumes_ml[k]
    return outside
