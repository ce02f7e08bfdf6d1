"""A head with its lesions: what stands where the scanner looks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichnode.phantom.anatomy import CHUNK, Head
from ichnode.phantom.bleed import Lesion
from ichnode.phantom.field import Points, Values, within


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """``head`` with ``lesions`` painted in their order."""

    head: Head
    lesions: tuple[Lesion, ...] = ()

    def hu_at(self, points: Points) -> Values:
        """(N, 3) head coordinates in mm -> (N,) HU."""
        parts = [self._hu(points[start : start + CHUNK]) for start in range(0, len(points), CHUNK)]
        return np.concatenate(parts) if parts else np.empty(0, np.float32)

    def _hu(self, points: Points) -> Values:
        near = [np.flatnonzero(within(points, *lesion.box_mm)) for lesion in self.lesions]
        looked = points
        for lesion, some in zip(self.lesions, near, strict=True):
            if len(some):
                looked = looked.copy() if looked is points else looked
                looked[some] = lesion.displace(looked[some])
        hu = self.head.hu_at(looked)
        for lesion, some in zip(self.lesions, near, strict=True):
            if len(some):
                hu[some] = lesion.paint(points[some], hu[some])
        return hu

    def blood_at(self, points: Points) -> NDArray[np.bool_]:
        """(N, 3) -> (N,): inside blood that counts for the mask."""
        blood = np.zeros(len(points), bool)
        for lesion in self.lesions:
            some = np.flatnonzero(within(points, *lesion.box_mm))
            if len(some):
                blood[some] |= lesion.blood_at(points[some])
        return blood
