"""Where the voxels of a stack of parallel slices lie in the patient."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.errors import BadGeometry

Vector = NDArray[np.float64]

MIN_GAP_MM: Final = 0.05  # two slices nearer than this are the same position twice
UNEQUAL_MM: Final = 0.1  # gaps that differ by more are "unequal spacing"
TILT_DEG: Final = 0.5  # a stack that leans by more is "tilted"


def slice_weights_mm(positions_mm: Vector) -> Vector:
    """Thickness that each slice stands for: half the distance to either neighbour.

    ``positions_mm`` (Z,) are ascending distances along the slice normal, not table positions, so a tilted gantry
    does not inflate the volume. End slices stand for their one distance. Returns (Z,) mm.

    Raises BadGeometry for fewer than two slices or for equal positions.
    """
    if len(positions_mm) < 2:
        raise BadGeometry("One slice alone has no thickness that could be measured.")
    gaps = np.diff(positions_mm)
    if gaps.min() < MIN_GAP_MM:
        raise BadGeometry("Two slices lie at the same position.")
    padded = np.concatenate([gaps[:1], gaps, gaps[-1:]])
    return np.asarray((padded[:-1] + padded[1:]) / 2, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Geometry:
    """A stack of parallel slices with one in-plane grid, in patient coordinates (LPS, mm).

    The stack may lean (gantry tilt: the origins drift in-plane) and its gaps may differ.

    ``origins_mm`` (Z, 3): centre of the first voxel of each slice, ascending along ``normal``.
    ``row_cosine`` (3,): unit vector along which the column index grows (first half of ImageOrientationPatient).
    ``column_cosine`` (3,): unit vector along which the row index grows (second half).
    ``row_spacing_mm``, ``column_spacing_mm``: distance between rows, between columns (order of PixelSpacing).

    Raises BadGeometry for axes that are not orthonormal, fewer than two slices, slices out of order or at equal
    positions. Source: PS3.3 C.7.6.2.1.1.
    """

    origins_mm: Vector
    row_cosine: Vector
    column_cosine: Vector
    row_spacing_mm: float
    column_spacing_mm: float
    rows: int
    columns: int

    def __post_init__(self) -> None:
        axes = np.stack([self.row_cosine, self.column_cosine])
        if not np.allclose(axes @ axes.T, np.eye(2), atol=1e-3):
            raise BadGeometry("The image axes are not perpendicular unit vectors.")
        if min(self.row_spacing_mm, self.column_spacing_mm) <= 0 or min(self.rows, self.columns) < 1:
            raise BadGeometry("The pixel spacing or the matrix is not positive.")
        slice_weights_mm(self.positions_mm)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return len(self.origins_mm), self.rows, self.columns

    @property
    def normal(self) -> Vector:
        """(3,) unit vector row_cosine × column_cosine: the side towards which slices ascend."""
        return np.cross(self.row_cosine, self.column_cosine)

    @property
    def positions_mm(self) -> Vector:
        """(Z,) distance of each slice along the normal."""
        return np.asarray(self.origins_mm @ self.normal, np.float64)

    @property
    def gaps_mm(self) -> Vector:
        """(Z-1,) distances between neighbouring slices along the normal."""
        return np.diff(self.positions_mm)

    @property
    def voxel_volumes_ml(self) -> Vector:
        """(Z,) volume of one voxel of each slice, mL: pixel area times the thickness the slice stands for."""
        return slice_weights_mm(self.positions_mm) * self.row_spacing_mm * self.column_spacing_mm / 1000

    @property
    def tilt_deg(self) -> float:
        """Angle between the way from first to last slice and the normal: the gantry tilt of a sheared stack."""
        way = self.origins_mm[-1] - self.origins_mm[0]
        return float(np.degrees(np.arccos(np.clip(way @ self.normal / np.linalg.norm(way), -1, 1))))

    @property
    def is_tilted(self) -> bool:
        """Whether the stack leans by more than TILT_DEG."""
        return self.tilt_deg > TILT_DEG

    @property
    def is_unequal(self) -> bool:
        """Whether the gaps differ by more than UNEQUAL_MM."""
        return bool(np.ptp(self.gaps_mm) > UNEQUAL_MM)
