"""ROC curves, the area under them, and whether two of them differ. None is "undefined"."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ichnode.evaluate.samples import Z_95, labelled

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """A ROC curve: a case is called positive when its score is at least ``threshold``.

    ``threshold`` (K,) descends from infinity through every score that occurs; ``false_positive_rate`` and
    ``sensitivity`` (K,) rise from 0 to 1.
    """

    false_positive_rate: Floats
    sensitivity: Floats
    threshold: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Auc:
    """Area under the curve, in [0, 1], with DeLong's variance and 95 % interval.

    The interval is the plain one, value ± 1.96 standard errors, clipped to [0, 1], as R's pROC gives it. ``low`` and
    ``high`` are None where the variance is 0 or has no estimate (perfect scores, one case of a kind): no sample is
    that certain.
    """

    value: float
    variance: float | None
    low: float | None
    high: float | None
    positives: int
    negatives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AucDifference:
    """First AUC minus second on the same cases: 95 % interval, ``z`` and two-sided ``p`` of DeLong's paired test.

    Curves that rank alike: difference 0, p = 1. ``low`` to ``p`` are None where they differ with no variance at all.
    """

    value: float
    low: float | None
    high: float | None
    z: float | None
    p: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """One point of a curve: positive from ``threshold`` on; ``index`` = sensitivity + specificity - 1 (Youden)."""

    threshold: float
    sensitivity: float
    specificity: float
    index: float


def roc_curve(outcomes: ArrayLike, scores: ArrayLike) -> Curve | None:
    """Curve of ``scores`` (N,), higher meaning likelier, against ``outcomes`` (N,) bool; equal scores are one step.

    None where all outcomes are the same. Raises ValueError for samples that do not fit.
    """
    had, values = labelled(outcomes, scores)
    if had.all() or not had.any():
        return None
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    true = np.cumsum(had[order])[ends]
    false = ends + 1 - true
    return Curve(
        false_positive_rate=np.append(0.0, false / false[-1]),
        sensitivity=np.append(0.0, true / true[-1]),
        threshold=np.append(np.inf, ordered[ends]),
    )


def auc(outcomes: ArrayLike, scores: ArrayLike) -> Auc | None:
    """Area under the ROC curve with DeLong's interval; ties count one half. None where all outcomes are the same.

    Raises ValueError for samples that do not fit. Source: DeLong et al., Biometrics 1988;44:837, by the ranks of Sun
    and Xu, IEEE Signal Process Lett 2014;21:1389.
    """
    placed = _placements(*labelled(outcomes, scores))
    if placed is None:
        return None
    of_positives, of_negatives = placed
    value = float(of_positives.mean())
    variance = _variance(of_positives, of_negatives)
    low, high = _interval(value, variance, lowest=0.0)
    return Auc(
        value=value,
        variance=variance,
        low=low,
        high=high,
        positives=len(of_positives),
        negatives=len(of_negatives),
    )


def compare_aucs(outcomes: ArrayLike, first: ArrayLike, second: ArrayLike) -> AucDifference | None:
    """DeLong's paired test of two scores of the same cases. None where all outcomes are the same.

    Raises ValueError for samples that do not fit. Source: DeLong et al., Biometrics 1988;44:837.
    """
    one = _placements(*labelled(outcomes, first))
    other = _placements(*labelled(outcomes, second))
    if one is None or other is None:
        return None
    of_positives, of_negatives = one[0] - other[0], one[1] - other[1]
    value = float(of_positives.mean())
    if not of_positives.any() and not of_negatives.any():
        return AucDifference(value=0.0, low=0.0, high=0.0, z=0.0, p=1.0)
    variance = _variance(of_positives, of_negatives)
    low, high = _interval(value, variance, lowest=-1.0)
    z = value / sqrt(variance) if variance else None
    p = float(2 * stats.norm.sf(abs(z))) if z is not None else None
    return AucDifference(value=value, low=low, high=high, z=z, p=p)


def youden(curve: Curve) -> OperatingPoint:
    """Point of ``curve`` with the largest sensitivity + specificity - 1; of equal ones the most specific."""
    index = curve.sensitivity - curve.false_positive_rate
    best = int(np.argmax(np.round(index, 12)))  # equal points differ in the last bit
    return OperatingPoint(
        threshold=float(curve.threshold[best]),
        sensitivity=float(curve.sensitivity[best]),
        specificity=float(1 - curve.false_positive_rate[best]),
        index=float(index[best]),
    )


def _placements(had: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats] | None:
    """Of each positive the share of negatives below it, of each negative the share of positives above it."""
    positives, negatives = scores[had], scores[~had]
    if not (len(positives) and len(negatives)):
        return None
    ranks = stats.rankdata(np.concatenate([positives, negatives]))
    among_positives, among_negatives = ranks[: len(positives)], ranks[len(positives) :]
    of_positives = (among_positives - stats.rankdata(positives)) / len(negatives)
    of_negatives = 1 - (among_negatives - stats.rankdata(negatives)) / len(positives)
    return of_positives, of_negatives


def _variance(of_positives: Floats, of_negatives: Floats) -> float | None:
    """Variance of the mean placement; None where one case alone says nothing of the spread."""
    if min(len(of_positives), len(of_negatives)) < 2:
        return None
    terms = (np.var(placed, ddof=1) / len(placed) for placed in (of_positives, of_negatives))
    total = float(sum(terms))
    return total if total > np.finfo(np.float64).eps ** 2 else 0.0  # equal placements differ in the last bit


def _interval(value: float, variance: float | None, *, lowest: float) -> tuple[float | None, float | None]:
    if not variance:
        return None, None
    half = Z_95 * sqrt(variance)
    return max(lowest, value - half), min(1.0, value + half)
