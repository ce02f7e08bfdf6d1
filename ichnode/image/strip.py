"""Skull-stripping by thresholds and shapes: which voxels of a head CT lie inside the skull.

Works on a coarse copy (about 1 x 1 x 2.5 mm). Bone, its small gaps closed, is the wall; brain is the largest body of
soft tissue that the wall parts from all else and that sees bone in nearly every direction. The second condition holds
where the skull is open: at its base, after an operation, in a head that lies askew.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

from ichnode.domain.enclosed import bony_ways
from ichnode.domain.errors import Rejected
from ichnode.domain.flags import Flag
from ichnode.domain.geometry import Geometry, slice_weights_mm

Mask = NDArray[np.bool_]

PIXEL_MM: Final = 1.0  # aim of the coarse copy, in-plane
GAP_MM: Final = 2.5  # and along the normal; thicker slices stay as they are
CLIP_HU: Final = (-200.0, 400.0)  # padding, metal and dense bone would lead Otsu astray
HEAD_HU: Final = (-190.0, -50.0)  # where a threshold between air and scalp may lie; the former when Otsu finds none
BONE_HU: Final = 160.0
TISSUE_HU: Final = (-30.0, 100.0)  # brain, liquor and clot at the rim; fat and air below, mixed with bone above
OPENING_MM: Final = 2.0  # frees the head from pillow and holder
CLOSING_MM: Final = 6.0  # gaps in the skull of up to twice this are closed
CORE_MM: Final = 3.0  # bridges from brain to outside of up to twice this are cut
REGROWTH_MM: Final = 5.0
MIN_BONY_WAYS: Final = 6  # of the 8 ways in-plane, those that must end at bone
PIECE_MM2: Final = 25.0  # smaller pieces of a slice are grain of the mask
BELOW_BRAIN: Final = 0.2  # share of a piece below the widest slice that lies under brain: brain narrows downwards
MOSTLY_BONE_HU: Final = 70.0  # median of a slice at either end of the brain; a slice full of clot stays below
BRAIN_ML: Final = (800.0, 2100.0)  # with liquor: a large man's skull holds about 2000
MAX_OFFSET_MM: Final = 10.0  # between the centres of brain and head above the widest slice
MIN_HEAD_ML: Final = 500.0
MIN_BONE_ML: Final = 50.0
MIN_TISSUE_ML: Final = 400.0  # a third of the smallest adult's brain and scalp: 3 cm of a head hold more
NOT_A_HEAD: Final = "The images do not show a head: no skull was found in them."
NO_TISSUE: Final = "The images show a skull with hardly any soft tissue ({:.0f} mL): a test object, or a small part."


def brain_mask(hu: NDArray[np.int16] | NDArray[np.float32], geometry: Geometry) -> tuple[Mask, frozenset[Flag]]:
    """Inside of the skull: (Z, Y, X) bool on the grid of ``hu``, and QF_STRIP if it is the whole head instead.

    The whole head is the answer when what was found has not the size or the place of a brain: nothing is cropped in
    silence.

    Raises Rejected when the images show no head at all, or a skull without soft tissue.
    """
    coarse = _Coarse.of(hu, geometry)
    head = _head(coarse)
    bone = head & (coarse.hu > BONE_HU)
    if coarse.ml(head) < MIN_HEAD_ML or coarse.ml(bone) < MIN_BONE_ML:
        raise Rejected(NOT_A_HEAD)
    tissue_ml = coarse.ml(head & _soft(coarse))
    if tissue_ml < MIN_TISSUE_ML:
        raise Rejected(NO_TISSUE.format(tissue_ml))
    brain = _brain(coarse, head, bone)
    if _plausible(coarse, brain, head):
        return coarse.refine(brain), frozenset()
    return coarse.refine(head), frozenset({Flag.QF_STRIP})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Coarse:
    """Block means of a volume. ``step`` (z, y, x): voxels a block; ``pixel_mm``, and ``voxel_ml`` (Z,) a block."""

    hu: NDArray[np.float32]
    step: tuple[int, int, int]
    shape: tuple[int, int, int]
    pixel_mm: tuple[float, float]
    voxel_ml: NDArray[np.float64]
    ascending: bool  # towards the head

    @classmethod
    def of(cls, hu: NDArray[np.int16] | NDArray[np.float32], geometry: Geometry) -> "_Coarse":
        pixel = geometry.row_spacing_mm, geometry.column_spacing_mm
        down, across = (max(1, round(PIXEL_MM / mm)) for mm in pixel)
        step = max(1, int(GAP_MM / np.median(geometry.gaps_mm) + 1e-6)), down, across
        weights = slice_weights_mm(geometry.positions_mm)
        depth = np.add.reduceat(weights, np.arange(0, len(weights), step[0]))
        return cls(
            hu=_block_means(hu, step),
            step=step,
            shape=geometry.shape,
            pixel_mm=(pixel[0] * down, pixel[1] * across),
            voxel_ml=depth * pixel[0] * down * pixel[1] * across / 1000,
            ascending=bool(geometry.normal[2] > 0),
        )

    def ml(self, mask: Mask) -> float:
        return float(mask.sum(axis=(1, 2)) @ self.voxel_ml)

    def near(self, mask: Mask, mm: float) -> Mask:
        """Pixels not further than ``mm`` from the mask, a slice at a time."""
        out = np.zeros_like(mask)
        for k in np.flatnonzero(mask.any(axis=(1, 2))):
            out[k] = ndimage.distance_transform_edt(~mask[k], sampling=self.pixel_mm) <= mm
        return out

    def refine(self, mask: Mask) -> Mask:
        for axis, step in enumerate(self.step):
            mask = np.repeat(mask, step, axis)
        z, y, x = self.shape
        return np.ascontiguousarray(mask[:z, :y, :x])


def _block_means(hu: NDArray[np.int16] | NDArray[np.float32], step: tuple[int, int, int]) -> NDArray[np.float32]:
    blocks = []
    for start in range(0, len(hu), step[0]):
        layer = np.clip(hu[start : start + step[0]], *CLIP_HU).mean(axis=0, dtype=np.float32)
        margin = [(0, -size % block) for size, block in zip(layer.shape, step[1:], strict=True)]
        layer = np.pad(layer, margin, mode="edge")
        rows, columns = (size // block for size, block in zip(layer.shape, step[1:], strict=True))
        blocks.append(layer.reshape(rows, step[1], columns, step[2]).mean(axis=(1, 3)))
    return np.stack(blocks)


def _head(coarse: _Coarse) -> Mask:
    if np.ptp(coarse.hu) == 0:
        raise Rejected(NOT_A_HEAD)
    low, high = HEAD_HU
    threshold = float(threshold_otsu(coarse.hu))
    solid = coarse.hu > (threshold if low <= threshold <= high else low)
    opened = coarse.near(~coarse.near(~solid, OPENING_MM), OPENING_MM)
    return _filled(_largest(opened))


def _soft(coarse: _Coarse) -> Mask:
    low, high = TISSUE_HU
    return (coarse.hu > low) & (coarse.hu < high)


def _brain(coarse: _Coarse, head: Mask, bone: Mask) -> Mask:
    wall = bone | ~coarse.near(~coarse.near(bone, CLOSING_MM), CLOSING_MM)
    low, high = TISSUE_HU
    inside = head & (bony_ways(wall) >= MIN_BONY_WAYS)
    soft = inside & (coarse.hu > low)
    core = _largest(~coarse.near(~(soft & ~wall), CORE_MM))
    grown = coarse.near(core, REGROWTH_MM) & soft & (coarse.hu < high)
    return _without_neck(coarse, _without_bony_ends(coarse, _filled(grown | core)))


def _without_bony_ends(coarse: _Coarse, brain: Mask) -> Mask:
    """The mask less the slices at its ends whose voxels bone and brain share: thick slices through the vertex."""
    brain = brain.copy()
    used = np.flatnonzero(brain.any(axis=(1, 2)))
    for ends in (used, used[::-1]):
        for k in ends:
            if not brain[k].any() or np.median(coarse.hu[k][brain[k]]) <= MOSTLY_BONE_HU:
                break
            brain[k] = False
    return brain


def _without_neck(coarse: _Coarse, brain: Mask) -> Mask:
    """The mask less the pieces below its widest slice that have no brain above them.

    Muscle between the bones of the face and the neck hangs on brain through gaps of the skull base; over it lies bone.
    """
    brain = brain.copy()
    upwards = brain if coarse.ascending else brain[::-1]
    piece = PIECE_MM2 / (coarse.pixel_mm[0] * coarse.pixel_mm[1])
    for k in range(int(upwards.sum(axis=(1, 2)).argmax()) - 1, -1, -1):
        labels, count = ndimage.label(upwards[k])
        sizes = np.bincount(labels.ravel(), minlength=count + 1)
        under = np.bincount(labels[upwards[k + 1]], minlength=count + 1)
        hangs = (sizes >= piece) & (under < BELOW_BRAIN * sizes)
        hangs[0] = False
        upwards[k] &= ~hangs[labels]
    return brain


def _offset_mm(coarse: _Coarse, brain: Mask, head: Mask) -> float:
    """Mean distance between the centres of brain and head, from the brain's widest slice to the vertex.

    The head is convex there and the brain fills it: a brain that has lost a part, or gained one, is off the centre.
    """
    if not coarse.ascending:
        brain, head = brain[::-1], head[::-1]
    areas = brain.sum(axis=(1, 2))
    upper = [k for k in range(int(areas.argmax()), len(areas)) if areas[k] > areas.max() / 2]
    apart = [
        np.subtract(ndimage.center_of_mass(brain[k]), ndimage.center_of_mass(head[k])) * coarse.pixel_mm for k in upper
    ]
    return float(np.mean(np.linalg.norm(apart, axis=1)))


def _plausible(coarse: _Coarse, brain: Mask, head: Mask) -> bool:
    return BRAIN_ML[0] <= coarse.ml(brain) <= BRAIN_ML[1] and _offset_mm(coarse, brain, head) <= MAX_OFFSET_MM


def _largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def _filled(mask: Mask) -> Mask:
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])
