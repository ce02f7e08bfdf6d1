"""``ichnode cohort`` at the command line, and the script that makes a cohort of the shared data."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from ichnode.cli import cohort as verb
from ichnode.cli import context
from ichnode.cohort.table import read_cohort
from ichnode.domain.errors import ConfigError

CHECKOUT = Path(__file__).parents[3]


def ask(*words):
    return CliRunner().invoke(verb.app, [str(word) for word in words])


def test_check_answers_yes_and_draws_the_sheet(built, cohort_of, tmp_path):
    cohort_of([built("one")])

    answer = ask("check", "--cohort", tmp_path, "--sheet", tmp_path / "sheet.png", "--jobs", 1)

    assert answer.exit_code == 0
    assert answer.stdout == "built: 1 case (1 train), 1 with a bleed; all fit.\n"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"


def test_check_answers_no_and_names_the_case_and_why(built, cohort_of, tmp_path):
    cohort_of([built("one"), replace(built("two"), split="val", patient="one", ct=Path("/nowhere"))])

    said = ask("check", "--cohort", tmp_path, "--jobs", 1)
    told = ask("check", "--cohort", tmp_path, "--jobs", 1, "--json")

    assert (said.exit_code, told.exit_code) == (1, 1)
    assert "two: /nowhere is not there." in said.stdout
    assert "one: Patient one is in the splits train and val." in said.stdout
    assert "2 cases (1 train, 1 val), 2 with a bleed; 2 do not fit." in said.stdout
    answer = json.loads(told.stdout)
    assert answer["faulty"] == 2
    assert [fault["kind"] for fault in answer["cases"][1]["faults"]] == ["unreadable", "patient in two splits"]
    assert answer["cases"][1]["volume_ml"] is None


def test_prepare_writes_beside_the_table_and_says_how_much(built, cohort_of, tmp_path):
    cohort_of([built("one")])

    first = ask("prepare", "--cohort", tmp_path, "--jobs", 1)
    again = ask("prepare", "--cohort", tmp_path, "--jobs", 1, "--json")

    assert first.exit_code == 0
    assert "prepared-fov224: 1 made, 0 kept, 0 failed; 0." in first.stdout.replace("\n", "")
    answer = json.loads(again.stdout)
    assert (answer["made"], answer["kept"], answer["failed"]) == (0, 1, {})
    assert answer["out"] == str(tmp_path / "prepared-fov224")


def test_prepare_ends_with_no_when_a_case_failed(built, cohort_of, tmp_path):
    cohort_of([built("one"), replace(built("two"), ct=Path("/nowhere"))])

    answer = ask("prepare", "--cohort", tmp_path, "--out", tmp_path / "out", "--jobs", 1)

    assert answer.exit_code == 1
    assert "two: /nowhere is not there." in answer.stdout
    assert (tmp_path / "out/one.npz").exists()


@pytest.mark.parametrize(("command", "option"), [("check", "--sheet"), ("prepare", "--out")])
def test_a_place_that_cannot_be_written_is_told_before_the_work(built, cohort_of, tmp_path, command, option):
    cohort_of([built("one")])
    (tmp_path / "file").write_text("")

    answer = ask(command, "--cohort", tmp_path, option, tmp_path / "file" / "out" / "it", "--jobs", 1)

    assert isinstance(answer.exception, ConfigError)
    assert "Nothing can be written into" in str(answer.exception)
    assert answer.exception.hint
    assert not answer.stdout


def test_a_folder_that_is_no_cohort_is_a_mistake_of_the_call(tmp_path):
    answer = ask("check", "--cohort", tmp_path)

    assert isinstance(answer.exception, ConfigError)


@pytest.mark.parametrize("command", ["check", "prepare"])
def test_a_node_without_the_training_packages_is_told_which_to_install(tmp_path, monkeypatch, command):
    monkeypatch.setattr(context, "find_spec", lambda _name: None)

    answer = ask(command, "--cohort", tmp_path)

    assert isinstance(answer.exception, ConfigError)
    assert str(answer.exception) == "A cohort needs packages that a node alone does not have (nibabel)."
    assert "'.[train]'" in answer.exception.hint
    assert ask(command, "--help").exit_code == 0


def test_the_shared_data_become_a_cohort(real_data, tmp_path):
    script = CHECKOUT / "weights/phe_sich.py"

    subprocess.run([sys.executable, script, "--data", real_data, "--out", tmp_path], check=True, cwd=CHECKOUT)

    found = read_cohort(tmp_path)
    assert (len(found.split("train")), len(found.split("val"))) == (80, 13)
    assert found.card.clipped_hu == (-20, 100)
    for case in found.cases:
        assert case.ct.is_file(), case.name
        assert case.mask is not None
        assert case.mask.is_file(), case.name


@pytest.mark.parametrize("option", ["--jobs=0", "--preset"])
def test_a_wrong_option_is_a_mistake_of_the_call(tmp_path, option):
    assert ask("prepare", "--cohort", tmp_path, option).exit_code == 2
