"""What the gates look at: a head on a coarse grid, its body, its bone, and what bone encloses."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.domain.enclosed import bony_ways
from ichnode.domain.geometry import slice_weights_mm
from ichnode.domain.values import Volume

Mask = NDArray[np.bool_]
Stack = NDArray[np.float32]

PIXEL_MM: Final = 2.0  # aim of the coarse grid, in-plane
SLAB_MM: Final = 5.0  # and along the normal: thin slices are averaged to slabs of at most this
HIGHEST_HU: Final = 3000  # so that metal does not spoil the mean of a block
AIR_HU: Final = -250.0
BONE_HU: Final = 160.0
SOFT_HU: Final = (-20.0, 100.0)
OPENING_MM: Final = 3.0  # frees the body from pillow and holder
MIN_BONY_WAYS: Final = 7  # of the 8 ways in-plane, those that end at bone for what lies within a skull
IN_PLANE: Final = ndimage.generate_binary_structure(2, 1)[None]
CORE_MM: Final = 4.0  # bridges through the skull of up to twice this are cut


@dataclass(frozen=True, kw_only=True, eq=False)
class Sight:
    """Block means of a volume, slices ascending towards the head.

    ``hu`` (Z, Y, X) float32; ``pixel_mm`` (rows, columns); ``slabs`` (Z, 2): first and last slice of the series behind
    each slab, counted from 0 as they are stored; ``heights_mm`` (Z,) of the slabs along the normal, ``depth_mm`` (Z,)
    that they stand for. ``leftwards``: 1 where columns grow towards the patient's left, -1 where to the right.
    """

    hu: Stack
    pixel_mm: tuple[float, float]
    slabs: NDArray[np.int64]
    heights_mm: NDArray[np.float64]
    depth_mm: NDArray[np.float64]
    leftwards: int

    @property
    def pixel_cm2(self) -> float:
        """Area of a pixel."""
        return self.pixel_mm[0] * self.pixel_mm[1] / 100

    @cached_property
    def body(self) -> Mask:
        """(Z, Y, X): the largest thing in the pictures, a slice at a time, with all that it encloses."""
        solid = self.hu > AIR_HU
        cells = max(1, round(OPENING_MM / min(self.pixel_mm)))
        opened = ndimage.binary_opening(solid, IN_PLANE, iterations=cells)
        return np.stack([ndimage.binary_fill_holes(plane) for plane in largest(opened)])

    @cached_property
    def bone(self) -> Mask:
        """(Z, Y, X): bone, or whatever is as dense, within the body."""
        return np.asarray(self.body & (self.hu > BONE_HU))

    @cached_property
    def cavity(self) -> Mask:
        """(Z, Y, X): soft tissue that bone surrounds in its plane, its largest part: the inside of a skull."""
        low, high = SOFT_HU
        soft = (self.hu > low) & (self.hu < high) & (bony_ways(self.bone) >= MIN_BONY_WAYS)
        cells = max(1, round(CORE_MM / min(self.pixel_mm)))
        core = largest(ndimage.binary_erosion(soft, IN_PLANE, iterations=cells))
        return np.asarray(ndimage.binary_dilation(core, IN_PLANE, iterations=cells + 1) & soft)

    @cached_property
    def areas_cm2(self) -> NDArray[np.float64]:
        """(Z,) area of the cavity in each slab."""
        return np.asarray(self.cavity.sum(axis=(1, 2)) * self.pixel_cm2, np.float64)

    @cached_property
    def vault(self) -> NDArray[np.int64]:
        """Indices of the slabs from the widest one of the cavity up to where it has shrunk to a third."""
        if not self.areas_cm2.any():
            return np.zeros(0, np.int64)
        widest = int(self.areas_cm2.argmax())
        above = np.arange(widest, len(self.areas_cm2))
        return np.asarray(above[self.areas_cm2[above] > self.areas_cm2.max() / 3])

    @cached_property
    def hull(self) -> Mask:
        """(Z, Y, X): the cavity with what it encloses, a slice at a time: clot and calcium denser than soft tissue."""
        return np.stack([ndimage.binary_fill_holes(plane) for plane in self.cavity])

    def coarse(self, mask: Mask) -> Mask:
        """``mask`` (of the volume's shape) on the coarse grid: blocks at least half of which it fills."""
        step = [round(size / coarse) for size, coarse in zip(mask.shape[1:], self.hu.shape[1:], strict=True)]
        out = np.zeros(self.hu.shape, np.bool_)
        for k, (first, last) in enumerate(self.slabs):
            if mask[first : last + 1].any():
                out[k] = _block_mean(mask[first : last + 1], *step) >= 0.5
        return out

    def slices(self, slabs: NDArray[np.integer]) -> str:
        """Where ``slabs`` (indices) lie, as the reader counts slices from below: "slice 4", "slices 3 to 9"."""
        return slices_in_words(self.slabs[slabs.min()], self.slabs[slabs.max()])


def slices_in_words(*ends: NDArray[np.int64]) -> str:
    """ "slice 4" or "slices 3 to 9", counted from 1, for indices that count from 0."""
    numbers = np.concatenate(ends) + 1
    low, high = int(numbers.min()), int(numbers.max())
    return f"slice {low}" if low == high else f"slices {low} to {high}"


def look(volume: Volume) -> Sight:
    """The coarse copy of ``volume`` that all gates share."""
    geometry = volume.geometry
    pixel = geometry.row_spacing_mm, geometry.column_spacing_mm
    down, across = (max(1, round(PIXEL_MM / mm)) for mm in pixel)
    thick = max(1, int(SLAB_MM / np.median(geometry.gaps_mm) + 1e-6))
    starts = np.arange(0, geometry.shape[0], thick)
    weights = slice_weights_mm(geometry.positions_mm)
    depth = np.add.reduceat(weights, starts)
    up = 1 if geometry.normal[2] > 0 else -1
    heights = up * np.add.reduceat(geometry.positions_mm * weights, starts) / depth
    ends = np.minimum(starts + thick, geometry.shape[0]) - 1
    planes = [_block_mean(volume.hu[first : last + 1], down, across) for first, last in zip(starts, ends, strict=True)]
    return Sight(
        hu=np.stack(planes[::up]),
        pixel_mm=(pixel[0] * down, pixel[1] * across),
        slabs=np.stack([starts, ends], axis=1)[::up],
        heights_mm=heights[::up],
        depth_mm=depth[::up],
        leftwards=1 if geometry.row_cosine[0] >= 0 else -1,
    )


def _block_mean(slab: NDArray[np.int16] | NDArray[np.float32] | Mask, down: int, across: int) -> NDArray[np.float32]:
    """(Y', X') means of ``slab`` (Z, Y, X) over blocks; rows and columns that fill no block are left out."""
    rows, columns = (size // block for size, block in zip(slab.shape[1:], (down, across), strict=True))
    plane = np.zeros((rows * down, columns * across), np.float32)
    for layer in slab:
        plane += np.minimum(layer[: len(plane), : plane.shape[1]], HIGHEST_HU)
    lines = plane.reshape(rows, down, -1).sum(axis=1)
    total = sum((lines[:, n::across] for n in range(1, across)), lines[:, ::across])
    return np.asarray(total / np.float32(down * across * len(slab)), np.float32)


def largest(mask: Mask) -> Mask:
    """The largest connected part of ``mask`` (any shape); nothing of nothing."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())
