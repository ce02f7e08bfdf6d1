"""Whether a probability means what it says. None is "undefined"."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit

from ichnode.evaluate.agreement import Estimate
from ichnode.evaluate.logistic import LogisticFit, NoFit, fit_level, fit_logistic
from ichnode.evaluate.proportions import Proportion, proportion
from ichnode.evaluate.samples import Z_95, labelled

BINS: Final = 5  # equal counts; ten leave too few events a bin in cohorts of some dozens
SURE: Final = 1e-6  # probabilities nearer to 0 or 1 count as this near: log odds of a plain 0 are infinite


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Cases with like probabilities: ``predicted`` mean in [``low``, ``high``], and what was ``observed``."""

    low: float
    high: float
    predicted: float
    observed: Proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Calibration of ``n`` probabilities against their outcomes.

    ``brier``: mean squared error; ``brier_of_prevalence``: that of saying the prevalence to everybody. ``slope`` (1 is
    right, below 1 too extreme): of the log odds; ``level`` (0 is right, below 0 too high): their shift with the slope
    held at 1, "calibration in the large". ``expected_over_observed``: predicted events over those that came.
    Source: Van Calster et al., BMC Med 2019;17:230.
    """

    n: int
    brier: float
    brier_of_prevalence: float
    slope: Estimate | None
    level: Estimate | None
    expected_over_observed: float | None


def calibration(outcomes: ArrayLike, probabilities: ArrayLike) -> Calibration | None:
    """Calibration of ``probabilities`` (N,) in [0, 1] against ``outcomes`` (N,) bool; None for no cases.

    Raises ValueError for samples that do not fit and for values outside [0, 1].
    """
    had, chances = labelled(outcomes, probabilities)
    _check_chances(chances)
    if not had.size:
        return None
    log_odds = logit(np.clip(chances, SURE, 1 - SURE))
    sloped, shifted = fit_logistic(had, log_odds), fit_level(had, log_odds)
    return Calibration(
        n=len(had),
        brier=float(np.mean((chances - had) ** 2)),
        brier_of_prevalence=float(had.mean() * (1 - had.mean())),
        slope=_estimate(sloped.slope, sloped.slope_se) if isinstance(sloped, LogisticFit) else None,
        level=None if isinstance(shifted, NoFit) else _estimate(*shifted),
        expected_over_observed=float(chances.sum() / had.sum()) if had.any() else None,
    )


def calibration_bins(outcomes: ArrayLike, probabilities: ArrayLike, bins: int = BINS) -> tuple[Bin, ...]:
    """``probabilities`` (N,) in at most ``bins`` groups of about equal counts, ascending; equal ones stay together.

    Raises ValueError for samples that do not fit and for values outside [0, 1].
    """
    had, chances = labelled(outcomes, probabilities)
    _check_chances(chances)
    if not had.size:
        return ()
    edges = np.quantile(chances, np.arange(1, bins) / bins)
    group = np.searchsorted(edges, chances, side="left")
    made = []
    for chosen in (group == each for each in np.unique(group)):
        observed = proportion(int(had[chosen].sum()), int(chosen.sum()))
        if observed is not None:
            low, high, mean = chances[chosen].min(), chances[chosen].max(), chances[chosen].mean()
            made.append(Bin(low=float(low), high=float(high), predicted=float(mean), observed=observed))
    return tuple(made)


def _estimate(value: float, error: float) -> Estimate:
    return Estimate(value=value, low=value - Z_95 * error, high=value + Z_95 * error)


def _check_chances(chances: NDArray[np.float64]) -> None:
    if chances.size and (chances.min() < 0 or chances.max() > 1):
        raise ValueError("A probability lies outside 0 to 1.")
