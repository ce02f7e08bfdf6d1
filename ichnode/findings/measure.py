"""What is said of a mask: its parts, its volume in mL, its density in HU, where it is largest."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.domain.errors import BadGeometry
from ichnode.domain.flags import Doubt
from ichnode.domain.geometry import Geometry
from ichnode.domain.values import Expansion, Findings, Lesion, ModelIdentity, Volume
from ichnode.findings.gates.extent import touches_border

Mask = NDArray[np.bool_]


def volume_ml(mask: Mask, geometry: Geometry) -> float:
    """Volume of ``mask`` (Z, Y, X) bool, mL: every slice counts with the thickness that it stands for.

    Raises BadGeometry for a mask of another shape. Source: dicom-objects, "Volume = area x half the distance to each
    neighbour along the normal".
    """
    _check_shape(mask, geometry)
    return float(_voxels_a_slice(mask) @ geometry.voxel_volumes_ml)


def largest_components(mask: Mask, geometry: Geometry, min_ml: float) -> Mask:
    """``mask`` (Z, Y, X) bool without its connected parts smaller than ``min_ml``; voxels connect by corners too."""
    _check_shape(mask, geometry)
    box = _box(mask)
    labels, count = _label(mask[box])
    kept = _parts_ml(labels, count, box[0].start, geometry) >= min_ml
    kept[0] = False
    result = np.zeros_like(mask)
    result[box] = kept[labels]
    return result


def measure(
    volume: Volume,
    mask: Mask,
    model: ModelIdentity,
    expansion: Expansion | None = None,
    doubts: Iterable[Doubt] = (),
) -> Findings:
    """Measure ``mask`` (Z, Y, X) bool on the volume's own grid and its own HU.

    The flags of the volume, QF_TOUCH where the mask reaches the border of the volume, and the ``doubts`` given, are
    joined; of two doubts of one kind the given one stands. Raises BadGeometry for a mask of another shape.
    """
    mask = np.asarray(mask, np.bool_)
    total_ml = volume_ml(mask, volume.geometry)
    labels, found = lesions(volume, mask)
    hu = np.asarray(volume.hu[mask], np.float64)
    border = touches_border(mask)
    of_flag = {
        doubt.flag: doubt
        for doubt in [*(Doubt(flag=flag) for flag in volume.flags), *([border] if border else []), *doubts]
    }
    return Findings(
        labels=labels,
        lesions=found,
        volume_ml=total_ml,
        hu_mean=float(hu.mean()) if hu.size else None,
        hu_sd=float(hu.std()) if hu.size else None,
        key_slice=int(_voxels_a_slice(mask).argmax()) if hu.size else len(mask) // 2,
        model=model,
        expansion=expansion,
        doubts=tuple(sorted(of_flag.values(), key=lambda doubt: doubt.flag.name)),
    )


def lesions(volume: Volume, mask: Mask) -> tuple[NDArray[np.uint16], tuple[Lesion, ...]]:
    """The connected parts of ``mask`` (Z, Y, X) bool by falling volume: (Z, Y, X) their numbers, and what each is."""
    box = _box(mask)
    parts, count = _label(mask[box])
    parts_ml = _parts_ml(parts, count, box[0].start, volume.geometry)
    order = np.argsort(-parts_ml[1:], kind="stable") + 1
    number_of = np.zeros(count + 1, np.uint16)
    number_of[order] = np.arange(1, count + 1)
    labels = np.zeros(mask.shape, np.uint16)
    labels[box] = number_of[parts]
    around = ndimage.find_objects(labels)
    found = []
    for number, part in enumerate(order, 1):
        place = around[number - 1]
        hu = np.asarray(volume.hu[place][labels[place] == number], np.float64)
        found.append(
            Lesion(number=number, volume_ml=float(parts_ml[part]), hu_mean=float(hu.mean()), hu_sd=float(hu.std()))
        )
    return labels, tuple(found)


def _box(mask: Mask) -> tuple[slice, slice, slice]:
    """The smallest box that holds the marked voxels: labelling a whole thin-slice head takes seconds."""
    ends = []
    for axis in range(3):
        marked = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        ends.append(slice(int(marked[0]), int(marked[-1]) + 1) if marked.size else slice(0, 0))
    return ends[0], ends[1], ends[2]


def _label(mask: Mask) -> tuple[NDArray[np.int32], int]:
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    return labels, int(count)


def _parts_ml(labels: NDArray[np.int32], count: int, first_slice: int, geometry: Geometry) -> NDArray[np.float64]:
    """(count + 1,) mL of each part of ``labels``, cut out of the volume at ``first_slice``; 0 for what is no part."""
    slice_of = np.nonzero(labels)[0] + first_slice
    parts_ml = np.bincount(labels[labels > 0], weights=geometry.voxel_volumes_ml[slice_of], minlength=count + 1)
    return np.asarray(parts_ml, np.float64)


def _voxels_a_slice(mask: Mask) -> NDArray[np.float64]:
    return np.asarray(np.count_nonzero(mask, axis=(1, 2)), np.float64)


def _check_shape(mask: Mask, geometry: Geometry) -> None:
    if mask.shape != geometry.shape:
        raise BadGeometry(f"A mask of {mask.shape} does not fit the geometry {geometry.shape}.")
