"""An evaluation as one value: who was measured on what, every case, and what they say together."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from ichnode.cohort.table import Card as CohortCard
from ichnode.evaluate.cases import Baseline, Excluded, Measured
from ichnode.evaluate.predictors import Expansion, expansion_of
from ichnode.evaluate.summary import Bleedless, Segmentation, bleedless_of, segmentation_of
from ichnode.model.weights import Card

PICTURES: Final = ("picture", "curve")  # of a case, of a predictor: for the page, not for a table


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortResult:
    """One cohort's split, measured. ``unfitted``: cases that the volume model lacks, since they could not be read."""

    card: CohortCard
    split: str
    measured: tuple[Measured, ...]
    excluded: tuple[Excluded, ...]
    unfitted: tuple[Excluded, ...]
    segmentation: Segmentation | None
    bleedless: Bleedless | None
    expansion: Expansion | None

    @property
    def bleeding(self) -> int:
        """How many measured cases have a labelled bleed."""
        return sum(case.bleeds for case in self.measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one call of ``ichnode evaluate`` measured. ``at``: when; ``runtime``: what executed the network."""

    card: Card
    at: datetime
    version: str
    runtime: str
    command: str
    cohorts: tuple[CohortResult, ...]


def cohort_result(
    card: CohortCard,
    split: str,
    answers: Sequence[Measured | Excluded],
    train: Sequence[Baseline | Excluded],
    network_threshold: float,
) -> CohortResult:
    """Sums up the ``answers`` of one split; ``train`` is what the volume model is fitted on."""
    measured = tuple(answer for answer in answers if isinstance(answer, Measured))
    return CohortResult(
        card=card,
        split=split,
        measured=measured,
        excluded=tuple(answer for answer in answers if isinstance(answer, Excluded)),
        unfitted=tuple(answer for answer in train if isinstance(answer, Excluded)),
        segmentation=segmentation_of(measured),
        bleedless=bleedless_of(measured),
        expansion=expansion_of(measured, [one for one in train if isinstance(one, Baseline)], network_threshold),
    )


def as_json(evaluation: Evaluation) -> str:
    """All figures and every case as JSON text; pictures and curves are left to the page. Undefined is null."""
    value = {
        "weights": evaluation.card.model_dump(),
        "at": evaluation.at.isoformat(timespec="seconds"),
        "ichnode": evaluation.version,
        "runtime": evaluation.runtime,
        "command": evaluation.command,
        "cohorts": [_cohort_as_json(one) for one in evaluation.cohorts],
    }
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def eval_metrics(evaluation: Evaluation) -> dict[str, str | float]:
    """Key figures for the weights' card; those of every cohort but the first carry its name in front.

    A cohort without a measured case has none; without any, there are none at all.
    """
    metrics: dict[str, str | float] = {}
    for place, one in enumerate(evaluation.cohorts):
        if not one.measured:
            continue
        prefix = f"{slug(one.card.name)}_" if place else ""
        data = f"{one.card.name}, {one.split}, {len(one.measured)} cases, {len(one.excluded)} excluded, native grid"
        metrics |= {f"{prefix}{key}": value for key, value in {"data": data, **_figures(one)}.items()}
    return {"command": evaluation.command, **metrics} if metrics else {}


def _figures(one: CohortResult) -> dict[str, str | float]:
    figures: dict[str, str | float] = {}
    if one.segmentation:
        seen = one.segmentation
        figures |= {
            "dice_median": round(seen.dice.median, 3),
            "dice_lower_quartile": round(seen.dice.lower_quartile, 3),
            "dice_upper_quartile": round(seen.dice.upper_quartile, 3),
            "dice_lowest": round(seen.dice.minimum, 3),
            "volume_error_median_ml": round(seen.abs_error_ml.median, 2),
        }
        if seen.agreement:
            figures |= {
                "volume_difference_mean_ml": round(seen.agreement.bias.value, 2),
                "volume_difference_sd_ml": round(seen.agreement.sd, 2),
            }
        if seen.hd95_mm:
            figures["hd95_median_mm"] = round(seen.hd95_mm.median, 1)
        if seen.detected_from_1ml:
            figures["detected_from_1ml"] = f"{seen.detected_from_1ml.hits} of {seen.detected_from_1ml.of}"
    if one.bleedless:
        figures["found_without_bleed_median_ml"] = round(one.bleedless.found_ml.median, 2)
        figures["found_without_bleed_highest_ml"] = round(one.bleedless.found_ml.maximum, 2)
    for predictor in one.expansion.predictors if one.expansion else ():
        if predictor.auc:
            figures[f"expansion_auc_{slug(predictor.label)}"] = round(predictor.auc.value, 3)
    return figures


def _cohort_as_json(one: CohortResult) -> dict[str, Any]:
    value: dict[str, Any] = {
        "cohort": one.card.model_dump(),
        "split": one.split,
        "n": len(one.measured),
        "segmentation": asdict(one.segmentation) if one.segmentation else None,
        "bleedless": asdict(one.bleedless) if one.bleedless else None,
        "expansion": asdict(one.expansion) if one.expansion else None,
        "excluded": [asdict(case) for case in one.excluded],
        "unfitted": [asdict(case) for case in one.unfitted],
        "cases": [asdict(case) for case in one.measured],
    }
    return {key: _without(part, PICTURES) for key, part in value.items()}


def _without(value: Any, keys: Sequence[str]) -> Any:
    """``value`` without ``keys``, at any depth; what is infinite has no word in JSON and becomes null."""
    if isinstance(value, dict):
        return {key: _without(inner, keys) for key, inner in value.items() if key not in keys}
    if isinstance(value, (list, tuple)):
        return [_without(inner, keys) for inner in value]
    return None if value == float("inf") else value


def slug(name: str) -> str:
    """``name`` as part of a key or a file's name: small letters and digits, joined by underscores."""
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
