"""Two sets of weights on the same cases, paired: which one is better, by how much, and how surely."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import stats

from ichnode.evaluate.cases import Excluded, Measured

SAME: Final = 0.005  # differences below this are a draw: Dice of 0.01, mL of 0.01 are what is printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """One figure of both sets on the ``n`` cases where both have it.

    ``difference``: median over the cases of second minus first. ``p``: two-sided, of Wilcoxon's signed-rank test; None
    where no case differs. ``first_wins`` and ``second_wins`` count the cases where one is better by SAME or more.
    """

    label: str
    unit: str
    n: int
    first: float
    second: float
    difference: float
    p: float | None
    first_wins: int
    second_wins: int


def compare(first: Sequence[Measured | Excluded], second: Sequence[Measured | Excluded]) -> tuple[Paired, ...]:
    """Dice, absolute volume error and HD95 of the bleeds, and volume found without a bleed, case by case.

    A figure that no case has with both sets is left out.
    """
    ours = {answer.name: answer for answer in first if isinstance(answer, Measured)}
    theirs = {answer.name: answer for answer in second if isinstance(answer, Measured)}
    pairs = [(ours[name], theirs[name]) for name in ours if name in theirs]
    rows = (
        _paired("Dice", "", [(a.dice, b.dice) for a, b in pairs], higher_is_better=True),
        _paired("volume error", "mL", [(_error_ml(a), _error_ml(b)) for a, b in pairs]),
        _paired("HD95", "mm", [(a.hd95_mm, b.hd95_mm) for a, b in pairs]),
        _paired("found without a bleed", "mL", [(_false_ml(a), _false_ml(b)) for a, b in pairs]),
    )
    return tuple(row for row in rows if row is not None)


def _paired(
    label: str, unit: str, values: Sequence[tuple[float | None, float | None]], *, higher_is_better: bool = False
) -> Paired | None:
    told = np.array([(a, b) for a, b in values if a is not None and b is not None], np.float64)
    if not told.size:
        return None
    difference = told[:, 1] - told[:, 0]
    gain = difference if higher_is_better else -difference
    return Paired(
        label=label,
        unit=unit,
        n=len(told),
        first=float(np.median(told[:, 0])),
        second=float(np.median(told[:, 1])),
        difference=float(np.median(difference)),
        p=float(stats.wilcoxon(difference).pvalue) if difference.any() else None,
        first_wins=int((gain <= -SAME).sum()),
        second_wins=int((gain >= SAME).sum()),
    )


def _error_ml(case: Measured) -> float | None:
    return abs(case.found_ml - case.labelled_ml) if case.bleeds else None


def _false_ml(case: Measured) -> float | None:
    return None if case.bleeds else case.found_ml
