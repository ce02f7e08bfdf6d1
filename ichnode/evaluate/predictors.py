"""Expansion: the network, the volume model and the BAT score against what came of each haematoma."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from ichnode.domain.markers import HIGH_RISK
from ichnode.evaluate.calibration import Bin, Calibration, calibration, calibration_bins
from ichnode.evaluate.cases import Baseline, Measured
from ichnode.evaluate.logistic import LogisticFit, fit_logistic
from ichnode.evaluate.proportions import Diagnosis, confusion, diagnosis
from ichnode.evaluate.roc import Auc, AucDifference, Curve, auc, compare_aucs, roc_curve, youden

LEAST_FOR_A_FIT: Final = 10  # cases; a line through fewer is noise
MISSED: Final = 0.0  # the network's score of a bleed that it did not find: the node would say nothing of expansion

Scores = dict[str, float]  # case name -> score


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """One predictor on the cases where it has a score: positive from ``threshold`` on.

    ``auc`` and ``curve`` are None where all those cases have the same outcome; ``calibration`` and ``bins`` are of the
    probabilities that were said: none by BAT, and none by the network of a bleed that it missed.
    """

    label: str
    n: int
    threshold: float
    diagnosis: Diagnosis
    auc: Auc | None
    curve: Curve | None
    calibration: Calibration | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """AUC of ``first`` minus that of ``second`` on the ``n`` cases where both have a score."""

    first: str
    second: str
    n: int
    difference: AucDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """What can be said of expansion: ``known`` outcomes, ``expanded`` of them; ``notes`` say what was left out."""

    known: int
    expanded: int
    predictors: tuple[Predictor, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]


def expansion_of(cases: Sequence[Measured], train: Sequence[Baseline], network_threshold: float) -> Expansion | None:
    """Every predictor on the cases with a bleed and a known outcome; None where there is none.

    A bleed in which the network found nothing scores MISSED. ``train``: what the volume model is fitted on.
    ``network_threshold``: the operating point of the weights' card.
    """
    known = [case for case in cases if case.outcome is not None and case.bleeds]
    if not known:
        return None
    outcomes = {case.name: bool(case.outcome) for case in known}
    model, train_threshold, note = _volume_model(train)
    said = {case.name: case.expansion for case in known if case.expansion is not None}
    network = {case.name: said.get(case.name, MISSED) for case in known}
    used = [_Row("Network", network, network_threshold, chances=said)]
    if model is not None:
        chances = model.probability([case.labelled_ml for case in known])
        by_name = {case.name: float(chance) for case, chance in zip(known, chances, strict=True)}
        used.append(_Row("Volume model", by_name, train_threshold, chances=by_name))
    if bat := _bat_scores(known):
        used.append(_Row("BAT score", bat, HIGH_RISK, chances={}))
    return Expansion(
        known=len(known),
        expanded=sum(outcomes.values()),
        predictors=tuple(_predictor(row, outcomes) for row in used),
        comparisons=tuple(_comparisons(used, outcomes)),
        notes=(note, *_notes(len(known), missed=len(known) - len(said), vague=len(known) - len(bat))),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """A predictor's scores, what is positive, and those of the scores that are probabilities."""

    label: str
    scores: Scores
    threshold: float
    chances: Scores


def _volume_model(train: Sequence[Baseline]) -> tuple[LogisticFit | None, float, str]:
    """The model that the network is compared with, its threshold by Youden on what it was fitted on, and a sentence.

    log odds = intercept + slope × mL. The volume enters as it is, as in the paper: a logarithm would bend the
    probabilities, and leave the ranking and the AUC while the slope is positive. Source: Zhong 2021, supplement.
    """
    told = [(one.outcome, one.labelled_ml) for one in train if one.outcome is not None and one.labelled_ml > 0]
    if len(told) < LEAST_FOR_A_FIT:
        return None, 0.5, f"No volume model: the train split has {len(told)} bleeds with an outcome, too few to fit it."
    outcomes, volumes = [one for one, _ in told], [ml for _, ml in told]
    fit = fit_logistic(outcomes, volumes)
    if not isinstance(fit, LogisticFit):
        return None, 0.5, f"No volume model: of the train split's {len(told)} bleeds, {fit}."
    curve = roc_curve(outcomes, fit.probability(volumes))
    assert curve is not None  # a model was fitted, so both outcomes occur
    note = (
        f"Volume model: log odds = {fit.intercept:.2f} {fit.slope:+.3f} × mL "
        f"[{fit.slope_low:+.3f}, {fit.slope_high:+.3f}], fitted on {fit.n} bleeds of the train split, "
        f"{fit.events} of them expanded; positive from the threshold of the largest Youden index there."
    )
    return fit, youden(curve).threshold, note.replace(" -", " −").replace("[-", "[−")


def _bat_scores(cases: Sequence[Measured]) -> Scores:
    """BAT where it is a number; an interval (onset or a marker unknown) ranks nowhere."""
    told = {case.name: case.bat.score for case in cases if case.bat is not None}
    return {name: float(score) for name, score in told.items() if score is not None}


def _predictor(row: _Row, outcomes: dict[str, bool]) -> Predictor:
    had, values = [outcomes[name] for name in row.scores], list(row.scores.values())
    told = [outcomes[name] for name in row.chances], list(row.chances.values())
    return Predictor(
        label=row.label,
        n=len(values),
        threshold=row.threshold,
        diagnosis=diagnosis(confusion(had, [value >= row.threshold for value in values])),
        auc=auc(had, values),
        curve=roc_curve(had, values),
        calibration=calibration(*told),
        bins=calibration_bins(*told),
    )


def _comparisons(used: Sequence[_Row], outcomes: dict[str, bool]) -> list[Comparison]:
    made = []
    for first, second in combinations(used, 2):
        names = [name for name in first.scores if name in second.scores]
        had = [outcomes[name] for name in names]
        pair = ([row.scores[name] for name in names] for row in (first, second))
        difference = compare_aucs(had, *pair)
        if difference is not None:
            made.append(Comparison(first=first.label, second=second.label, n=len(names), difference=difference))
    return made


def _notes(known: int, *, missed: int, vague: int) -> Iterator[str]:
    if missed:
        yield f"Network: nothing was found in {missed} of {known}; they score 0, and calibration is without them."
    if vague:
        reason = "their score is an interval, since the onset or a marker is unknown"
        yield f"BAT score: {vague} of {known} left out, {reason}."
