"""What is read from a haematoma on NCCT: the markers of expansion, each with its evidence, and the BAT score."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HIGH_RISK: Final = 3  # Morotti et al., Stroke 2018;49:1163


class MarkerName(StrEnum):
    """The markers that can be read. The value is the name in words."""

    HYPODENSITY = "hypodensity"
    BLACK_HOLE = "black hole"
    SWIRL = "swirl"
    BLEND = "blend"
    FLUID_LEVEL = "fluid level"
    IRREGULAR = "irregular shape"
    HETEROGENEOUS = "heterogeneous density"
    ISLAND = "island"
    SATELLITE = "satellite"


Contour = tuple[
    tuple[float, float], ...
]  # (row, column) in pixels of the native slice; pixel centres are whole numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """Where a marker is seen: slice, centre in the patient (LPS, mm), area, and HU by which it is darker.

    ``contrast_hu`` is None for a marker of shape. ``contour`` is a closed line around the place in its slice.
    """

    slice_index: int
    position_mm: tuple[float, float, float]
    area_mm2: float
    contrast_hu: float | None = None
    contour: Contour = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """Whether a marker is ``present`` (None: cannot be told), why, and the places that show it, largest first."""

    name: MarkerName
    present: bool | None
    reason: str
    foci: tuple[Focus, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bat:
    """A BAT score of 0 to 5: what it may be, from ``low`` to ``high``, which differ while something is unknown."""

    low: int
    high: int

    @property
    def score(self) -> int | None:
        """The score; None while it is not known."""
        return self.low if self.low == self.high else None

    @property
    def high_risk(self) -> bool | None:
        """Whether the score is 3 or more; None while that is not known."""
        if self.low >= HIGH_RISK:
            return True
        return False if self.high < HIGH_RISK else None

    @property
    def text(self) -> str:
        """The score as a reader may see it: a number, or the interval and that it is undetermined."""
        return f"{self.low}" if self.score is not None else f"{self.low} to {self.high}, undetermined"
