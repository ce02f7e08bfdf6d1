"""The BAT score of haematoma expansion: blend sign 1, any hypodensity 2, onset to CT below 2.5 h 2 points."""

import math
from dataclasses import dataclass
from typing import Final

from ichnode.domain.errors import Rejected
from ichnode.findings.markers import Marker

BLEND_POINTS: Final = 1  # this and all below: Morotti et al., Stroke 2018;49:1163
HYPODENSITY_POINTS: Final = 2
EARLY_POINTS: Final = 2
EARLY_H: Final = 2.5
HIGH_RISK: Final = 3


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


def bat_score(blend: Marker, hypodensity: Marker, onset_h: float | None) -> Bat:
    """Score of the two markers and of ``onset_h``, hours from onset to CT; None where it is not known.

    What is unknown counts as absent in ``low`` and as present in ``high``. Raises Rejected for a time that is negative
    or not a number. Source: Morotti et al., Stroke 2018;49:1163.
    """
    if onset_h is not None and not (math.isfinite(onset_h) and onset_h >= 0):
        raise Rejected(f"{onset_h} hours from onset to CT cannot be.", hint="Leave it blank where it is not known.")
    early = None if onset_h is None else onset_h < EARLY_H
    points = (
        (blend.present, BLEND_POINTS),
        (hypodensity.present, HYPODENSITY_POINTS),
        (early, EARLY_POINTS),
    )
    return Bat(
        low=sum(worth for present, worth in points if present),
        high=sum(worth for present, worth in points if present is not False),
    )
