"""What travels from room to room while one series is analysed."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.errors import BadGeometry
from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.followup import Growth
from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Bat, Marker


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSource:
    """The stored frame that a slice came from. ``frame_number`` counts from 1; None for a single-frame image."""

    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Volume:
    """A CT series as Hounsfield units on its own grid, in no way resampled.

    ``hu`` (Z, Y, X) int16 or float32, slices ascending along the normal; padding stands at -1024 HU.
    ``sources`` (Z,): the stored frame behind each slice, in the order of ``hu``.
    """

    hu: NDArray[np.int16] | NDArray[np.float32]
    geometry: Geometry
    sources: tuple[FrameSource, ...]
    flags: frozenset[Flag] = frozenset()

    def __post_init__(self) -> None:
        if self.hu.shape != self.geometry.shape or len(self.sources) != len(self.hu):
            raise BadGeometry(f"Voxels {self.hu.shape} do not fit the geometry {self.geometry.shape}.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkInput:
    """What the network sees. ``values`` (32, 256, 256) float32, zero outside the brain; ``geometry`` is its grid."""

    values: NDArray[np.float32]
    geometry: Geometry
    flags: frozenset[Flag] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """Which weights spoke: ``name`` and ``version`` of the card, ``sha256`` of model.safetensors (hex)."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """The network's answer, on the network's grid.

    ``probability`` (32, 256, 256) float32 in [0, 1]: haematoma. ``expansion`` in [0, 1]: of growth within 24 h; what
    it is worth the weights' card says.
    """

    probability: NDArray[np.float32]
    expansion: float
    geometry: Geometry
    model: ModelIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """Predicted probability in [0, 1] of growth >= 6 mL or >= 33 % within 24 h, and the operating threshold."""

    probability: float
    threshold: float
    trained_on_patients: bool


class Laterality(StrEnum):
    """On which side of the brain most of a haematoma lies, as the patient has it."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "both sides"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The extent of a haematoma as it is measured by hand, mm and mL.

    ``a_mm``: largest diameter in the slice of the largest area; ``b_mm``: largest diameter across it; ``c_mm``: height
    of the slices, counted by their share of the largest area. ``abc2_ml`` = A·B·C/2. ``diameter_mm``: the largest
    in-plane diameter of any slice, ``diameter_slice`` its index. Source: Kothari et al., Stroke 1996;27:1304.
    """

    a_mm: float
    b_mm: float
    c_mm: float
    diameter_mm: float
    diameter_slice: int

    @property
    def abc2_ml(self) -> float:
        """The volume by ABC/2, mL; it overestimates."""
        return self.a_mm * self.b_mm * self.c_mm / 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One connected part of a haematoma, ``number`` from 1 by falling volume.

    ``tracking_uid``: of the same part in an earlier scan; None: this is the first that is known of it.
    """

    number: int
    volume_ml: float
    hu_mean: float
    hu_sd: float
    tracking_uid: str | None = None
    tracking_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """Hours from the first symptom to the CT, and who says so."""

    hours: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Findings:
    """What is said about one series, measured on its own grid and its own HU.

    ``labels`` (Z, Y, X) uint16: the number of the lesion at each voxel, 0 outside.
    ``hu_mean``, ``hu_sd``, ``size`` and ``laterality`` are None when nothing was found. ``key_slice`` is the index of
    the slice with the largest area, of the middle slice when nothing was found. ``expansion`` is None unless the
    weights may speak of it. ``growth`` is None without an earlier scan.
    """

    labels: NDArray[np.uint16]
    lesions: tuple[Lesion, ...]
    volume_ml: float
    hu_mean: float | None
    hu_sd: float | None
    key_slice: int
    model: ModelIdentity
    size: Size | None = None
    laterality: Laterality | None = None
    markers: tuple[Marker, ...] = ()
    onset: Onset | None = None
    bat: Bat | None = None
    expansion: Expansion | None = None
    growth: Growth | None = None
    doubts: tuple[Doubt, ...] = ()

    @property
    def mask(self) -> NDArray[np.bool_]:
        """(Z, Y, X) bool: all lesions."""
        return self.labels > 0

    @property
    def present(self) -> bool:
        """Whether any haematoma was found."""
        return bool(self.volume_ml > 0)

    @property
    def flags(self) -> frozenset[Flag]:
        """The kinds of doubt."""
        return frozenset(doubt.flag for doubt in self.doubts)

    @property
    def undetermined(self) -> bool:
        """Whether nothing was found by a network that did not see a brain: that is no negative result."""
        return not self.present and Flag.QF_STRIP in self.flags

    @property
    def hu_cv(self) -> float | None:
        """Coefficient of variation of the HU: their standard deviation as a share of their mean."""
        return None if self.hu_mean is None or self.hu_sd is None or self.hu_mean <= 0 else self.hu_sd / self.hu_mean
