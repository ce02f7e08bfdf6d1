"""What a wall surrounds, seen from within."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


def bony_ways(bone: Mask) -> NDArray[np.uint8]:
    """(Z, Y, X): along how many of the 8 ways in-plane, straight and diagonal, ``bone`` (Z, Y, X) is met."""
    ways = np.zeros(bone.shape, np.uint8)
    for flip in (slice(None), slice(None, None, -1)):
        ways[:, :, flip] += np.logical_or.accumulate(bone[:, :, flip], axis=2)
        for shift in (-1, 0, 1):
            met = bone[:, flip].copy()
            for row in range(1, met.shape[1]):
                before = met[:, row - 1]
                met[:, row] |= before if shift == 0 else _shifted(before, shift)
            ways[:, flip] += met
    return ways


def _shifted(line: Mask, shift: int) -> Mask:
    out = np.zeros_like(line)
    out[:, max(shift, 0) : line.shape[1] + min(shift, 0)] = line[:, max(-shift, 0) : line.shape[1] - max(shift, 0)]
    return out
