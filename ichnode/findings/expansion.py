"""When a haematoma counts as expanded: the definition that outcomes, phantoms and evaluation share."""

import math
from typing import Final

from ichnode.domain.errors import Rejected

EXPANSION_ML: Final = 6.0  # growth that counts at any size (Zhong 2021, supplement)
EXPANSION_SHARE: Final = 0.33  # growth as a share of the baseline that counts as well (same)
ROUNDING_ML: Final = 1e-9  # 26.3 to 32.3 mL is growth by 6 mL, though not in binary fractions


def expanded(baseline_ml: float, followup_ml: float) -> bool:
    """Whether growth from ``baseline_ml`` to ``followup_ml`` is expansion: at least 6 mL or at least 33 %.

    For a baseline of 0 mL a share means nothing: the 6 mL alone count. Raises Rejected for a volume that is negative
    or not a number. Source: Zhong et al., Stroke Vasc Neurol 2021;6:610, supplement.
    """
    for volume_ml in (baseline_ml, followup_ml):
        if not (math.isfinite(volume_ml) and volume_ml >= 0):
            raise Rejected(f"A haematoma cannot have {volume_ml} mL.")
    growth_ml = followup_ml - baseline_ml + ROUNDING_ML
    return growth_ml >= EXPANSION_ML or (baseline_ml > 0 and growth_ml >= EXPANSION_SHARE * baseline_ml)
