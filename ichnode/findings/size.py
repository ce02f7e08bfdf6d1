"""The size of a haematoma as it is measured by hand."""

from typing import Final

import numpy as np

from ichnode.domain.geometry import Geometry, slice_weights_mm
from ichnode.domain.values import Size
from ichnode.findings.outlines import diameters_mm, largest_diameter_mm
from ichnode.findings.sections import Mask, largest

WHOLE: Final = 0.75  # share of the largest area from which a slice counts in full (Kothari 1996)
HALF: Final = 0.25  # and from which it counts by half


def size_of(mask: Mask, geometry: Geometry) -> Size | None:
    """A, B, C and the largest diameter of the haematoma ``mask`` (Z, Y, X) bool; None of nothing.

    A and B are of the largest piece of the slice of largest area, so that foci apart do not stretch them. The height
    is what the slices stand for, whatever their distances. Source: Kothari et al., Stroke 1996;27:1304.
    """
    if not mask.any():
        return None
    areas = np.count_nonzero(mask, axis=(1, 2))
    key = int(areas.argmax())
    a_mm, b_mm = diameters_mm(largest(mask[key]), geometry)
    share = areas / areas[key]
    counted = np.where(share > WHOLE, 1.0, np.where(share >= HALF, 0.5, 0.0))
    lengths = [largest_diameter_mm(largest(plane), geometry) if plane.any() else 0.0 for plane in mask]
    longest = int(np.argmax(lengths))
    return Size(
        a_mm=a_mm,
        b_mm=b_mm,
        c_mm=float(counted @ slice_weights_mm(geometry.positions_mm)),
        diameter_mm=lengths[longest],
        diameter_slice=longest,
    )
