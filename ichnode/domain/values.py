"""What travels from room to room while one series is analysed."""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.errors import BadGeometry
from ichnode.domain.geometry import Geometry


class Flag(StrEnum):
    """A doubt about the result that its reader must know. The name is the code in SR, the value what it means."""

    QF_THICK = "Slice thickness outside validated range"
    QF_UNEQUAL = "Non-uniform slice spacing"
    QF_TILT = "Gantry tilt"
    QF_MISSING = "Missing slices"
    QF_TOUCH = "Segmentation touches volume border"
    QF_STRIP = "Brain extraction doubtful, whole head used"
    QF_FIELD = "Brain exceeds network field of view"
    QF_HEADER = "Image header repaired"


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Findings:
    """What is said about one series, measured on its own grid and its own HU.

    ``mask`` (Z, Y, X) bool. ``hu_mean`` and ``hu_sd`` are None when nothing was found. ``key_slice`` is the index of
    the slice with the largest area, of the middle slice when nothing was found. ``expansion`` is None unless the
    weights may speak of it.
    """

    mask: NDArray[np.bool_]
    volume_ml: float
    hu_mean: float | None
    hu_sd: float | None
    key_slice: int
    components: int
    model: ModelIdentity
    expansion: Expansion | None = None
    flags: frozenset[Flag] = field(default_factory=frozenset)

    @property
    def present(self) -> bool:
        """Whether any haematoma was found."""
        return bool(self.volume_ml > 0)

    @property
    def undetermined(self) -> bool:
        """Whether nothing was found by a network that did not see a brain: that is no negative result."""
        return not self.present and Flag.QF_STRIP in self.flags
