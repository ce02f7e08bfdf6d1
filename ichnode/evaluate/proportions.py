"""Proportions with Wilson intervals, and what a table of four cells says of a test. None is "undefined"."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from ichnode.evaluate.samples import Z_95, labelled


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """``hits`` of ``of``: ``value`` in [0, 1] and its 95 % interval ``low``-``high`` by Wilson."""

    hits: int
    of: int
    value: float
    low: float
    high: float


def proportion(hits: int, of: int) -> Proportion | None:
    """``hits`` of ``of`` with the Wilson 95 % interval; None for none of none.

    The interval never leaves [0, 1] and has a width at 0 and 1 too, which the plain one has not. Raises ValueError
    for more hits than there are, or fewer than none. Source: Wilson, J Am Stat Assoc 1927;22:209.
    """
    if not 0 <= hits <= of:
        raise ValueError(f"{hits} of {of} is no proportion.")
    if of == 0:
        return None
    share, square = hits / of, Z_95**2 / of
    centre = (share + square / 2) / (1 + square)
    half = Z_95 * sqrt(share * (1 - share) / of + square / (4 * of)) / (1 + square)
    low = 0.0 if hits == 0 else centre - half  # exact at the ends, where rounding would leave 1e-18
    high = 1.0 if hits == of else centre + half
    return Proportion(hits=hits, of=of, value=share, low=low, high=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts of a test against the outcome: ``tp`` and ``fn`` had it, ``fp`` and ``tn`` had not."""

    tp: int
    fp: int
    fn: int
    tn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the counts say. None is undefined: the cell that it would be divided by is empty.

    ``prevalence`` to ``npv`` carry Wilson intervals. ``lr_positive`` = sens / (1 - spec) and ``lr_negative`` =
    (1 - sens) / spec are the plain likelihood ratios; the weighted ones are multiplied by the odds of the outcome,
    which leaves TP/FP and FN/TN. Source: Zhong 2021, supplement (``design/model.md``, Evaluation).
    """

    counts: Confusion
    prevalence: Proportion | None
    sensitivity: Proportion | None
    specificity: Proportion | None
    ppv: Proportion | None
    npv: Proportion | None
    lr_positive: float | None
    lr_negative: float | None
    lr_positive_weighted: float | None
    lr_negative_weighted: float | None


def confusion(outcomes: ArrayLike, positive: ArrayLike) -> Confusion:
    """Counts of ``positive`` (N,) bool against ``outcomes`` (N,) bool. Raises ValueError for unequal lengths."""
    had, calls = labelled(outcomes, positive)
    called = calls > 0
    cells = (had & called, ~had & called, had & ~called, ~had & ~called)
    tp, fp, fn, tn = (int(np.count_nonzero(cell)) for cell in cells)
    return Confusion(tp=tp, fp=fp, fn=fn, tn=tn)


def diagnosis(counts: Confusion) -> Diagnosis:
    """Sensitivity, specificity, predictive values and likelihood ratios of ``counts``."""
    tp, fp, fn, tn = counts.tp, counts.fp, counts.fn, counts.tn
    both = tp + fn > 0 and fp + tn > 0  # without both outcomes a ratio of them says nothing
    return Diagnosis(
        counts=counts,
        prevalence=proportion(tp + fn, tp + fp + fn + tn),
        sensitivity=proportion(tp, tp + fn),
        specificity=proportion(tn, fp + tn),
        ppv=proportion(tp, tp + fp),
        npv=proportion(tn, fn + tn),
        lr_positive=tp / (tp + fn) / (fp / (fp + tn)) if both and fp else None,
        lr_negative=fn / (tp + fn) / (tn / (fp + tn)) if both and tn else None,
        lr_positive_weighted=tp / fp if both and fp else None,
        lr_negative_weighted=fn / tn if both and tn else None,
    )
