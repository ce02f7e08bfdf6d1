"""Clots that tests build: an ellipse in brain, over some slices, with the blur and the noise of a scanner."""

import numpy as np
from scipy import ndimage

from ichnode.domain.geometry import Geometry
from ichnode.domain.values import FrameSource, ModelIdentity, Volume
from ichnode.findings.markers import blend, hypodensity
from ichnode.findings.measure import measure
from ichnode.findings.sections import clot_of

CLOT_HU, BRAIN_HU = 65.0, 32.0


def stack(*, slices=8, gap_mm=5.0, spacing_mm=(0.5, 0.5), size=128):
    return Geometry(
        origins_mm=np.outer(np.arange(slices) * gap_mm, [0.0, 0.1, 1.0]),  # leaning a little
        row_cosine=np.array([1.0, 0.0, 0.0]),
        column_cosine=np.array([0.0, 1.0, 0.0]),
        row_spacing_mm=spacing_mm[0],
        column_spacing_mm=spacing_mm[1],
        rows=size,
        columns=size,
    )


class Clot:
    """A clot of 36 × 28 mm in the middle of the picture, over the middle of the slices, in brain."""

    def __init__(self, geometry=None):
        self.geometry = geometry or stack()
        shape = self.geometry.shape
        index = np.indices(shape, np.float32)
        self.z = index[0] - shape[0] // 2
        self.y = (index[1] - shape[1] // 2) * self.geometry.row_spacing_mm
        self.x = (index[2] - shape[2] // 2) * self.geometry.column_spacing_mm
        depth_mm = self.z * float(self.geometry.gaps_mm[0])
        self.mask = ((self.x / 18) ** 2 + (self.y / 14) ** 2 < 1) & (abs(depth_mm) <= 12)
        self.hu = np.where(self.mask, CLOT_HU, BRAIN_HU).astype(np.float32)

    def disk(self, x_mm, y_mm, radius_mm, z=0):
        return ((self.x - x_mm) ** 2 + (self.y - y_mm) ** 2 < radius_mm**2) & (self.z == z)

    def image(self, *, noise_hu=5.0, seed=0, blur_mm=0.5):
        """HU as a scanner shows them: edges blurred in plane, noise of the same grain."""
        grain = (0, blur_mm / self.geometry.row_spacing_mm, blur_mm / self.geometry.column_spacing_mm)
        noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=self.hu.shape), grain)
        blurred = ndimage.gaussian_filter(self.hu, grain)
        return np.round(blurred + noise / noise.std() * noise_hu).astype(np.int16)

    def seen(self, **image):
        return clot_of(self.mask, self.image(**image), self.geometry)

    def hypodensity(self, **image):
        return hypodensity(self.seen(**image))

    def blend(self, **image):
        return blend(self.seen(**image))


MODEL = ModelIdentity(name="n", version="1", sha256="ab")


def volume_of(geometry, hu):
    sources = tuple(FrameSource(sop_instance_uid=f"1.{k}") for k in range(len(hu)))
    return Volume(hu=hu, geometry=geometry, sources=sources)


def measured(geometry, hu, mask):
    volume = volume_of(geometry, hu)
    return volume, measure(volume, mask, MODEL)


class Head(Clot):
    """The clot in a head of 150 x 180 mm with a skull, off its middle to the patient's ``side`` (1: left)."""

    def __init__(self, *, side=1, turned_deg=0.0, size=256, spacing_mm=0.8, slices=12, off_mm=35.0):
        super().__init__(stack(slices=slices, spacing_mm=(spacing_mm, spacing_mm), size=size))
        turn = np.radians(turned_deg)
        across = self.x * np.cos(turn) + self.y * np.sin(turn)
        along = -self.x * np.sin(turn) + self.y * np.cos(turn)
        outer = np.sqrt((across / 75) ** 2 + (along / 90) ** 2)
        ridge = (np.abs(across) < 4) & (along < -75)  # a skull is no ellipse: it has a front
        self.hu = np.where(outer < 1, 1000.0, -1000.0)
        self.hu[(outer < 0.92) & ~ridge] = BRAIN_HU
        self.across, self.along = across - side * off_mm, along
        self.x, self.y = self.across, self.along
        depth_mm = self.z * float(self.geometry.gaps_mm[0])
        self.mask = ((self.across / 18) ** 2 + (self.along / 24) ** 2 < 1) & (np.abs(depth_mm) <= 12)
        self.hu[self.mask] = CLOT_HU
        self.hu = self.hu.astype(np.float32)

    def measured(self):
        return measured(self.geometry, self.image(), self.mask)
