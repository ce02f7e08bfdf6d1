"""Holds an evaluation against what the weights must reach: `python weights/bounds.py EVALUATION.json`.

Prints a line a bound, as Markdown; exit code 1 when one is not met.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

Cohort = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One figure that must be reached."""

    what: str
    wanted: str
    measured: str
    met: bool


def bounds(evaluation: dict[str, Any]) -> Iterator[Bound]:
    """Every bound, with what was measured."""
    by_name = {_folder(one["cohort"]["name"]): one for one in evaluation["cohorts"]}
    real = by_name["phe-sich"]["segmentation"]
    yield _at_least("Real bleeds: median Dice", real["dice"]["median"], 0.90)
    yield _at_least("Real bleeds: lower quartile of Dice", real["dice"]["lower_quartile"], 0.85)
    yield _at_most("Real bleeds: median absolute volume error, mL", real["abs_error_ml"]["median"], 1.0)
    found = real["detected_from_1ml"]
    yield Bound(
        what="Real bleeds of at least 1 mL found",
        wanted="all",
        measured=f"{found['hits']} of {found['of']}",
        met=found["hits"] == found["of"],
    )
    yield from _without_a_bleed([by_name["heads"], by_name["held-out-bleedless"]])
    straight, leaning = (by_name[name]["segmentation"]["dice"]["median"] for name in ("held-out", "held-out-leaning"))
    yield _at_least("Phantoms with a bleed: median Dice", straight, 0.85)
    yield _at_most("Phantoms: cost of tilt and unequal spacing, median Dice", straight - leaning, 0.03)
    network = by_name["held-out"]["expansion"]["predictors"][0]
    yield _at_least(f"Phantoms: AUC of expansion, {network['label']}", network["auc"]["value"], 0.85)


def _without_a_bleed(cohorts: list[Cohort]) -> Iterator[Bound]:
    found = [case["found_ml"] for one in cohorts for case in one["cases"]]
    refused = [case["name"] for one in cohorts for case in one["excluded"]]
    told = f" in {len(found)}" + (f"; not analysed: {', '.join(refused)}" if refused else "")
    yield Bound(
        what="Heads without a bleed: median found, mL",
        wanted="0",
        measured=f"{median(found):.2f}{told}",
        met=not median(found),
    )
    yield Bound(
        what="Heads without a bleed: most found, mL",
        wanted="≤ 0.5",
        measured=f"{max(found):.2f}{told}",
        met=max(found) <= 0.5,
    )


def _folder(name: str) -> str:
    """The folder in "phantoms (held-out)", else the name itself: cohorts of one name are told apart by it."""
    return name.rpartition("(")[2].rstrip(")")


def _at_least(what: str, value: float, bound: float) -> Bound:
    return Bound(what=what, wanted=f"≥ {bound}", measured=f"{value:.3f}", met=value >= bound)


def _at_most(what: str, value: float, bound: float) -> Bound:
    return Bound(what=what, wanted=f"≤ {bound}", measured=f"{value:.3f}", met=value <= bound)


def main() -> int:
    """Print the table; the exit code."""
    rows = list(bounds(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    print("| Bound | wanted | measured | met |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.wanted} | {row.measured} | {'yes' if row.met else '**no**'} |")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
