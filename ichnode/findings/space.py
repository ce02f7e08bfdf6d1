"""Places in the patient and what a scan holds there, whatever the lean and the gaps of its stack."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.domain.geometry import Geometry

Floats = NDArray[np.float64]
Values = NDArray[np.float32] | NDArray[np.int16] | NDArray[np.uint16] | NDArray[np.bool_]


def places_mm(indices: Floats | NDArray[np.intp], geometry: Geometry) -> Floats:
    """(N, 3) places (LPS, mm) of voxels; ``indices`` (N, 3): slice, row, column, fractions allowed."""
    origins = _origins_mm(indices[:, 0], geometry)
    down = indices[:, 1:2] * geometry.row_spacing_mm * geometry.column_cosine
    across = indices[:, 2:3] * geometry.column_spacing_mm * geometry.row_cosine
    return np.asarray(origins + down + across, np.float64)


def indices_of(places: Floats, geometry: Geometry) -> Floats:
    """(N, 3) fractional slice, row and column of ``places`` (N, 3) mm; -1 each where a place lies beyond the stack.

    Between two slices the origin moves evenly from one to the other, so a leaning stack is no cuboid. A stack reaches
    half a gap beyond its first and last slice.
    """
    positions, gaps = geometry.positions_mm, geometry.gaps_mm
    heights = places @ geometry.normal
    within = (heights >= positions[0] - gaps[0] / 2) & (heights <= positions[-1] + gaps[-1] / 2)
    slices = np.interp(heights, positions, np.arange(len(positions)))
    ways = places - _origins_mm(slices, geometry)
    rows = ways @ geometry.column_cosine / geometry.row_spacing_mm
    columns = ways @ geometry.row_cosine / geometry.column_spacing_mm
    found = np.stack([slices, rows, columns], axis=1)
    return np.where(within[:, None], found, -1.0)


def _origins_mm(slices: Floats | NDArray[np.intp], geometry: Geometry) -> Floats:
    """(N, 3) first voxels of ``slices`` (N,), evenly from one to the next in between."""
    order = np.arange(len(geometry.origins_mm))
    return np.stack([np.interp(slices, order, axis) for axis in geometry.origins_mm.T], axis=1)


def sampled(values: Values, geometry: Geometry, places: Floats, *, fill: float, order: int = 1) -> NDArray[np.float32]:
    """(N,) ``values`` (Z, Y, X) at ``places`` (N, 3) mm: linear, or the nearest with ``order`` 0; ``fill`` beyond."""
    indices = indices_of(places, geometry)
    found = ndimage.map_coordinates(
        values.astype(np.float32), indices.T, order=order, mode="constant", cval=fill, prefilter=False
    )
    return np.asarray(found, np.float32)


def coarse(values: Values, geometry: Geometry, spacing_mm: float) -> tuple[NDArray[np.float32], Geometry]:
    """``values`` (Z, Y, X) as means over in-plane blocks of about ``spacing_mm``, and their geometry."""
    step = max(1, round(spacing_mm / min(geometry.row_spacing_mm, geometry.column_spacing_mm)))
    rows, columns = geometry.rows // step, geometry.columns // step
    cut = values[:, : rows * step, : columns * step].astype(np.float32)
    means = cut.reshape(len(values), rows, step, columns, step).mean(axis=(2, 4))
    middle = (step - 1) / 2
    shift = geometry.column_cosine * geometry.row_spacing_mm + geometry.row_cosine * geometry.column_spacing_mm
    blocks = Geometry(
        origins_mm=geometry.origins_mm + middle * shift,
        row_cosine=geometry.row_cosine,
        column_cosine=geometry.column_cosine,
        row_spacing_mm=geometry.row_spacing_mm * step,
        column_spacing_mm=geometry.column_spacing_mm * step,
        rows=rows,
        columns=columns,
    )
    return means, blocks
