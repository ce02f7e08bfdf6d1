"""How far a found mask and a found volume lie from the true ones. None is "undefined"."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, stats
from scipy.spatial import cKDTree

from ichnode.domain.errors import BadGeometry
from ichnode.domain.geometry import Geometry
from ichnode.evaluate.samples import Z_95

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeClass:
    """Haematomas from ``low_ml`` on and below ``high_ml``."""

    low_ml: float
    high_ml: float
    name: str

    def holds(self, volume_ml: float) -> bool:
        """Whether a haematoma of ``volume_ml`` is of this class."""
        return self.low_ml <= volume_ml < self.high_ml


# 30 mL is the surgical and prognostic threshold (ICH score); below 10 mL Dice falls with size, so that is told apart.
VOLUME_CLASSES: Final = (
    VolumeClass(low_ml=0, high_ml=5, name="< 5 mL"),
    VolumeClass(low_ml=5, high_ml=10, name="5-10 mL"),
    VolumeClass(low_ml=10, high_ml=30, name="10-30 mL"),
    VolumeClass(low_ml=30, high_ml=float("inf"), name="≥ 30 mL"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceDistance:
    """Distances of two surfaces, mm: ``hd95_mm`` the larger of both ways' 95th percentiles, ``assd_mm`` the mean."""

    hd95_mm: float
    assd_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, quartiles and ends of ``n`` values, in the values' unit."""

    n: int
    median: float
    lower_quartile: float
    upper_quartile: float
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlandAltman:
    """Found minus true: mean (``bias``), SD, limits within which 95 % of differences lie, in the values' unit."""

    n: int
    bias: Estimate
    sd: float
    lower_limit: Estimate
    upper_limit: Estimate


def dice(found: Mask, true: Mask) -> float:
    """Overlap 2|A∩B| / (|A| + |B|) of two masks (Z, Y, X) bool, in [0, 1]; 1 where both are empty.

    Counts voxels, as published Dice values do, also where slices stand for unequal thicknesses. Raises BadGeometry
    for unequal shapes.
    """
    _check_shapes(found, true.shape)
    total = np.count_nonzero(found) + np.count_nonzero(true)
    return float(2 * np.count_nonzero(found & true) / total) if total else 1.0


def surface_distances(found: Mask, true: Mask, geometry: Geometry) -> SurfaceDistance | None:
    """Distances between the surfaces of two masks (Z, Y, X) bool in the patient, mm; None where either is empty.

    A surface voxel is one with a face towards a voxel outside; its centre stands where ``geometry`` puts it, so that
    tilt and unequal gaps are honoured. Raises BadGeometry for another shape. Source: Maier-Hein et al., Metrics
    Reloaded, Nat Methods 2024;21:195.
    """
    _check_shapes(found, geometry.shape)
    _check_shapes(true, geometry.shape)
    if not (found.any() and true.any()):
        return None
    ours, theirs = _surface_mm(found, geometry), _surface_mm(true, geometry)
    there, back = cKDTree(theirs).query(ours)[0], cKDTree(ours).query(theirs)[0]
    return SurfaceDistance(
        hd95_mm=float(max(np.percentile(there, 95), np.percentile(back, 95))),
        assd_mm=float(np.concatenate([there, back]).mean()),
    )


def spread(values: ArrayLike) -> Spread | None:
    """Median and quartiles (linear between neighbours, as numpy and R's type 7) of ``values`` (N,); None for none.

    Raises ValueError for a value that is not a finite number.
    """
    numbers = _finite(values)
    if not numbers.size:
        return None
    minimum, lower, median, upper, maximum = (float(q) for q in np.percentile(numbers, (0, 25, 50, 75, 100)))
    return Spread(
        n=len(numbers), median=median, lower_quartile=lower, upper_quartile=upper, minimum=minimum, maximum=maximum
    )


def spread_by_volume(values: ArrayLike, volumes_ml: Sequence[float]) -> tuple[tuple[VolumeClass, Spread | None], ...]:
    """Spread of ``values`` (N,) in each of VOLUME_CLASSES by the true ``volumes_ml`` (N,).

    Raises ValueError for unequal lengths and for a value that is not a finite number.
    """
    numbers = _finite(values)
    if len(numbers) != len(volumes_ml):
        raise ValueError(f"{len(numbers)} values do not fit {len(volumes_ml)} volumes.")
    held = [(part, [part.holds(volume_ml) for volume_ml in volumes_ml]) for part in VOLUME_CLASSES]
    return tuple((part, spread(numbers[np.asarray(chosen, np.bool_)])) for part, chosen in held)


def bland_altman(found: ArrayLike, true: ArrayLike) -> BlandAltman | None:
    """Agreement of ``found`` (N,) with ``true`` (N,) by their differences; None for fewer than two pairs.

    Limits are bias ± 1.96 SD; intervals are by Student's t, the limits' standard error SD √(1/n + 1.96²/(2(n-1))).
    Raises ValueError for unequal lengths and for a value that is not a finite number. Source: Bland and Altman, Stat
    Methods Med Res 1999;8:135.
    """
    ours, theirs = _finite(found), _finite(true)
    if ours.shape != theirs.shape:
        raise ValueError(f"{len(ours)} found values do not fit {len(theirs)} true ones.")
    n = len(ours)
    if n < 2:
        return None
    differences = ours - theirs
    bias, sd, t = float(differences.mean()), float(differences.std(ddof=1)), float(stats.t.ppf(0.975, n - 1))
    of_limit = t * sd * sqrt(1 / n + Z_95**2 / (2 * (n - 1)))
    return BlandAltman(
        n=n,
        bias=_estimate(bias, t * sd / sqrt(n)),
        sd=sd,
        lower_limit=_estimate(bias - Z_95 * sd, of_limit),
        upper_limit=_estimate(bias + Z_95 * sd, of_limit),
    )


def _estimate(value: float, half: float) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def _surface_mm(mask: Mask, geometry: Geometry) -> Floats:
    """(N, 3) patient positions of the surface voxels' centres."""
    inside = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(3, 1), border_value=0)
    slices, rows, columns = np.nonzero(mask & ~inside)
    down = rows[:, None] * geometry.row_spacing_mm * geometry.column_cosine
    across = columns[:, None] * geometry.column_spacing_mm * geometry.row_cosine
    return np.asarray(geometry.origins_mm[slices] + down + across, np.float64)


def _finite(values: ArrayLike) -> Floats:
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ValueError("These are not finite numbers in a row.")
    return numbers


def _check_shapes(mask: Mask, shape: tuple[int, ...]) -> None:
    if mask.shape != shape:
        raise BadGeometry(f"A mask of {mask.shape} does not fit one of {shape}.")
