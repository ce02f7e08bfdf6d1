"""``ichnode outcomes``: what was predicted beside what came, on this site's own patients."""

import csv
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Annotated, Any, Final

import typer

from ichnode.cli.context import OUT, AsJson, Exit, options, print_json, queue
from ichnode.domain.errors import ConfigError
from ichnode.queue.results import Outcome
from ichnode.queue.results import outcomes as outcomes_of

DEFINED_H: Final = 24.0  # after which the definition asks whether a haematoma has grown
COLUMNS: Final = tuple(Outcome.__dataclass_fields__)


def outcomes(
    context: typer.Context,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, a pair of studies a row.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tabulate predicted against observed expansion, a pair of studies a row; then AUC and calibration.

    Of several follow-ups of one study the figures count the one nearest to 24 hours."""
    if as_csv and as_json:
        raise ConfigError("Choose --csv or --json.", hint="One call prints one form.")
    with queue(options(context).load()) as db:
        found = outcomes_of(db)
    if as_csv:
        rows = csv.DictWriter(sys.stdout, COLUMNS)
        rows.writeheader()
        rows.writerows(asdict(each) for each in found)
    elif as_json:
        print_json({"pairs": [asdict(each) for each in found], "figures": list(_figures(found))})
    else:
        _print(found)
    raise typer.Exit(Exit.OK)


def counted(found: Sequence[Outcome]) -> list[Outcome]:
    """One follow-up a baseline, the one nearest to 24 hours: two of one patient are not two patients."""
    by_baseline = groupby(sorted(found, key=lambda each: each.baseline_study), key=lambda each: each.baseline_study)
    return [min(group, key=lambda each: abs(each.hours - DEFINED_H)) for _, group in by_baseline]


def _figures(found: Sequence[Outcome]) -> Iterator[dict[str, Any]]:
    """Figures of each set of weights that predicted; None where there is no such figure yet."""
    from ichnode.evaluate.calibration import calibration
    from ichnode.evaluate.roc import auc

    told = [each for each in counted(found) if each.probability is not None]  # others' weights may not speak of it
    for weights, group in groupby(sorted(told, key=lambda each: each.weights), key=lambda each: each.weights):
        pairs = list(group)
        came, chances = [each.expanded for each in pairs], [each.probability or 0.0 for each in pairs]
        area, fit = auc(came, chances), calibration(came, chances)
        yield {
            "weights": weights,
            "trained_on_patients": all(each.trained for each in pairs),
            "n": len(pairs),
            "expanded": sum(came),
            "auc": asdict(area) if area is not None else None,
            "calibration": asdict(fit) if fit is not None else None,
        }


def _print(found: Sequence[Outcome]) -> None:
    for each in found:  # two UIDs fill a line: a table would cut them, and a cut UID names no study
        OUT.print(f"{each.baseline_study} -> {each.followup_study}", soft_wrap=True)
        OUT.print(f"    {_told(each)}", markup=False, soft_wrap=True)
    one = counted(found)
    share = f", {sum(each.expanded for each in one)} expanded" if one else ""
    OUT.print(f"{len(found)} follow-ups of {len(one)} studies{share}")
    for figures in _figures(found):
        OUT.print(_sentence(figures), markup=False, soft_wrap=True)


def _told(each: Outcome) -> str:
    """One pair of studies on a line: what was there, what came, what had been predicted."""
    percent = "" if each.growth_percent is None else f" ({each.growth_percent:+.0f} %)"
    grown = "expanded" if each.expanded else "not expanded"
    was = f"{each.baseline_ml:.1f} mL, after {each.hours:.1f} h {each.growth_ml:+.1f} mL{percent}: {grown}"
    return f"{was}; predicted {_predicted(each)} by {each.weights}"


def _predicted(each: Outcome) -> str:
    if each.probability is None:
        return "nothing"
    return f"{each.probability:.0%}" + ("" if each.trained else " (untrained)")


def _sentence(figures: dict[str, Any]) -> str:
    """The figures of one set of weights on a line."""
    words = [f"{figures['weights']}: n = {figures['n']}, {figures['expanded']} expanded"]
    area, fit = figures["auc"], figures["calibration"]
    if area is None:
        words.append("no AUC while all came out alike")
    else:
        interval = f" (95 % {area['low']:.2f} to {area['high']:.2f})" if area["low"] is not None else ""
        words.append(f"AUC {area['value']:.2f}{interval}")
    if fit is not None:
        words.append(f"Brier {fit['brier']:.3f} (prevalence alone {fit['brier_of_prevalence']:.3f})")
        if fit["slope"] is not None:
            words.append(f"calibration slope {fit['slope']['value']:.2f}")
        if fit["expected_over_observed"] is not None:
            words.append(f"expected/observed {fit['expected_over_observed']:.2f}")
    return ", ".join(words) + ("" if figures["trained_on_patients"] else "; these weights were not trained on outcomes")
