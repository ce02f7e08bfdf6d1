"""One linear resampling between the grids of two parallel stacks: native to network and back again.

In-plane: separable cubic convolution, widened when the target is coarser. Along the normal every slice stands for its
interval from midpoint to midpoint, and a target slice is the mean of the intervals it overlaps. The lean of a tilted
stack is honoured: each slice is placed in-plane by its own origin.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ichnode.domain.errors import BadGeometry
from ichnode.domain.geometry import Geometry

KEYS_A: Final = -0.5  # third-order accurate; Source: R. Keys, IEEE Trans. ASSP 29 (1981) 1153
SAME_OFFSET_MM: Final = 0.01  # slices whose in-plane offsets differ by less are resampled as one
AXIS_TOLERANCE: Final = 1e-3  # how far from parallel the axes of the two grids may be
MIN_SHARE: Final = 1e-6  # a smaller overlap is rounding

Floats = NDArray[np.float64]
Plane = NDArray[np.float32]
Voxels = NDArray[np.float32] | NDArray[np.int16] | NDArray[np.bool_]


def resample(values: Voxels, source: Geometry, target: Geometry, fill: float) -> NDArray[np.float32]:
    """``values`` on the grid of ``source`` as seen on the grid of ``target``.

    ``values`` has the shape of ``source``; beyond them the world is ``fill``. Returns float32 of target's shape. Linear
    in the values, the identity when both grids coincide, and the sum of value times voxel volume is conserved.

    Raises BadGeometry when the grids' axes are not parallel to each other, or ``values`` do not fit ``source``.
    """
    if values.shape != source.shape:
        raise BadGeometry(f"Values {values.shape} do not fit the geometry {source.shape}.")
    placement = _Placement(source=source, target=target)
    shares = overlap_shares(source, target)
    from_group, to_group = placement.groups(source), placement.groups(target)
    mixes = _incidence(shares, from_group)
    places = _incidence(shares.T, to_group)
    out = np.full(target.shape, fill, np.float32)
    # Both orders give the same sum; what costs is the number of slices that are resampled in-plane.
    if mixes.sum() <= places.sum():
        for j, group in np.argwhere(mixes):
            these = np.flatnonzero((shares[j] > 0) & (from_group == group))
            mixed = np.tensordot(shares[j, these], values[these].astype(np.float32) - np.float32(fill), axes=1)
            out[j] += placement.place(mixed, these[0], j)
    else:
        for k, group in np.argwhere(places):
            these = np.flatnonzero((shares[:, k] > 0) & (to_group == group))
            placed = placement.place(values[k].astype(np.float32) - np.float32(fill), k, these[0])
            for j in these:
                out[j] += shares[j, k] * placed
    return out


def overlap_shares(source: Geometry, target: Geometry) -> NDArray[np.float32]:
    """Share of every source slice in every target slice, along the normal. Returns (target slices, source slices).

    A row sums to 1 where the source covers the target slice wholly, to less at the ends of the source. A slice's
    interval reaches from midpoint to midpoint, at the ends half a gap beyond the last position.
    """
    along = float(np.sign(source.normal @ target.normal))
    shift = float((target.origins_mm[0] - source.origins_mm[0]) @ source.normal)
    low, high = _intervals(source.positions_mm - source.positions_mm[0])
    ends = np.stack(_intervals(target.positions_mm - target.positions_mm[0])) * along + shift
    target_low, target_high = ends.min(axis=0)[:, None], ends.max(axis=0)[:, None]
    overlap = np.minimum(target_high, high) - np.maximum(target_low, low)
    shares = np.clip(overlap / (target_high - target_low), 0, None)
    return np.where(shares > MIN_SHARE, shares, 0).astype(np.float32)


def cubic_weights(positions: Floats, count: int, step: float) -> csr_array:
    """Sparse weights that sample a line of ``count`` values at fractional ``positions`` (N,). Returns (N, count).

    ``step`` is the distance between the positions in units of the line's own spacing: above 1 the kernel is widened by
    it, so that nothing finer than the target can hold is folded in. What lies beyond the line weighs nothing.
    """
    width = max(1.0, step)
    reach = int(np.ceil(2 * width))
    taps = np.floor(positions).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
    weights = _keys((taps - positions[:, None]) / width)
    weights /= weights.sum(axis=1, keepdims=True)
    inside = (taps >= 0) & (taps < count)
    rows = np.broadcast_to(np.arange(len(positions))[:, None], taps.shape)
    return csr_array((weights[inside].astype(np.float32), (rows[inside], taps[inside])), shape=(len(positions), count))


def _keys(x: Floats) -> Floats:
    x = np.abs(x)
    near = ((KEYS_A + 2) * x - (KEYS_A + 3)) * x**2 + 1
    far = KEYS_A * (((x - 5) * x + 8) * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _intervals(positions: Floats) -> tuple[Floats, Floats]:
    gaps = np.diff(positions)
    middles = (positions[1:] + positions[:-1]) / 2
    low = np.concatenate([[positions[0] - gaps[0] / 2], middles])
    high = np.concatenate([middles, [positions[-1] + gaps[-1] / 2]])
    return low, high


def _incidence(shares: NDArray[np.float32], group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(slices of one grid, groups of the other): whether the slice meets any of the group."""
    return np.stack([(shares[:, group == g] > 0).any(axis=1) for g in range(group.max() + 1)], axis=1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Placement:
    """In-plane resampling of one source slice to one target slice; keeps the weights that it made."""

    source: Geometry
    target: Geometry
    _weights: dict[tuple[int, float], csr_array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        turns = self._turns
        if (
            not np.allclose(np.abs(turns), np.abs(np.round(turns)), atol=AXIS_TOLERANCE)
            or abs(np.linalg.det(np.round(turns))) != 1
        ):
            raise BadGeometry("The two grids are not parallel to each other.")

    @property
    def _axes(self) -> Floats:
        """(2, 3): the ways along which the source's row index and column index grow."""
        return np.stack([self.source.column_cosine, self.source.row_cosine])

    @property
    def _turns(self) -> Floats:
        """(2, 2): target's row and column way against those of the source; a signed permutation."""
        return np.stack([self.target.column_cosine, self.target.row_cosine]) @ self._axes.T

    def groups(self, geometry: Geometry) -> NDArray[np.int64]:
        """(Z,) a number from 0 for each slice: the same where slices lie exactly above one another."""
        offsets = (geometry.origins_mm - geometry.origins_mm[0]) @ self._axes.T
        keys = np.round(offsets / SAME_OFFSET_MM).astype(np.int64)
        return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)

    def place(self, values: Plane, source_slice: int, target_slice: int) -> Plane:
        """(rows, columns) of a source slice as seen on the grid of a target slice, zero beyond."""
        if not values.any():
            return np.zeros(self.target.shape[1:], np.float32)
        way = self.target.origins_mm[target_slice] - self.source.origins_mm[source_slice]
        down, across = (self._axis_weights(axis, float(way @ self._axes[axis])) for axis in (0, 1))
        placed = across @ np.ascontiguousarray((down @ values).T)
        return np.asarray(placed if self._transposed else placed.T)

    @property
    def _transposed(self) -> bool:
        return bool(abs(self._turns[0, 0]) < 0.5)

    def _axis_weights(self, axis: int, offset_mm: float) -> csr_array:
        key = (axis, round(offset_mm, 3))
        if key not in self._weights:
            seen = 1 - axis if self._transposed else axis
            spacing = (self.source.row_spacing_mm, self.source.column_spacing_mm)[axis]
            step = (self.target.row_spacing_mm, self.target.column_spacing_mm)[seen] / spacing
            sign = np.sign(self._turns[seen, axis])
            positions = offset_mm / spacing + sign * step * np.arange(self.target.shape[1 + seen])
            self._weights[key] = cubic_weights(positions, self.source.shape[1 + axis], step)
        return self._weights[key]
