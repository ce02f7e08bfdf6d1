"""Expansion: the network, the volume model and the BAT score against what came of each haematoma."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from ichnode.evaluate.calibration import Bin, Calibration, calibration, calibration_bins
from ichnode.evaluate.cases import Baseline, Measured
from ichnode.evaluate.proportions import Diagnosis, confusion, diagnosis
from ichnode.evaluate.roc import Auc, AucDifference, Curve, auc, compare_aucs, roc_curve, youden
from ichnode.evaluate.volume_model import VolumeModel, fit_volume_model
from ichnode.findings.bat import HIGH_RISK

LEAST_FOR_A_FIT: Final = 10  # cases; a line through fewer is noise

Scores = dict[str, float]  # case name -> score


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """One predictor on the cases where it has a score: positive from ``threshold`` on.

    ``auc`` and ``curve`` are None where all those cases have the same outcome; ``calibration`` and ``bins`` stand only
    for scores that are probabilities.
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

    ``train``: what the volume model is fitted on. ``network_threshold``: the operating point of the weights' card.
    """
    known = [case for case in cases if case.outcome is not None and case.bleeds]
    if not known:
        return None
    outcomes = {case.name: bool(case.outcome) for case in known}
    model, train_threshold, note = _volume_model(train)
    scores: list[tuple[str, Scores, float, bool]] = [
        ("Network", {c.name: c.expansion for c in known if c.expansion is not None}, network_threshold, True)
    ]
    if model is not None:
        chances = model.probability([case.labelled_ml for case in known])
        by_name = {case.name: float(chance) for case, chance in zip(known, chances, strict=True)}
        scores.append(("Volume model", by_name, train_threshold, True))
    scores.append(("BAT score", _bat_scores(known), HIGH_RISK, False))
    used = [row for row in scores if row[1]]
    return Expansion(
        known=len(known),
        expanded=sum(outcomes.values()),
        predictors=tuple(_predictor(*row, outcomes=outcomes) for row in used),
        comparisons=tuple(_comparisons(used, outcomes)),
        notes=(note, *_left_out(known, scores)),
    )


def _volume_model(train: Sequence[Baseline]) -> tuple[VolumeModel | None, float, str]:
    """The model, its threshold by Youden on the cases that it was fitted on, and a sentence on it."""
    told = [(one.outcome, one.labelled_ml) for one in train if one.outcome is not None and one.labelled_ml > 0]
    if len(told) < LEAST_FOR_A_FIT:
        return None, 0.5, f"No volume model: the train split has {len(told)} bleeds with an outcome, too few to fit it."
    outcomes, volumes = [one for one, _ in told], [ml for _, ml in told]
    model = fit_volume_model(outcomes, volumes)
    if not isinstance(model, VolumeModel):
        return None, 0.5, f"No volume model: of the train split's {len(told)} bleeds, {model}."
    curve = roc_curve(outcomes, model.probability(volumes))
    assert curve is not None  # a model was fitted, so both outcomes occur
    fit = model.fit
    note = (
        f"Volume model: log odds = {fit.intercept:.2f} {fit.slope:+.3f} × mL "
        f"[{fit.slope_low:+.3f}, {fit.slope_high:+.3f}], fitted on {fit.n} bleeds of the train split, "
        f"{fit.events} of them expanded; positive from the threshold of the largest Youden index there."
    )
    return model, youden(curve).threshold, note.replace(" -", " −").replace("[-", "[−")


def _bat_scores(cases: Sequence[Measured]) -> Scores:
    """BAT where it is a number; an interval (onset or a marker unknown) ranks nowhere."""
    told = {case.name: case.bat.score for case in cases if case.bat is not None}
    return {name: float(score) for name, score in told.items() if score is not None}


def _predictor(
    label: str, scores: Scores, threshold: float, is_probability: bool, *, outcomes: dict[str, bool]
) -> Predictor:
    had, values = [outcomes[name] for name in scores], list(scores.values())
    return Predictor(
        label=label,
        n=len(values),
        threshold=threshold,
        diagnosis=diagnosis(confusion(had, [value >= threshold for value in values])),
        auc=auc(had, values),
        curve=roc_curve(had, values),
        calibration=calibration(had, values) if is_probability else None,
        bins=calibration_bins(had, values) if is_probability else (),
    )


def _comparisons(used: Sequence[tuple[str, Scores, float, bool]], outcomes: dict[str, bool]) -> list[Comparison]:
    made = []
    for (first, ours, *_), (second, theirs, *_) in combinations(used, 2):
        names = [name for name in ours if name in theirs]
        had = [outcomes[name] for name in names]
        difference = compare_aucs(had, [ours[name] for name in names], [theirs[name] for name in names])
        if difference is not None:
            made.append(Comparison(first=first, second=second, n=len(names), difference=difference))
    return made


def _left_out(known: Sequence[Measured], scores: Sequence[tuple[str, Scores, float, bool]]) -> list[str]:
    reasons = {
        "Network": "nothing was found in them",
        "BAT score": "their score is an interval, since the onset is unknown",
    }
    missing = {label: len(known) - len(by_name) for label, by_name, *_ in scores}
    return [f"{label}: {n} of {len(known)} left out, {reasons[label]}." for label, n in missing.items() if n]
