"""The BAT score of haematoma expansion: blend sign 1, any hypodensity 2, onset to CT below 2.5 h 2 points."""

import math
from typing import Final

from ichnode.domain.errors import Rejected
from ichnode.domain.markers import Bat, Marker

BLEND_POINTS: Final = 1  # this and all below: Morotti et al., Stroke 2018;49:1163
HYPODENSITY_POINTS: Final = 2
EARLY_POINTS: Final = 2
EARLY_H: Final = 2.5


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
