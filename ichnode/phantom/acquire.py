"""A scanner: takes slices of a scene, whatever their tilt, thickness and distances."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

from ichnode.domain.geometry import Geometry, Vector, slice_weights_mm
from ichnode.phantom.artefacts import hardening, noise
from ichnode.phantom.field import Points, Values
from ichnode.phantom.holder import with_holder
from ichnode.phantom.scene import Scene

Indices = NDArray[np.floating[Any]] | NDArray[np.integer[Any]]  # pixels, fractions allowed

DEPTH_MM: Final = 1.3  # between samples along the thickness of a slice
MOST_DEPTHS: Final = 4
JITTER: Final = ((-0.25, -0.25), (0.25, 0.25), (0.25, -0.25), (-0.25, 0.25))  # pixels; in-plane, by depth sample
OUTLINE_MM: Final = 4.0  # between the points at which the outline of the head is asked for
OUTLINE_MARGIN_MM: Final = 9.0
SHARE_DEPTHS: Final = 8  # samples along the thickness that a slice stands for, and in-plane, for the mask
SHARE_SIDE: Final = 2
COARSE: Final = 2  # pixels between the first looks for blood; no lesion is smaller
PADDING_HU: Final = -1024
HIGHEST_HU: Final = 3071  # of a 12-bit scanner


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where the head lies: turned by ``turn_deg`` (nod, lean, rotation about x, y, z), then moved by ``shift_mm``."""

    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def turn(self) -> Vector:
        """(3, 3) matrix from head to patient coordinates."""
        nod, lean, rotation = np.radians(self.turn_deg)
        about_x = np.array([[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]])
        about_y = np.array([[np.cos(lean), 0, np.sin(lean)], [0, 1, 0], [-np.sin(lean), 0, np.cos(lean)]])
        cos, sin = np.cos(rotation), np.sin(rotation)
        return np.asarray(np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ about_y @ about_x)

    def to_patient(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 3) head coordinates -> patient coordinates, mm."""
        return np.asarray(points @ self.turn.T + np.asarray(self.shift_mm))


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """How a head is scanned.

    ``table_mm`` (Z,): where the planes meet the axis through ``centre_mm`` (x, y), ascending. ``tilt_deg`` of the
    gantry, positive when the front of the planes is up. ``blur_mm``: standard deviation of the kernel's point spread.
    ``hardening`` about 1; ``noise_hu`` standard deviation in the middle of the head.
    """

    table_mm: tuple[float, ...]
    thickness_mm: float
    centre_mm: tuple[float, float]
    pose: Pose
    pixel_mm: float = 0.46875
    rows: int = 512
    columns: int = 512
    tilt_deg: float = 0.0
    noise_hu: float = 3.5
    blur_mm: float = 0.45
    hardening: float = 1.0
    vendor: str = "GE"
    holder: bool = True

    @property
    def geometry(self) -> Geometry:
        """Where the voxels lie in the patient."""
        tilt = np.radians(self.tilt_deg)
        row, column = np.array([1.0, 0, 0]), np.array([0, np.cos(tilt), -np.sin(tilt)])
        corner = -(row * (self.columns - 1) + column * (self.rows - 1)) / 2 * self.pixel_mm
        origins = corner + np.array([[*self.centre_mm, z] for z in self.table_mm])
        return Geometry(
            origins_mm=origins,
            row_cosine=row,
            column_cosine=column,
            row_spacing_mm=self.pixel_mm,
            column_spacing_mm=self.pixel_mm,
            rows=self.rows,
            columns=self.columns,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Acquired:
    """What a scan yields.

    ``hu`` (Z, Y, X) int16, padding at -1024; ``padded`` (Y, X): where the scanner measured nothing; ``blood`` (Z, Y, X)
    float32: share of each voxel that is blood.
    """

    hu: NDArray[np.int16]
    geometry: Geometry
    padded: NDArray[np.bool_]
    blood: NDArray[np.float32]


def acquire(scene: Scene, acquisition: Acquisition, rng: np.random.Generator) -> Acquired:
    """Scans ``scene``: partial volume, holder, kernel, beam hardening and noise. Same ``rng`` state, same bytes."""
    geometry = acquisition.geometry
    hu = np.stack([_slice(scene, acquisition, geometry, k) for k in range(geometry.shape[0])])
    if acquisition.holder:
        hu = with_holder(hu, geometry, acquisition.pose.shift_mm, rng)
    for plane in hu:
        plane[:] = gaussian_filter(plane, acquisition.blur_mm / acquisition.pixel_mm, truncate=3)
    hu += hardening(hu, acquisition.pixel_mm, acquisition.hardening, rng)
    hu += noise(hu, acquisition.pixel_mm, acquisition.noise_hu, acquisition.blur_mm, rng)
    padded = _padded(acquisition)
    stored = np.clip(np.round(hu), PADDING_HU, HIGHEST_HU).astype(np.int16)
    stored[:, padded] = PADDING_HU
    return Acquired(hu=stored, geometry=geometry, padded=padded, blood=blood_share(scene, acquisition))


def blood_share(scene: Scene, acquisition: Acquisition) -> NDArray[np.float32]:
    """(Z, Y, X) share of each voxel that is blood.

    A voxel is a prism along the normal, from half-way to the slice below to half-way to the slice above: prisms fill
    space, so that shares sum to the volume, whatever the tilt and the gaps.
    """
    geometry = acquisition.geometry
    share = np.zeros(geometry.shape, np.float32)
    if not scene.lesions:
        return share
    boxes = np.asarray([lesion.box_mm for lesion in scene.lesions], np.float64)
    sides = np.stack([boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)])
    corners = acquisition.pose.to_patient(np.stack(np.meshgrid(*sides.T), axis=-1).reshape(-1, 3))
    positions, weights = geometry.positions_mm, slice_weights_mm(geometry.positions_mm)
    middles = (positions[1:] + positions[:-1]) / 2
    lower = np.concatenate([[middles[0] - weights[0]], middles])
    reach = corners @ geometry.normal
    for k in np.flatnonzero((lower + weights > reach.min()) & (lower < reach.max())).tolist():
        rows, columns = (
            _window((corners - geometry.origins_mm[k]) @ way / acquisition.pixel_mm, size)
            for way, size in ((geometry.column_cosine, geometry.rows), (geometry.row_cosine, geometry.columns))
        )
        depths = lower[k] - positions[k] + weights[k] * (np.arange(SHARE_DEPTHS) + 0.5) / SHARE_DEPTHS
        share[k, rows, columns] = _window_share(scene, acquisition, geometry, k, rows, columns, depths)
    return share


def _window(places: Vector, size: int) -> slice:
    """The pixels that ``places`` (in pixels) span, at least one."""
    first = int(np.clip(np.floor(places.min()), 0, size - 1))
    return slice(first, int(np.clip(np.ceil(places.max()) + 1, first + 1, size)))


def _window_share(
    scene: Scene, acquisition: Acquisition, geometry: Geometry, k: int, rows: slice, columns: slice, depths: Vector
) -> NDArray[np.float32]:
    """(R, C) share of blood in a window of slice ``k``; where its surroundings are all blood or all brain, at once."""
    down, across = np.arange(rows.start, rows.stop), np.arange(columns.start, columns.stop)
    grid = np.meshgrid(down[::COARSE], across[::COARSE], indexing="ij")
    looks = [
        scene.blood_at(_points(acquisition, geometry, k, grid[0].ravel(), grid[1].ravel(), depth))
        for depth in depths[:: len(depths) // 3]
    ]
    seen = np.asarray(looks).reshape(len(looks), *grid[0].shape)
    some, every = maximum_filter(seen.any(axis=0), 5), minimum_filter(seen.all(axis=0), 3)
    spread = [np.repeat(np.repeat(mask, COARSE, 0), COARSE, 1)[: len(down), : len(across)] for mask in (some, every)]
    share = spread[1].astype(np.float32)
    i, j = np.nonzero(spread[0] & ~spread[1])
    if len(i):
        offsets = (np.arange(SHARE_SIDE) + 0.5) / SHARE_SIDE - 0.5
        count = np.zeros(len(i), np.float32)
        for depth in depths:
            for di in offsets:
                for dj in offsets:
                    count += scene.blood_at(_points(acquisition, geometry, k, down[i] + di, across[j] + dj, depth))
        share[i, j] = count / np.float32(len(depths) * SHARE_SIDE**2)
    return share


def _points(
    acquisition: Acquisition, geometry: Geometry, k: int, rows: Indices, columns: Indices, depth: float
) -> Points:
    """(N, 3) float32 head coordinates of points of slice ``k`` at ``rows``, ``columns`` (N,), ``depth`` mm off its
    middle along the normal."""
    turn = acquisition.pose.turn  # patient -> head is its inverse: rows times the matrix
    start = geometry.origins_mm[k] + depth * geometry.normal - np.asarray(acquisition.pose.shift_mm)
    first = start @ turn
    down = (geometry.column_cosine * geometry.row_spacing_mm) @ turn
    across = (geometry.row_cosine * geometry.column_spacing_mm) @ turn
    rows32, columns32 = rows.astype(np.float32), columns.astype(np.float32)
    out = np.empty((len(rows), 3), np.float32)
    for axis in range(3):
        out[:, axis] = rows32 * np.float32(down[axis]) + columns32 * np.float32(across[axis]) + np.float32(first[axis])
    return out


def _slice(scene: Scene, acquisition: Acquisition, geometry: Geometry, k: int) -> Values:
    """(Y, X) HU of one slice: the mean over its thickness."""
    where = _near_head(scene, acquisition, geometry, k)
    out = np.full(where.shape, -1000, np.float32)
    rows, columns = np.nonzero(where)
    if not len(rows):
        return out
    count = int(np.clip(round(acquisition.thickness_mm / DEPTH_MM), 1, MOST_DEPTHS))
    total = np.zeros(len(rows), np.float32)
    for n in range(count):
        depth = ((n + 0.5) / count - 0.5) * acquisition.thickness_mm
        i, j = JITTER[n] if count > 1 else (0.0, 0.0)
        total += scene.hu_at(_points(acquisition, geometry, k, rows + i, columns + j, depth))
    out[where] = total / np.float32(count)
    return out


def _near_head(scene: Scene, acquisition: Acquisition, geometry: Geometry, k: int) -> NDArray[np.bool_]:
    """(Y, X): where the slice may meet the head; the rest is air."""
    step = max(1, round(OUTLINE_MM / acquisition.pixel_mm))
    grid = np.meshgrid(*(np.arange(0, size, step) for size in geometry.shape[1:]), indexing="ij")
    points = _points(acquisition, geometry, k, grid[0].ravel(), grid[1].ravel(), 0.0)
    coarse = (scene.head.outline_mm(points) < OUTLINE_MARGIN_MM).reshape(grid[0].shape)
    wide = np.repeat(np.repeat(maximum_filter(coarse, 3), step, 0), step, 1)
    return np.asarray(wide[: geometry.rows, : geometry.columns])


def _padded(acquisition: Acquisition) -> NDArray[np.bool_]:
    """(Y, X): outside the circle that the detectors see."""
    y = np.arange(acquisition.rows)[:, None] - (acquisition.rows - 1) / 2
    x = np.arange(acquisition.columns)[None, :] - (acquisition.columns - 1) / 2
    return np.asarray(np.hypot(y, x) > max(acquisition.rows, acquisition.columns) / 2)
