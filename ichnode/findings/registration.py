"""One head laid on another scan of it: the rigid motion between two scans of a patient.

What is compared is skull and brain, each with the true geometry of its stack, on a grid of equal steps along the
patient's axes. Skin, head-rest and face are left out: they move between scans. The search is SimpleITK's, on one
thread and over every voxel, so that the same scans give the same motion.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name under which its users know it
from numpy.typing import NDArray
from scipy import ndimage, stats

from ichnode.domain.errors import Rejected
from ichnode.domain.geometry import Geometry
from ichnode.findings.space import coarse, sampled

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

GRID_MM: Final = 3.0
SKULL_MM: Final = 12.0  # from the brain outwards: the skull, and hardly any scalp
WINDOW_HU: Final = (0.0, 150.0)  # liquor, brain, blood and bone are told apart; how dense a bone is matters not
SHRINK: Final = (4, 2, 1)  # of the grid, from coarse to fine
SMOOTH_MM: Final = (6.0, 3.0, 0.0)
STEPS: Final = 300
FIRST_STEP_MM, LAST_STEP_MM = 4.0, 0.002
SHORTER: Final = 0.8  # a step after one that overshot; halved steps end before the bottom is reached
LEAST_SLOPE: Final = 1e-9  # the step length alone ends the search
LEAST_OVERLAP: Final = 0.8  # Dice of the two brains, where both scans reach
LEAST_CORRELATION: Final = 0.9  # of what is compared, in both heads together: 0.97 of one head, 0.63-0.87 of two


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Head:
    """A scan and its brain: ``hu`` and ``brain`` (Z, Y, X) on ``geometry``."""

    hu: NDArray[np.int16] | NDArray[np.float32]
    brain: Mask
    geometry: Geometry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Motion:
    """How a head lay in the earlier scan, seen from the later one: ``matrix`` (3, 3) a rotation, ``shift_mm`` (3,).

    ``overlap`` and ``correlation`` in [0, 1] say how well the heads then lie on each other.
    """

    matrix: Floats
    shift_mm: Floats
    overlap: float
    correlation: float

    def to_earlier(self, places: Floats) -> Floats:
        """(N, 3) where the ``places`` (N, 3) mm of the later scan are in the earlier one."""
        return places @ self.matrix.T + self.shift_mm


def register(later: Head, earlier: Head) -> Motion:
    """The motion from the later head to the earlier one. Raises Rejected where they cannot be laid on each other."""
    fixed, moving = _grid(later), _grid(earlier)
    transform = _search(fixed, moving)
    matrix = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, way = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    found = Motion(matrix=matrix, shift_mm=centre + way - matrix @ centre, overlap=0, correlation=0)
    overlap, correlation = _agreement(fixed, moving, found)
    if not (overlap >= LEAST_OVERLAP and correlation >= LEAST_CORRELATION):  # nor where one is no number
        raise Rejected(
            f"The heads do not lie on each other: overlap {overlap:.2f}, correlation {correlation:.2f}, "
            f"at least {LEAST_OVERLAP:g} and {LEAST_CORRELATION:g} are needed."
        )
    return Motion(matrix=matrix, shift_mm=found.shift_mm, overlap=overlap, correlation=correlation)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Grid:
    """A head on equal steps along x, y, z: ``seen`` (Z, Y, X) windowed HU, ``brain`` and ``head`` (Z, Y, X) bool."""

    seen: NDArray[np.float32]
    brain: Mask
    head: Mask
    reached: Mask  # by the stack: beyond it nothing is known
    origin_mm: Floats

    @property
    def centre_mm(self) -> Floats:
        """(3,) centre of the brain."""
        return np.asarray(self.origin_mm + GRID_MM * np.argwhere(self.brain).mean(axis=0)[::-1], np.float64)

    @property
    def places_mm(self) -> Floats:
        """(N, 3) the places of the voxels of ``head``."""
        return np.asarray(self.origin_mm + GRID_MM * np.argwhere(self.head)[:, ::-1], np.float64)

    def image(self, values: NDArray[np.float32] | NDArray[np.uint8]) -> sitk.Image:
        """``values`` as SimpleITK has them."""
        image = sitk.GetImageFromArray(values)
        image.SetSpacing((GRID_MM,) * 3)
        image.SetOrigin(tuple(self.origin_mm))
        return image

    def at(self, values: NDArray[np.float32] | Mask, places: Floats, order: int = 1) -> NDArray[np.float32]:
        """(N,) ``values`` at ``places`` (N, 3) mm, 0 beyond."""
        indices = ((places - self.origin_mm) / GRID_MM)[:, ::-1].T
        return np.asarray(ndimage.map_coordinates(values.astype(np.float32), indices, order=order), np.float32)


def _grid(head: Head) -> _Grid:
    if not head.brain.any():
        raise Rejected("One of the scans shows no brain.")
    brain, geometry = coarse(head.brain, head.geometry, GRID_MM)
    hu, _ = coarse(np.clip(head.hu.astype(np.float32), *WINDOW_HU), head.geometry, GRID_MM)
    marked = np.argwhere(brain >= 0.5)
    low, high = marked.min(axis=0), marked.max(axis=0)
    corners = np.array([(z, y, x) for z in (low[0], high[0]) for y in (low[1], high[1]) for x in (low[2], high[2])])
    ends = geometry.origins_mm[corners[:, 0]] + (
        corners[:, 1:2] * geometry.row_spacing_mm * geometry.column_cosine
        + corners[:, 2:3] * geometry.column_spacing_mm * geometry.row_cosine
    )
    origin = ends.min(axis=0) - SKULL_MM
    shape = tuple(int(n) for n in np.ceil((ends.max(axis=0) + SKULL_MM - origin) / GRID_MM)[::-1] + 1)
    places = origin + GRID_MM * np.indices(shape)[::-1].reshape(3, -1).T
    share = sampled(brain, geometry, places, fill=0).reshape(shape)
    reached = sampled(np.ones_like(brain), geometry, places, fill=0).reshape(shape) > 0
    near = ndimage.distance_transform_edt(share < 0.5, sampling=GRID_MM) <= SKULL_MM
    return _Grid(
        seen=sampled(hu, geometry, places, fill=0).reshape(shape),
        brain=share >= 0.5,
        head=near & reached,
        reached=reached,
        origin_mm=np.asarray(origin, np.float64),
    )


def _search(fixed: _Grid, moving: _Grid) -> sitk.Euler3DTransform:
    start = sitk.Euler3DTransform()
    start.SetCenter(tuple(fixed.centre_mm))
    start.SetTranslation(tuple(moving.centre_mm - fixed.centre_mm))
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetMetricFixedMask(fixed.image(fixed.head.astype(np.uint8)))
    method.SetMetricMovingMask(moving.image(moving.head.astype(np.uint8)))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(FIRST_STEP_MM, LAST_STEP_MM, STEPS, SHORTER, LEAST_SLOPE)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(SHRINK)
    method.SetSmoothingSigmasPerLevel(SMOOTH_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(start, inPlace=True)
    try:
        method.Execute(fixed.image(fixed.seen), moving.image(moving.seen))
    except RuntimeError as error:  # SimpleITK's one error: the heads share no voxel
        raise Rejected("The heads do not lie on each other: the search found no common place.") from error
    return start


def _agreement(fixed: _Grid, moving: _Grid, motion: Motion) -> tuple[float, float]:
    """Dice of the brains where both scans reach, and correlation of what is compared there."""
    places = fixed.places_mm
    there = motion.to_earlier(places)
    both = moving.at(moving.reached, there, order=0) > 0.5
    one = fixed.brain[fixed.head][both]
    other = moving.at(moving.brain, there[both], order=0) > 0.5
    known = moving.at(moving.head, there, order=0) > 0.5
    if not one.any() or not other.any() or known.sum() < 2:
        return 0.0, 0.0
    overlap = 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))
    seen, seen_there = fixed.seen[fixed.head][known], moving.at(moving.seen, there[known])
    return float(overlap), float(stats.pearsonr(seen, seen_there).statistic)
