"""What the shipped weights must reach: each bound can fail, and what is missing is not met."""

import json
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "weights" / "bounds.py"
NAMES = {
    "phe-sich": "phe-sich",
    "heads": "heads",
    "held-out": "held-out",
    "held-out-leaning": "phantoms (held-out-leaning)",
    "held-out-bleedless": "phantoms (held-out-bleedless)",
    "held-out-blend": "held-out-blend",
}


def cohort(name, dices):
    cases = [
        {"name": f"c{i}", "dice": dice, "found_ml": 9.0 if dice else 0.0, "flags": []} for i, dice in enumerate(dices)
    ]
    figures = {
        "dice": {"median": 0.95, "lower_quartile": 0.9},
        "abs_error_ml": {"median": 0.5},
        "detected_from_1ml": {"hits": 13, "of": 13, "value": 1.0},
    }
    return {
        "cohort": {"name": NAMES[name]},
        "split": "val",
        "segmentation": figures if dices[0] else None,
        "expansion": None,
        "excluded": [],
        "unfitted": [],
        "cases": cases,
    }


@pytest.fixture
def cohorts():
    """A cohort by its folder, with figures that meet every bound."""
    bleeds = {"phe-sich": 13, "held-out": 50, "held-out-leaning": 50, "held-out-blend": 50}
    made = {name: cohort(name, [0.95] * count) for name, count in bleeds.items()}
    made |= {name: cohort(name, [None] * count) for name, count in {"heads": 1, "held-out-bleedless": 20}.items()}
    skull = "The images show a skull with hardly any soft tissue (90 mL): a test object, or a small part."
    made["heads"]["excluded"] = [{"name": "philips", "reason": skull}]
    predictors = [
        {"label": "BAT score", "n": 50, "auc": {"value": 0.5}},
        {"label": "Network", "n": 50, "auc": {"value": 0.9}},
    ]
    made["held-out-blend"]["expansion"] = {"predictors": predictors}
    return made


def put(place, keys, value):
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value


@pytest.fixture
def unmet(tmp_path, monkeypatch, capsys):
    """The bounds that the script says are not met, by their first column; its exit code fits them."""

    def run(cohorts):
        path = tmp_path / "evaluation.json"
        path.write_text(json.dumps({"cohorts": list(cohorts.values())}))
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(path)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
        missed = [row[0].removeprefix("| ") for row in rows if row[-1] != "yes |"]
        assert len(rows) == 19
        assert ended.value.code == (1 if missed else 0)
        return missed

    return run


def test_weights_that_reach_everything_meet_every_bound(cohorts, unmet):
    assert unmet(cohorts) == []


@pytest.mark.parametrize(
    ("keys", "value", "bound"),
    [
        (("phe-sich", "segmentation", "dice", "median"), 0.899, "Real bleeds: median Dice"),
        (("phe-sich", "segmentation", "dice", "lower_quartile"), 0.849, "Real bleeds: lower quartile"),
        (("phe-sich", "segmentation", "abs_error_ml", "median"), 1.01, "Real bleeds: median absolute volume error"),
        (("phe-sich", "segmentation", "detected_from_1ml", "value"), 12 / 13, "Real bleeds of at least 1 mL"),
        (("heads", "cases", 0, "found_ml"), 0.51, "Heads without a bleed: most found"),
        (("held-out-bleedless", "cases", 7, "flags"), ["QF_STRIP"], "Heads without a bleed: a brain was seen"),
        (("held-out", "segmentation", "dice", "median"), 0.849, "Phantoms with a bleed: median Dice"),
        (("held-out-leaning", "segmentation", "dice", "median"), 0.919, "Phantoms: cost of tilt"),
        (("held-out", "cases", 3, "name"), "other", "Phantoms: pairs"),
        (("held-out-blend", "expansion", "predictors", 1, "auc", "value"), 0.849, "Phantoms: AUC of expansion"),
        (("held-out-blend", "expansion", "predictors", 1, "n"), 49, "Phantoms: outcomes"),
    ],
)
def test_each_bound_can_fail(cohorts, unmet, keys, value, bound):
    put(cohorts, keys, value)

    assert [row.startswith(bound) for row in unmet(cohorts)] == [True]


@pytest.mark.parametrize(
    ("keys", "bounds"),
    [
        (("phe-sich", "segmentation"), ["Real bleeds"] * 4),
        (("phe-sich", "segmentation", "detected_from_1ml"), ["Real bleeds of at least 1 mL"]),
        (("held-out", "segmentation"), ["Phantoms with a bleed", "Phantoms: cost"]),
        (("held-out-leaning", "segmentation", "dice", "median"), ["Phantoms: cost"]),
        (("held-out-blend", "expansion"), ["Phantoms: outcomes", "Phantoms: AUC"]),
        (("held-out-blend", "expansion", "predictors", 1, "auc"), ["Phantoms: AUC"]),
    ],
)
def test_a_figure_that_is_undefined_is_not_met(cohorts, unmet, keys, bounds):
    put(cohorts, keys, None)

    assert [row.startswith(start) for row, start in zip(unmet(cohorts), bounds, strict=True)] == [True] * len(bounds)


def test_half_the_heads_without_a_bleed_may_not_hold_anything(cohorts, unmet):
    for case in cohorts["held-out-bleedless"]["cases"][:11]:
        case["found_ml"] = 0.3

    assert unmet(cohorts) == ["Heads without a bleed: median found, mL"]


def test_a_leaning_stack_may_not_cost_more_in_most_pairs(cohorts, unmet):
    for case in cohorts["held-out-leaning"]["cases"][:26]:
        case["dice"] = 0.9

    assert unmet(cohorts) == ["Phantoms: cost of the same, median of the pairs"]


@pytest.mark.parametrize("name", NAMES)
def test_every_cohort_must_be_there_with_all_its_cases_in_its_split(cohorts, unmet, name):
    whole = cohorts[name]
    for fault in (
        {"cases": whole["cases"][1:]},
        {"cases": [*whole["cases"], whole["cases"][0]]},
        {"excluded": [{"name": "lost", "reason": "It is gone."}]},
        {"unfitted": [{"name": "lost", "reason": "It is gone."}]},
        {"split": "test"},
    ):
        assert f"Cases of {name}" in unmet(cohorts | {name: whole | fault})
    assert f"Cases of {name}" in unmet({key: one for key, one in cohorts.items() if key != name})


@pytest.mark.parametrize("excluded", [[], [{"name": "philips", "reason": "philips-study is not there."}]])
def test_the_plastic_skull_must_be_refused_for_what_it_is(cohorts, unmet, excluded):
    cohorts["heads"]["excluded"] = excluded

    assert unmet(cohorts) == ["Cases of heads"]


def test_an_evaluation_of_nothing_meets_no_bound(unmet):
    assert len(unmet({})) == 19
