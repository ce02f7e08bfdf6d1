"""``ichnode evaluate`` and ``ichnode weights`` as they are typed; only the runtime is a stand-in."""

import json
import shutil
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from ichnode.cli import evaluate, weights
from ichnode.cohort.table import write_cohort
from ichnode.domain.errors import ConfigError
from ichnode.model.weights import read_card

APP = typer.Typer()
APP.command("evaluate")(evaluate.evaluate)
APP.add_typer(weights.app, name="weights")


def said(*words):
    return CliRunner().invoke(APP, [str(word) for word in words])


@pytest.fixture
def stand_in(monkeypatch, network):
    monkeypatch.setattr("ichnode.model.runtime.open_runtime", lambda *_args, **_options: network.runtime)
    return network.runtime


@pytest.fixture
def own_weights(weights_folder, tmp_path):
    return shutil.copytree(weights_folder, tmp_path / "weights" / "own")


def test_evaluate_writes_page_and_json_and_goes_on_after_a_cut(stand_in, cohort, weights_folder, tmp_path):
    call = ("evaluate", "--cohort", cohort.folder, "--weights", weights_folder, "--out", tmp_path / "out")

    first, second = said(*call), said(*call)

    assert first.exit_code == second.exit_code == 1  # one of the three cases has a mask of another size
    assert stand_in.asked == 2
    assert "short left out" in first.output
    assert "Heads in code" in (tmp_path / "out/evaluation.html").read_text()
    assert json.loads((tmp_path / "out/evaluation.json").read_text())["cohorts"][0]["n"] == 2


@pytest.mark.usefixtures("stand_in")
def test_the_card_is_written_only_when_asked(cohort, own_weights, tmp_path):
    call = ("evaluate", "--cohort", cohort.folder, "--weights", own_weights, "--out", tmp_path / "out")

    said(*call)
    assert read_card(own_weights).eval_metrics == {}
    said(*call, "--record")

    assert read_card(own_weights).eval_metrics["dice_median"] > 0.95


@pytest.mark.usefixtures("stand_in")
def test_two_cohorts_of_one_name_are_told_apart_by_their_folders(cohort, weights_folder, tmp_path):
    second = shutil.copytree(cohort.folder, tmp_path / "tilted")
    call = ("evaluate", "--weights", weights_folder, "--out", tmp_path / "out")

    said(*call, "--cohort", cohort.folder, "--cohort", second)

    told = json.loads((tmp_path / "out/evaluation.json").read_text())["cohorts"]
    assert [one["cohort"]["name"] for one in told] == ["Heads in code (cohort)", "Heads in code (tilted)"]
    assert (tmp_path / "out/cases-heads_in_code_tilted.png").exists()


@pytest.mark.usefixtures("stand_in")
def test_two_cohorts_that_cannot_be_told_apart_are_a_sentence(cohort, weights_folder, tmp_path):
    call = ("evaluate", "--weights", weights_folder, "--out", tmp_path / "out")

    result = said(*call, "--cohort", cohort.folder, "--cohort", cohort.folder)

    assert isinstance(result.exception, ConfigError)
    assert "Two cohorts have the same name" in str(result.exception)


def test_a_case_that_the_volume_model_lacks_is_named_and_the_answer_is_no(stand_in, cohort, weights_folder, tmp_path):
    bleeds, _, short = cohort.cases
    write_cohort(cohort.folder, cohort.card, [bleeds, replace(short, split="train", expanded=True)])

    result = said("evaluate", "--cohort", cohort.folder, "--weights", weights_folder, "--out", tmp_path / "out")

    assert (result.exit_code, stand_in.asked) == (1, 1)
    assert "short left out of the volume model: " in result.output


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_output_folder_that_cannot_be_written_is_a_sentence_before_anything_is_measured(
    stand_in, cohort, weights_folder, tmp_path, place
):
    (tmp_path / "file").touch()

    for option, other in (("--out", "--cache"), ("--cache", "--out")):
        call = ("evaluate", "--cohort", cohort.folder, "--weights", weights_folder, other, tmp_path / "other")
        result = said(*call, option, tmp_path / place)

        assert isinstance(result.exception, ConfigError)
        assert f"Nothing can be written into {tmp_path / place}" in str(result.exception)
        assert result.exception.hint
    assert stand_in.asked == 0


@pytest.mark.usefixtures("stand_in")
def test_the_card_is_left_alone_when_nothing_was_measured(cohort, own_weights, tmp_path):
    write_cohort(cohort.folder, cohort.card, [cohort.cases[2]])
    before = read_card(own_weights)

    result = said(
        "evaluate", "--cohort", cohort.folder, "--weights", own_weights, "--out", tmp_path / "out", "--record"
    )

    assert result.exit_code == 1
    assert "Nothing was measured: the card stays as it is." in result.output
    assert read_card(own_weights) == before


@pytest.mark.parametrize("verb", ["evaluate", "compare"])
def test_without_the_extra_packages_there_is_a_sentence(monkeypatch, cohort, weights_folder, tmp_path, verb):
    monkeypatch.setattr("ichnode.cli.context.find_spec", lambda _name: None)
    call = {
        "evaluate": ("evaluate", "--weights", weights_folder, "--out", tmp_path / "out"),
        "compare": ("weights", "compare", weights_folder, weights_folder),
    }[verb]

    result = said(*call, "--cohort", cohort.folder)

    assert isinstance(result.exception, ConfigError)
    assert "'.[train]'" in result.exception.hint


def test_a_split_without_a_case_is_a_sentence(cohort, weights_folder, tmp_path):
    call = ("evaluate", "--cohort", cohort.folder, "--weights", weights_folder, "--out", tmp_path, "--split", "test")

    result = said(*call)

    assert isinstance(result.exception, ConfigError)
    assert "no case in the split 'test'" in str(result.exception)
    assert result.exception.hint == "It has val."


def test_list_tells_what_the_sets_are(own_weights):
    text, listed = said("weights", "list", own_weights.parent), said("weights", "list", own_weights.parent, "--json")

    assert "stand-in 1.0.0" in text.output
    assert [row["name"] for row in json.loads(listed.output)] == ["stand-in"]


def test_verify_tells_a_damaged_set_from_a_whole_one(own_weights):
    assert said("weights", "verify", own_weights.parent).exit_code == 0
    model = own_weights / "model.safetensors"
    model.write_bytes(model.read_bytes()[:-4] + b"\0\0\0\1")

    result = said("weights", "verify", own_weights)

    assert result.exit_code == 1
    assert "are not those of their card" in result.output


def test_compare_finds_no_difference_between_a_set_and_itself(stand_in, cohort, weights_folder):
    result = said("weights", "compare", weights_folder, weights_folder, "--cohort", cohort.folder, "--json")

    assert result.exit_code == 1  # "short" cannot be measured
    assert result.stderr.count("short left out by ") == 2
    (rows,) = json.loads(result.stdout).values()
    assert {row["label"] for row in rows} == {"Dice", "volume error", "HD95", "found without a bleed"}
    assert all((row["difference"], row["p"], row["first_wins"], row["second_wins"]) == (0, None, 0, 0) for row in rows)
    assert stand_in.asked == 2  # the second set is the first one: its answers are known


def test_compare_of_cases_that_all_were_measured_is_well(stand_in, cohort, weights_folder):
    write_cohort(cohort.folder, cohort.card, cohort.cases[:2])

    assert said("weights", "compare", weights_folder, weights_folder, "--cohort", cohort.folder).exit_code == 0
    assert stand_in.asked == 2


def test_compare_opens_both_sets_before_it_measures(stand_in, cohort, weights_folder, tmp_path):
    (tmp_path / "empty").mkdir()

    result = said("weights", "compare", weights_folder, tmp_path / "empty", "--cohort", cohort.folder)

    assert isinstance(result.exception, ConfigError)
    assert stand_in.asked == 0
