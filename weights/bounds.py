"""Holds evaluations against what the weights must reach: `python weights/bounds.py EVALUATION.json...`.

Prints a line a bound, as Markdown; exit code 1 when one is not met. What is missing is not met.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

SPLIT: Final = "val"
HELD_OUT: Final = 50
CASES: Final = {
    "phe-sich": "13 measured, 13 with a bleed",
    "heads": "1 measured, 0 with a bleed; philips: The images show a skull with hardly any soft tissue",  # of plastic
    "held-out-bleedless": "20 measured, 0 with a bleed",
    "held-out": f"{HELD_OUT} measured, {HELD_OUT} with a bleed",
    "held-out-leaning": f"{HELD_OUT} measured, {HELD_OUT} with a bleed",
    "held-out-blend": f"{HELD_OUT} measured, {HELD_OUT} with a bleed",
}

Cohort = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One figure that must be reached."""

    what: str
    wanted: str
    measured: str
    met: bool


def bounds(measured: list[Cohort]) -> Iterator[Bound]:
    """Every bound, with what was measured."""
    by_name = {_folder(one["cohort"]["name"]): one for one in measured if one["split"] == SPLIT}
    cohorts = {name: by_name.get(name, {}) for name in CASES}
    for name, wanted in CASES.items():
        counted = _counted(cohorts[name])
        yield Bound(what=f"Cases of {name}", wanted=wanted, measured=counted, met=counted == wanted)
    yield from _of_real_bleeds(cohorts["phe-sich"])
    yield from _without_a_bleed([cohorts["heads"], cohorts["held-out-bleedless"]])
    yield from _of_phantoms(cohorts["held-out"], cohorts["held-out-leaning"])
    yield from _of_expansion(cohorts["held-out-blend"])


def _of_real_bleeds(real: Cohort) -> Iterator[Bound]:
    yield _at_least("Real bleeds: median Dice", _figure(real, "segmentation", "dice", "median"), 0.90)
    yield _at_least(
        "Real bleeds: lower quartile of Dice", _figure(real, "segmentation", "dice", "lower_quartile"), 0.85
    )
    error_ml = _figure(real, "segmentation", "abs_error_ml", "median")
    yield _at_most("Real bleeds: median absolute volume error, mL", error_ml, 1.0)
    found = _figure(real, "segmentation", "detected_from_1ml", "value")
    yield _at_least("Real bleeds of at least 1 mL: share found", found, 1.0)


def _without_a_bleed(cohorts: list[Cohort]) -> Iterator[Bound]:
    cases = [case for one in cohorts for case in one.get("cases", [])]
    found_ml = [case["found_ml"] for case in cases if case["found_ml"] or "QF_STRIP" not in case["flags"]]
    yield _at_least("Heads without a bleed: a brain was seen, or something found", len(found_ml), 21)
    yield _at_most("Heads without a bleed: median found, mL", median(found_ml) if found_ml else None, 0.0)
    yield _at_most("Heads without a bleed: most found, mL", max(found_ml, default=None), 0.5)


def _of_phantoms(straight: Cohort, leaning: Cohort) -> Iterator[Bound]:
    first, second = (_figure(one, "segmentation", "dice", "median") for one in (straight, leaning))
    yield _at_least("Phantoms with a bleed: median Dice", first, 0.85)
    cost = None if first is None or second is None else first - second
    yield _at_most("Phantoms: cost of tilt and unequal spacing, of the median Dice", cost, 0.03)
    ours, theirs = ({case["name"]: case["dice"] for case in one.get("cases", [])} for one in (straight, leaning))
    pairs = [(ours[name], theirs[name]) for name in ours if name in theirs]
    costs = [a - b for a, b in pairs if a is not None and b is not None]
    yield _at_least("Phantoms: pairs of a straight and a leaning stack", len(costs), HELD_OUT)
    yield _at_most("Phantoms: cost of the same, median of the pairs", median(costs) if costs else None, 0.03)


def _of_expansion(planted: Cohort) -> Iterator[Bound]:
    predictors = {one["label"]: one for one in _figure(planted, "expansion", "predictors") or ()}
    yield _at_least("Phantoms: outcomes that the network's AUC rests on", _figure(predictors, "Network", "n"), HELD_OUT)
    yield _at_least("Phantoms: AUC of expansion, network", _figure(predictors, "Network", "auc", "value"), 0.85)


def _counted(one: Cohort) -> str:
    """What was measured, and every case that was left out with the start of its reason."""
    if not one:
        return "not there"
    bleeds = sum(case["dice"] is not None for case in one["cases"])
    left_out = [f"{case['name']}: {case['reason'].partition(' (')[0]}" for case in [*one["excluded"], *one["unfitted"]]]
    return "; ".join([f"{len(one['cases'])} measured, {bleeds} with a bleed", *left_out])


def _folder(name: str) -> str:
    """The folder in "phantoms (held-out)", else the name itself: cohorts of one name are told apart by it."""
    return name.rpartition("(")[2].rstrip(")")


def _figure(value: Any, *keys: str) -> Any:
    """What stands under ``keys``; None where one is missing, or nothing stands there."""
    for key in keys:
        value = (value or {}).get(key)
    return value


def _at_least(what: str, value: float | None, bound: float) -> Bound:
    return Bound(what=what, wanted=f"≥ {bound:g}", measured=_said(value), met=value is not None and value >= bound)


def _at_most(what: str, value: float | None, bound: float) -> Bound:
    return Bound(what=what, wanted=f"≤ {bound:g}", measured=_said(value), met=value is not None and value <= bound)


def _said(value: float | None) -> str:
    return "–" if value is None else f"{round(value, 4):g}"


def main() -> int:
    """Print the table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evaluations", type=Path, nargs="+", help="evaluation.json of `ichnode evaluate`")
    told = [json.loads(path.read_text(encoding="utf-8")) for path in parser.parse_args().evaluations]
    rows = list(bounds([cohort for one in told for cohort in one["cohorts"]]))
    print("| Bound | wanted | measured | met |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.what} | {row.wanted} | {row.measured} | {'yes' if row.met else '**no**'} |")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
