"""Place a synthetic bleed of known volume in a real CT series, in patient space, whatever its tilt and its gaps."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from scipy.ndimage import gaussian_filter

from ichnode.domain.errors import Rejected
from ichnode.domain.geometry import Geometry, Vector, slice_weights_mm

IN_PLANE_SAMPLES: Final = 3  # sub-samples along each in-plane axis of a voxel
DEPTH_SAMPLES: Final = 16  # sub-samples along the thickness that a slice stands for: 7 mm in the GE head
EDGE_BLUR_MM: Final = 0.6  # point spread of a soft kernel, so that the edge is no staircase
TISSUE_BLUR_MM: Final = 2.0  # what is taken out is the local mean: the scanner's own noise stays
TEXTURE_BLUR_MM: Final = 2.5  # size of the lumps in the clot
TEXTURE_SD_HU: Final = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bleed:
    """An ellipsoid of clotted blood in patient coordinates (LPS, mm).

    ``semi_axes_mm`` along x, y, z before the turn by ``turn_deg`` about z (from x towards y). ``hu`` is its mean.
    """

    centre_mm: tuple[float, float, float]
    semi_axes_mm: tuple[float, float, float]
    turn_deg: float = 0.0
    hu: float = 62.0

    @property
    def volume_ml(self) -> float:
        """Volume of the ellipsoid itself, before any voxel."""
        return float(4 / 3 * np.pi * np.prod(self.semi_axes_mm) / 1000)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placed:
    """A series with a bleed in it, and the truth about it.

    ``datasets`` in the order of the slices, ascending along the normal, uncompressed. ``mask`` (Z, Y, X) holds the
    voxels that are at least half blood; ``volume_ml`` is their volume on the series' own grid.
    """

    datasets: tuple[Dataset, ...]
    geometry: Geometry
    mask: NDArray[np.bool_]
    volume_ml: float


def place(datasets: Sequence[Dataset], bleed: Bleed, *, seed: int = 0) -> Placed:
    """Returns copies of single-frame CT ``datasets`` with ``bleed`` in their pixels; nothing else differs.

    Raises Rejected for a bleed that does not lie wholly within the stack.
    """
    normal = np.cross(*np.reshape(np.asarray(datasets[0].ImageOrientationPatient, np.float64), (2, 3)))
    ordered = sorted(datasets, key=lambda one: float(np.dot(np.asarray(one.ImagePositionPatient, np.float64), normal)))
    geometry = geometry_of(ordered)
    share = blood_share(geometry, bleed)
    found_ml = float(share.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml)
    if not np.isclose(found_ml, bleed.volume_ml, rtol=0.01):
        raise Rejected(f"Only {found_ml:.2f} of {bleed.volume_ml:.2f} mL of the bleed lie within the stack.")
    hu = np.stack([one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in ordered])
    bleeding = with_blood(hu, share, geometry, bleed.hu, seed=seed)
    mask = share >= 0.5
    return Placed(
        datasets=tuple(_with_pixels(one, bleeding[index]) for index, one in enumerate(ordered)),
        geometry=geometry,
        mask=mask,
        volume_ml=float(mask.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml),
    )


def geometry_of(ordered: Sequence[Dataset]) -> Geometry:
    """Geometry of single-frame images that are ascending along the normal already. Written apart from ``ichnode.image``
    on purpose: a truth must not be measured by the code that it is to test."""
    first = ordered[0]
    orientation = np.asarray(first.ImageOrientationPatient, np.float64)
    return Geometry(
        origins_mm=np.array([one.ImagePositionPatient for one in ordered], np.float64),
        row_cosine=orientation[:3],
        column_cosine=orientation[3:],
        row_spacing_mm=float(first.PixelSpacing[0]),
        column_spacing_mm=float(first.PixelSpacing[1]),
        rows=int(first.Rows),
        columns=int(first.Columns),
    )


def blood_share(geometry: Geometry, bleed: Bleed) -> NDArray[np.float64]:
    """(Z, Y, X) share of each voxel, in [0, 1], that lies in the bleed.

    A voxel is a prism along the normal, from the middle between its slice and the one below to the middle towards
    the one above. Prisms fill space without gap or overlap, sheared stack or not: the shares sum to the volume.
    """
    share = np.zeros(geometry.shape)
    lower, upper = _bounds_mm(geometry.positions_mm)
    centre = np.asarray(bleed.centre_mm)
    reach = max(bleed.semi_axes_mm)
    for index in np.flatnonzero(
        (upper > centre @ geometry.normal - reach) & (lower < centre @ geometry.normal + reach)
    ):
        rows = _sub_samples(geometry.rows, IN_PLANE_SAMPLES) * geometry.row_spacing_mm
        columns = _sub_samples(geometry.columns, IN_PLANE_SAMPLES) * geometry.column_spacing_mm
        step_mm = (upper[index] - lower[index]) / DEPTH_SAMPLES
        for depth_mm in lower[index] + (np.arange(DEPTH_SAMPLES) + 0.5) * step_mm:
            start = geometry.origins_mm[index] + (depth_mm - geometry.positions_mm[index]) * geometry.normal - centre
            inside = _inside(start, geometry, rows, columns, bleed)
            share[index] += _block_mean(inside, IN_PLANE_SAMPLES) / DEPTH_SAMPLES
    return share


def with_blood(
    hu: NDArray[np.float64], share: NDArray[np.float64], geometry: Geometry, blood_hu: float, *, seed: int
) -> NDArray[np.float64]:
    """Returns ``hu`` (Z, Y, X) with the local mean replaced by blood where ``share`` says so; the noise stays."""
    spacing_mm = np.array([geometry.row_spacing_mm, geometry.column_spacing_mm])
    soft = gaussian_filter(share, (0, *(EDGE_BLUR_MM / spacing_mm)))
    tissue = gaussian_filter(hu, (0, *(TISSUE_BLUR_MM / spacing_mm)))
    lumps = gaussian_filter(np.random.default_rng(seed).standard_normal(hu.shape), (0, *(TEXTURE_BLUR_MM / spacing_mm)))
    return np.asarray(hu + soft * (blood_hu + lumps / lumps.std() * TEXTURE_SD_HU - tissue), np.float64)


def _bounds_mm(positions_mm: Vector) -> tuple[Vector, Vector]:
    """Lower and upper end (Z,) of what each slice stands for; the outer halves of the end slices mirror the inner."""
    middles = (positions_mm[1:] + positions_mm[:-1]) / 2
    weights = slice_weights_mm(positions_mm)
    lower = np.concatenate([[middles[0] - weights[0]], middles])
    return lower, lower + weights


def _sub_samples(count: int, samples: int) -> Vector:
    return (np.arange(count * samples) + 0.5) / samples - 0.5


def _inside(start: Vector, geometry: Geometry, rows: Vector, columns: Vector, bleed: Bleed) -> NDArray[np.bool_]:
    """Which points of one plane lie in the ellipsoid; ``start`` (3,) is its first voxel, seen from the centre."""
    angle = np.radians(bleed.turn_deg)
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    to_unit_sphere = turn / np.asarray(bleed.semi_axes_mm)[:, None]
    origin, along, down = (to_unit_sphere @ one for one in (start, geometry.row_cosine, geometry.column_cosine))
    square = np.zeros((len(rows), len(columns)))
    for axis in range(3):
        square += (origin[axis] + rows[:, None] * down[axis] + columns[None, :] * along[axis]) ** 2
    return square <= 1


def _block_mean(fine: NDArray[np.bool_], samples: int) -> NDArray[np.float64]:
    rows, columns = fine.shape[0] // samples, fine.shape[1] // samples
    return np.asarray(fine.reshape(rows, samples, columns, samples).mean(axis=(1, 3)), np.float64)


def _with_pixels(dataset: Dataset, hu: NDArray[np.float64]) -> Dataset:
    """A copy whose stored values are those of ``hu``, in the pixel format of the original."""
    stored = np.round((hu - float(dataset.RescaleIntercept)) / float(dataset.RescaleSlope))
    copy = deepcopy(dataset)
    copy.set_pixel_data(
        stored.astype(dataset.pixel_array.dtype),
        dataset.PhotometricInterpretation,
        int(dataset.BitsStored),
        generate_instance_uid=False,
    )
    return copy
