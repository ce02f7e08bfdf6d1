"""The midline of a head: the plane that the skull is most symmetrical about, and the brain beyond it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from ichnode.domain.geometry import Geometry, Vector
from ichnode.domain.values import Laterality
from ichnode.findings.sections import Hu, Mask, distance_mm
from ichnode.findings.space import indices_of, places_mm

BONE_HU: Final = (200, 1000)  # counted from the one to the other, so that no metal outweighs the skull
BLOCK_MM: Final = 4.0
FADED: Final = 1.0  # blocks, standard deviation: mirrored bone need not fall on bone to the millimetre
MIN_BONE: Final = 200  # blocks: fewer are no skull
TURNS_DEG: Final = np.arange(-30, 31, 6)  # where the search begins, about the head's long axis
SHIFTS_MM: Final = np.arange(-12, 13, 4)
MIN_SYMMETRY: Final = 0.5  # correlation of the skull with its mirror image, real heads have 0.8 and more
ONE_SIDED: Final = 0.75  # share of the clot on one side of the midline that names it
BRAIN_HU: Final = (18, 46)  # tissue: no fluid, blood, bone or fat
NEAR_CLOT_MM: Final = 10.0  # oedema and partial volume: no brain to compare with
AROUND_MM: Final = 20.0  # of the clot, whose mirror image is looked at
MIN_BRAIN_ML: Final = 1.0
SMOOTHED_MM: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Midline:
    """A plane in the patient: ``normal`` (3,) to the patient's left, ``offset_mm`` along it."""

    normal: Vector
    offset_mm: float

    def left_mm(self, points_mm: Vector) -> Vector:
        """(N, 3) points in LPS mm -> (N,) how far to the left of the plane they lie."""
        return np.asarray(points_mm @ self.normal - self.offset_mm)

    def mirrored(self, points_mm: Vector) -> Vector:
        """(N, 3) -> (N, 3) the same places on the other side."""
        return np.asarray(points_mm - 2 * np.outer(self.left_mm(points_mm), self.normal))


def find_midline(hu: Hu, geometry: Geometry) -> Midline | None:
    """The midline of the head in ``hu`` (Z, Y, X); None where no skull is seen or it is nowhere symmetrical.

    Only bone is looked at, so that neither the bleed nor the shift of the brain moves it. The head may be turned.
    """
    bone, steps = _blocks(hu, geometry)
    index = np.argwhere(bone > 0.1)
    if len(index) < MIN_BONE:
        return None
    weights = bone[tuple(index.T)]
    index, weights = index[:: max(1, len(index) // 4000)], weights[:: max(1, len(index) // 4000)]
    faded = ndimage.gaussian_filter(bone, (0, FADED, FADED))
    own = faded[tuple(index.T)]
    centre_of_block = (np.array(steps) - 1) / 2
    points = places_mm(index * steps + centre_of_block, geometry)
    centre = np.average(points, axis=0, weights=weights)

    def plane(parameters: Vector) -> Midline:
        turn, lean = np.radians(parameters[:2])
        normal = np.array([np.cos(turn) * np.cos(lean), np.sin(turn) * np.cos(lean), np.sin(lean)])
        return Midline(normal=normal, offset_mm=float(normal @ centre + parameters[2]))

    def unlikeness(parameters: Vector, some: slice = slice(None)) -> float:
        places = (indices_of(plane(parameters).mirrored(points[some]), geometry) - centre_of_block) / steps
        other = ndimage.map_coordinates(faded, places.T, order=1)
        both = np.sqrt((own[some] ** 2).sum() * (other**2).sum()) + 1e-9
        return -float((own[some] * other).sum() / both)

    starts = [np.array([turn, 0.0, shift]) for turn in TURNS_DEG for shift in SHIFTS_MM]
    start = min(starts, key=lambda each: unlikeness(each, slice(None, None, 4)))
    simplex = start + np.array([[0, 0, 0], [4, 0, 0], [0, 3, 0], [0, 0, 3.0]])
    options = {"initial_simplex": simplex, "xatol": 0.05, "fatol": 1e-4, "maxiter": 150}
    best = optimize.minimize(unlikeness, start, method="Nelder-Mead", options=options)
    return plane(best.x) if -best.fun >= MIN_SYMMETRY else None


def laterality(mask: Mask, geometry: Geometry, midline: Midline | None) -> Laterality | None:
    """The side on which at least ONE_SIDED of ``mask`` (Z, Y, X) lies; None without a midline or of nothing."""
    index = np.argwhere(mask)
    if midline is None or not len(index):
        return None
    weights = geometry.voxel_volumes_ml[index[:, 0]]
    left = float(weights[midline.left_mm(places_mm(index, geometry)) > 0].sum() / weights.sum())
    if left >= ONE_SIDED:
        return Laterality.LEFT
    return Laterality.RIGHT if left <= 1 - ONE_SIDED else Laterality.BILATERAL


def other_side_hu(mask: Mask, hu: Hu, geometry: Geometry, midline: Midline | None) -> float | None:
    """Median HU of brain where the clot ``mask`` (Z, Y, X) and its surroundings would be in the other hemisphere.

    What lies near the clot is left out. None without a midline, or where less than MIN_BRAIN_ML of brain is seen.
    """
    if midline is None or not mask.any():
        return None
    used = np.flatnonzero(mask.any(axis=(1, 2)))
    away = {int(k): distance_mm(~mask[k], geometry) for k in used}
    around = np.concatenate([np.insert(np.argwhere(away[k] < AROUND_MM)[::3], 0, k, axis=1) for k in away])
    places = indices_of(midline.mirrored(places_mm(around, geometry)), geometry)
    places = np.round(places).astype(int)
    seen = places[((places >= 0) & (places < hu.shape)).all(axis=1)]
    size = [max(1, round(SMOOTHED_MM / mm)) for mm in (geometry.row_spacing_mm, geometry.column_spacing_mm)]
    found, ml = [], 0.0
    for k in np.unique(seen[:, 0]):
        rows, columns = seen[seen[:, 0] == k, 1:].T
        far = away[int(k)][rows, columns] >= NEAR_CLOT_MM if int(k) in away else np.ones(len(rows), bool)
        box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        smooth = ndimage.uniform_filter(np.clip(hu[int(k)][box], -100, 100).astype(np.float32), size)
        values = smooth[rows - rows.min(), columns - columns.min()][far]
        values = values[(values > BRAIN_HU[0]) & (values < BRAIN_HU[1])]
        found.append(values)
        ml += 3 * len(values) * float(geometry.voxel_volumes_ml[k])
    return float(np.median(np.concatenate(found))) if found and ml >= MIN_BRAIN_ML else None


def _blocks(hu: Hu, geometry: Geometry) -> tuple[NDArray[np.float32], tuple[int, int, int]]:
    """Share of bone in blocks of about BLOCK_MM, and their (z, y, x) voxels; of thin slices every so many is taken."""
    low, high = BONE_HU
    wanted = float(np.median(geometry.gaps_mm)), geometry.row_spacing_mm, geometry.column_spacing_mm
    z, y, x = (max(1, int(BLOCK_MM / mm + 1e-6)) for mm in wanted)
    z = min(z, len(hu))
    rows, columns = hu.shape[1] // y * y, hu.shape[2] // x * x
    planes = []
    for plane in hu[z // 2 :: z]:
        bone = (np.clip(plane[:rows, :columns], low, high).astype(np.float32) - low) / (high - low)
        planes.append(bone.reshape(rows // y, y, columns // x, x).mean(axis=(1, 3)))
    return np.stack(planes), (z, y, x)
