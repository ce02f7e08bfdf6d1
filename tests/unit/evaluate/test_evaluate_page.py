"""The page and the JSON: complete, self-contained, the same for the same figures."""

import json
import re
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from ichnode.domain.markers import Bat
from ichnode.evaluate.cases import Baseline, Excluded
from ichnode.evaluate.page import contact_sheet, render
from ichnode.evaluate.pictures import picture_of
from ichnode.evaluate.result import Evaluation, as_json, cohort_result, eval_metrics
from ichnode.evaluate.sheet import write_sheet

TRAIN = [Baseline(labelled_ml=float(ml), outcome=ml % 3 == 0 or ml > 20) for ml in range(1, 31)]


@pytest.fixture
def answers(measured):
    cases = [
        measured(
            f"case-{i}",
            dice=0.99 - i / 50,
            labelled_ml=2.0 + 3 * i,
            found_ml=2.2 + 2.9 * i,
            outcome=i % 3 == 0,
            expansion=0.9 - i / 25,
            bat=Bat(low=i % 5, high=i % 5),
        )
        for i in range(20)
    ]
    alarm = measured("clean-head", labelled_ml=0, found_ml=0.7)
    return [*cases, alarm, Excluded(name="broken", reason="its mask <b>is gone</b>.")]


@pytest.fixture
def evaluation(answers, card, cohort_card):
    def make(expansion="untrained on patients", answers=answers, train=TRAIN, split="val"):
        return Evaluation(
            card=card.model_copy(update={"expansion": expansion}),
            at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
            version="0.1.0",
            runtime="stand-in",
            command="ichnode evaluate",
            cohorts=(cohort_result(cohort_card, split, answers, train, 0.5),),
        )

    return make


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(evaluation):
    page = render(evaluation())

    links = re.findall(r"""(?:src|href|xlink:href)=["']([^"']+)|url\(([^)]+)\)|@import""", page)
    assert all(target.startswith(("#", "data:")) for pair in links for target in pair if target)
    assert "<script" not in page
    assert not re.search(r"\son\w+=", page)


def test_the_same_evaluation_gives_the_same_bytes(evaluation):
    assert render(evaluation()) == render(evaluation())
    assert as_json(evaluation()) == as_json(evaluation())


def test_who_was_measured_and_who_was_left_out_is_said_and_nothing_is_taken_for_markup(evaluation):
    page = render(evaluation())

    assert "22 in the split, 21 measured: 20 with a bleed, 1 without" in page
    assert "broken: its mask &lt;b&gt;is gone&lt;/b&gt;." in page


def test_expansion_of_weights_that_saw_no_patient_is_headed_by_a_warning(evaluation):
    warning = "The expansion output of these weights was not trained on patients."

    assert warning in render(evaluation())
    assert warning not in render(evaluation("trained"))


def test_a_page_of_cases_to_learn_from_is_headed_by_a_warning(evaluation):
    warning = "These are cases of a train split: no evidence."

    assert warning in render(evaluation(split="train"))
    assert warning not in render(evaluation())


def test_the_page_says_when_the_time_was_taken(evaluation):
    assert "when the answer was made; one that was kept keeps its time" in render(evaluation())


def test_a_case_that_the_volume_model_lacks_is_named(evaluation):
    lost = evaluation(train=[*TRAIN, Excluded(name="lost", reason="it is gone.")])

    assert "lost: it is gone." in render(lost)
    assert json.loads(as_json(lost))["cohorts"][0]["unfitted"] == [{"name": "lost", "reason": "it is gone."}]
    assert lost.cohorts[0].expansion.notes == evaluation().cohorts[0].expansion.notes


def test_the_three_predictors_stand_in_one_roc_figure(evaluation):
    (figure,) = re.findall(r'<svg role="img" aria-label="ROC curves".*?</svg>', render(evaluation()), re.DOTALL)

    for label in ("Network", "Volume model", "BAT score"):
        assert re.search(rf"{label}, AUC 0\.\d\d", figure)


def test_figures_take_the_ink_of_the_page(evaluation):
    figures = re.findall(r'<svg role="img" aria-label="(?!Slice).*?</svg>', render(evaluation()), re.DOTALL)

    assert len(figures) == 4
    assert all("currentColor" in figure and "#010203" not in figure for figure in figures)


def test_a_split_without_an_outcome_says_that_nothing_can_be_said_of_expansion(evaluation, measured):
    page = render(evaluation(answers=[measured()], train=[]))

    assert "nothing can be said of expansion" in page
    assert "ROC" not in page


def test_a_cohort_without_any_bleed_or_any_measured_case_is_still_a_page(evaluation, measured):
    assert "Heads without a bleed" in render(evaluation(answers=[measured(labelled_ml=0, found_ml=0.0)]))
    assert "broken: gone" in render(evaluation(answers=[Excluded(name="broken", reason="gone")]))


def test_a_false_alarm_is_shown_in_a_picture(evaluation):
    assert 'aria-label="Slice 4 of clean-head with both outlines"' in render(evaluation())


def test_few_cases_are_all_shown_and_of_many_the_best_the_median_and_the_worst(measured):
    few, many = ([measured(f"{i}", dice=i / 100) for i in range(count)] for count in (22, 60))

    (everyone,) = contact_sheet(few)
    best, middle, worst = contact_sheet(many)

    assert [case.name for case in everyone.cases] == [str(i) for i in range(21, -1, -1)]
    assert [case.name for case in best.cases] == ["59", "58", "57", "56"]
    assert {"29", "30"} <= {case.name for case in middle.cases}
    assert [case.name for case in worst.cases] == [str(i) for i in range(9, -1, -1)]


@pytest.mark.parametrize("count", range(1, 40))
def test_no_case_is_shown_twice(measured, count):
    groups = contact_sheet([measured(f"{i}", dice=i / 100) for i in range(count)])

    shown = [case.name for group in groups for case in group.cases]
    assert len(shown) == len(set(shown)) == min(count, 22 if count <= 22 else 18)


def test_the_contact_sheet_is_a_picture_of_its_own_with_the_same_bytes_each_time(measured, bleeding, tmp_path):
    picture = picture_of(bleeding.volume, bleeding.bleed, bleeding.bleed)
    groups = contact_sheet([measured(f"{i}", dice=i / 10, picture=picture) for i in range(8)])

    for name in ("one.png", "two.png"):
        write_sheet(groups, tmp_path / name, pixels=True)

    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    pixels = np.asarray(Image.open(tmp_path / "one.png").convert("RGB")).astype(int)
    assert ((pixels[..., 2] - pixels[..., 0]) > 60).sum() > 100  # the blue outline


def test_what_may_not_be_passed_on_shows_outlines_alone(measured, bleeding, tmp_path):
    picture = picture_of(bleeding.volume, bleeding.bleed, bleeding.bleed)
    groups = contact_sheet([measured("one", picture=picture)])

    greys = {}
    for name, pixels in (("with", True), ("without", False)):
        write_sheet(groups, tmp_path / f"{name}.png", pixels=pixels)
        seen = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB")).astype(int)
        greys[name] = int(((np.ptp(seen, axis=2) < 8) & (seen[..., 0] < 200)).sum())

    assert greys["without"] < greys["with"] / 5  # what is left is the words


def test_a_group_of_several_lines_has_its_title_once(measured, bleeding, tmp_path, monkeypatch):
    picture = picture_of(bleeding.volume, bleeding.bleed, bleeding.bleed)
    titles = []
    monkeypatch.setattr("matplotlib.figure.Figure.text", lambda _self, _x, _y, text, **_look: titles.append(text))

    groups = contact_sheet([measured(f"{i}", picture=picture) for i in range(8)])
    write_sheet(groups, tmp_path / "sheet.png", pixels=True)

    assert titles == ["All cases, best first", ""]


def test_the_json_has_every_case_and_figure_and_no_picture(evaluation):
    (told,) = json.loads(as_json(evaluation()))["cohorts"]

    assert (told["n"], len(told["cases"]), told["excluded"][0]["name"]) == (21, 21, "broken")
    assert told["cases"][0]["dice"] == 0.99
    assert "picture" not in told["cases"][0]
    assert told["segmentation"]["dice"]["median"] == pytest.approx(0.8)
    assert [one["label"] for one in told["expansion"]["predictors"]] == ["Network", "Volume model", "BAT score"]
    assert told["expansion"]["comparisons"][0]["difference"]["p"] is not None


def test_without_a_measured_case_the_weights_card_gets_nothing(evaluation):
    assert eval_metrics(evaluation(answers=[Excluded(name="broken", reason="gone")])) == {}


def test_the_weights_card_gets_the_key_figures_and_what_they_were_measured_on(evaluation):
    figures = eval_metrics(evaluation())

    assert figures["data"] == "Heads in code, val, 21 cases, 1 excluded, native grid"
    assert figures["dice_median"] == pytest.approx(0.8)
    assert figures["found_without_bleed_highest_ml"] == 0.7
    assert 0 <= figures["expansion_auc_network"] <= 1
