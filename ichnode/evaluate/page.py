"""An evaluation as one HTML page that needs nothing else: no network, no script, no second file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ichnode.evaluate.cases import Measured
from ichnode.evaluate.figures import bland_altman_figure, calibration_figure, dice_figure, roc_figure
from ichnode.evaluate.predictors import Expansion
from ichnode.evaluate.published import PUBLISHED
from ichnode.evaluate.result import CohortResult, Evaluation
from ichnode.evaluate.summary import FALSE_ML

ALL_SHOWN: Final = 22  # cases up to which every one is shown: of so few, the groups below would share some
BEST, MEDIAN, WORST = 4, 4, 10  # the worst teach most
NOTHING: Final = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure of the page and what stands below it."""

    svg: Markup
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Cases that are shown in pictures, under one title."""

    title: str
    cases: tuple[Measured, ...]


def render(evaluation: Evaluation) -> str:
    """The page. The same evaluation gives the same text."""
    environment = Environment(
        loader=PackageLoader("ichnode.evaluate"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"num": _number, "percent": _percent, "pvalue": _p_value}
    return environment.get_template("evaluation.html").render(
        card=evaluation.card,
        at=f"{evaluation.at:%Y-%m-%d %H:%M}",
        version=evaluation.version,
        runtime=evaluation.runtime,
        command=evaluation.command,
        published=PUBLISHED,
        false_ml=FALSE_ML,
        cohorts=[(one, _pictures(one), _drawings(one)) for one in evaluation.cohorts],
    )


def contact_sheet(cases: Sequence[Measured]) -> tuple[Shown, ...]:
    """The cases with a bleed to show: all when few, else best, median and worst by Dice, none twice."""
    ranked = sorted((case for case in cases if case.dice is not None), key=lambda case: -(case.dice or 0))
    if not ranked:
        return ()
    if len(ranked) <= ALL_SHOWN:
        return (Shown(title="All cases, best first", cases=tuple(ranked)),)
    middle = (len(ranked) - MEDIAN) // 2
    return (
        Shown(title="Best", cases=tuple(ranked[:BEST])),
        Shown(title="Median", cases=tuple(ranked[middle : middle + MEDIAN])),
        Shown(title="Worst, the worst last", cases=tuple(ranked[-WORST:])),
    )


def _pictures(one: CohortResult) -> dict[str, tuple[Shown, ...] | tuple[Measured, ...]]:
    false = sorted((case for case in one.measured if not case.bleeds and case.found_ml), key=lambda c: -c.found_ml)
    return {"bleeds": contact_sheet(one.measured), "false_alarms": tuple(false[:WORST])}


def _drawings(one: CohortResult) -> dict[str, list[Drawing]]:
    return {"segmentation": _of_segmentation(one), "expansion": _of_expansion(one.expansion) if one.expansion else []}


def _of_segmentation(one: CohortResult) -> list[Drawing]:
    cases = [case for case in one.measured if case.dice is not None]
    if not cases:
        return []
    labelled, found, dice = (
        np.array([getattr(case, field) for case in cases], np.float64) for field in ("labelled_ml", "found_ml", "dice")
    )
    drawn = [Drawing(svg=Markup(dice_figure(labelled, dice)), caption="Dice of each case over its volume.")]
    if one.segmentation and (agreement := one.segmentation.agreement):
        limits = agreement.lower_limit.value, agreement.upper_limit.value
        svg = bland_altman_figure(found, labelled, agreement.bias.value, limits)
        caption = "Bland-Altman: bias (solid) and 95 % limits of agreement (dashed)."
        drawn.append(Drawing(svg=Markup(svg), caption=caption))
    return drawn


def _of_expansion(expansion: Expansion) -> list[Drawing]:
    drawn = []
    curves = [(_legend(p.label, p.auc.value), p.curve) for p in expansion.predictors if p.curve and p.auc]
    if curves:
        caption = "ROC curves, each on the cases where that predictor has a score."
        drawn.append(Drawing(svg=Markup(roc_figure(curves)), caption=caption))
    bins = [(p.label, p.bins) for p in expansion.predictors if p.bins]
    if bins:
        caption = "Calibration in groups of about equal counts, with Wilson intervals."
        drawn.append(Drawing(svg=Markup(calibration_figure(bins)), caption=caption))
    return drawn


def _legend(label: str, area: float) -> str:
    return f"{label}, AUC {area:.2f}"


def _number(value: float | None, digits: int = 2) -> str:
    """With a true minus, and no "-0.00"."""
    if value is None:
        return NOTHING
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _p_value(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
