"""Logistic regression on one quantity by maximum likelihood, and plain words where there is none."""

from dataclasses import dataclass
from enum import StrEnum
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from ichnode.evaluate.samples import Z_95, labelled

Floats = NDArray[np.float64]

STEPS: Final = 100  # Newton needs about 6; with its steps halved it always ends where a maximum exists
FLAT: Final = 1e10  # condition number of the information from which its inverse is rounding
CLOSE: Final = 1e-10  # change of a coefficient, in standard errors, at which it stops


class NoFit(StrEnum):
    """Why no coefficients exist."""

    ONE_OUTCOME = "all cases have the same outcome"
    CONSTANT = "all cases have the same value"
    SEPARATED = "the value separates the outcomes without overlap, so that the likelihood has no maximum"
    UNSTABLE = "the value separates the outcomes but for a hair, so that the likelihood's maximum cannot be computed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticFit:
    """log odds = ``intercept`` + ``slope`` × value, with standard errors; ``events`` of ``n`` cases had the outcome."""

    intercept: float
    slope: float
    intercept_se: float
    slope_se: float
    log_likelihood: float
    n: int
    events: int

    @property
    def slope_low(self) -> float:
        """Lower end of the slope's 95 % interval (Wald)."""
        return self.slope - Z_95 * self.slope_se

    @property
    def slope_high(self) -> float:
        """Upper end of the slope's 95 % interval (Wald)."""
        return self.slope + Z_95 * self.slope_se

    def probability(self, values: ArrayLike) -> Floats:
        """Probability (N,) in [0, 1] of the outcome at ``values`` (N,)."""
        return np.asarray(expit(self.intercept + self.slope * np.asarray(values, np.float64)), np.float64)


def fit_logistic(outcomes: ArrayLike, values: ArrayLike) -> LogisticFit | NoFit:
    """Fits log odds of ``outcomes`` (N,) bool = intercept + slope × ``values`` (N,); or why it cannot.

    Raises ValueError for samples that do not fit.
    """
    had, numbers = labelled(outcomes, values)
    if had.all() or not had.any():
        return NoFit.ONE_OUTCOME
    if np.ptp(numbers) == 0:
        return NoFit.CONSTANT
    if _separated(had, numbers):
        return NoFit.SEPARATED
    scale = float(numbers.std())  # one unit of every column, so that the matrices are well-conditioned
    middle = float(numbers.mean())
    design = np.column_stack([np.ones(len(numbers)), (numbers - middle) / scale])
    try:
        (level, slope), covariance, log_likelihood = _newton(design, had)
    except np.linalg.LinAlgError:
        return NoFit.UNSTABLE
    back = np.array([[1.0, -middle / scale], [0.0, 1 / scale]])
    errors = np.sqrt(np.diag(back @ covariance @ back.T))
    return LogisticFit(
        intercept=float(level - slope * middle / scale),
        slope=float(slope / scale),
        intercept_se=float(errors[0]),
        slope_se=float(errors[1]),
        log_likelihood=log_likelihood,
        n=len(had),
        events=int(had.sum()),
    )


def fit_level(outcomes: ArrayLike, log_odds: ArrayLike) -> tuple[float, float] | NoFit:
    """Shift of the predicted ``log_odds`` (N,) that fits ``outcomes`` (N,) bool best, and its standard error.

    That is the one with which as many events are predicted as came; it lies between the shifts that bring the highest
    and the lowest of ``log_odds`` to the prevalence. Raises ValueError for samples that do not fit.
    """
    had, offset = labelled(outcomes, log_odds)
    if had.all() or not had.any():
        return NoFit.ONE_OUTCOME
    prevalence = logit(had.mean())
    ends = prevalence - offset.max() - 1, prevalence - offset.min() + 1
    shift = float(brentq(lambda one: (expit(offset + one) - had).sum(), *ends))
    chance = expit(offset + shift)
    return shift, 1 / sqrt((chance * (1 - chance)).sum())


def _separated(had: NDArray[np.bool_], values: Floats) -> bool:
    """Whether a threshold splits the outcomes, cases on it aside: then, and only then, the slope runs to infinity.

    Source: Albert and Anderson, Biometrika 1984;71:1.
    """
    yes, no = values[had], values[~had]
    return bool(no.max() <= yes.min() or yes.max() <= no.min())


def _newton(design: Floats, had: NDArray[np.bool_]) -> tuple[Floats, Floats, float]:
    """Maximum of the likelihood by Newton's steps, halved while they fall: coefficients, covariance, maximum.

    Raises LinAlgError where the likelihood is too flat for it.
    """
    coefficients = np.zeros(design.shape[1])
    height = _log_likelihood(design @ coefficients, had)
    for _ in range(STEPS):
        chance = expit(design @ coefficients)
        information = design.T @ (design * (chance * (1 - chance))[:, None])
        step = np.linalg.solve(information, design.T @ (had - chance))
        while (higher := _log_likelihood(design @ (coefficients + step), had)) < height - 1e-12:
            step = step / 2
        coefficients, height = coefficients + step, higher
        if step @ information @ step < CLOSE**2:
            break
    else:
        raise np.linalg.LinAlgError("no maximum was reached")
    chance = expit(design @ coefficients)
    information = design.T @ (design * (chance * (1 - chance))[:, None])
    if np.linalg.cond(information) > FLAT:
        raise np.linalg.LinAlgError("the likelihood is flat")
    return coefficients, np.linalg.inv(information), height


def _log_likelihood(log_odds: Floats, had: NDArray[np.bool_]) -> float:
    return float(-np.logaddexp(0, np.where(had, -log_odds, log_odds)).sum())
