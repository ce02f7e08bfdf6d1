"""A run from prepared cohorts to a folder of weights, as a user meets it."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from ichnode.cli.main import app
from ichnode.cohort.prepared import Prepared, write_index
from ichnode.domain.errors import ConfigError
from ichnode.model.network import ExpansionNet
from ichnode.model.weights import Card, check_weights, load_network, read_card, save_weights
from ichnode.train import run as train_run
from ichnode.train.fit import Machine
from ichnode.train.recipe import read_recipe
from ichnode.train.run import RECIPE_FILE, Wanted, train_weights

RESEARCH = "Research only. Not a medical device; not for diagnosis or treatment."
TIMES = ("seconds", "waited_share")
RECIPE = """
name = "tiny"
epochs = 2
first_bias = -2.0
[schedule]
learning_rate = 1e-3
[augmentation]
copies = 4
scale = 0.1
"""


def cohort_of_three(prepared, folder="prepared", **words):
    return prepared(folder, a={"expanded": True}, b={}, c={"split": "val", "expanded": False}, **words)


@pytest.fixture
def wanted(prepared, recipe, tmp_path):
    """Two training cases, one to choose by; two epochs of four showings."""

    def make(folders=None, **fields):
        few = recipe(name="tiny", augmentation={"copies": 2}, schedule={"learning_rate": 1e-3}, first_bias=-2.0)
        known = {"recipe": few, "machine": Machine(threads=1, workers=0), "start": None, "name": "ich-tiny"}
        places = {"folders": folders or [cohort_of_three(prepared)], "out": tmp_path / "out", "version": "1.2.3"}
        return Wanted(**{**known, **places, **fields})

    return make


@pytest.fixture
def begun(tmp_path):
    """A folder of random weights whose card boasts."""
    card = Card(
        name="before",
        version="1.0.0",
        changelog={"1.0.0": "Made."},
        task="t",
        data_source="another hospital",
        data_licence="CC-BY-NC-4.0",
        preset="fov224",
        min_component_ml=0.3,
        threshold=0.5,
        expansion="trained",
        expansion_threshold=0.5,
        eval_metrics={"dice": 0.99},
        intended_use="t",
        sha256="",
    )
    torch.manual_seed(3)
    save_weights(ExpansionNet(), tmp_path / "before", card)
    return tmp_path / "before"


def curve(folder):
    with (folder / "curve.csv").open(newline="") as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


def test_a_run_leaves_weights_with_their_card_recipe_and_curve(wanted):
    asked = wanted()
    result = train_weights(asked)

    assert result.finished
    assert result.step == 8
    assert check_weights(asked.out).name == "ich-tiny"
    assert json.loads((asked.out / RECIPE_FILE).read_text()) == json.loads(asked.recipe.model_dump_json())
    assert [(row["epoch"], row["step"]) for row in curve(asked.out)] == [("1", "4"), ("2", "8")]
    assert float(curve(asked.out)[result.best_epoch - 1]["val_score"]) == result.best
    assert (asked.out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert 0 <= result.waited <= 1
    assert sorted(path.name for path in asked.out.iterdir()) == [
        "card.toml",
        "checkpoint.safetensors",
        "curve.csv",
        "curve.png",
        "model.safetensors",
        "recipe.json",
    ]


def test_the_card_says_what_happened_and_claims_nothing(wanted):
    asked = wanted()
    result = train_weights(asked)
    card = read_card(asked.out)

    steps = 4 * result.best_epoch
    assert card.changelog == {
        "1.2.3": "Recipe tiny from random weights: 2 training cases (1 with an outcome) of prepared; "
        f"{steps} steps, chosen after epoch {result.best_epoch} on 1 validation cases."
    }
    assert (card.data_source, card.data_licence) == ("prepared: this test", "CC0")
    assert (card.version, card.preset, card.expansion) == ("1.2.3", "fov224", "untrained on patients")
    assert card.eval_metrics == {}
    assert card.intended_use == RESEARCH


def test_weights_made_from_others_bear_the_sources_and_licences_of_both(wanted, begun):
    asked = wanted(start=begun)
    train_weights(asked)
    card = read_card(asked.out)

    assert card.data_source == "another hospital; prepared: this test"
    assert card.data_licence == "CC-BY-NC-4.0; CC0"
    assert card.expansion == "untrained on patients"
    assert "Recipe tiny from before: " in card.changelog["1.2.3"]


def test_what_the_card_before_names_already_stands_in_the_new_one_once(wanted, begun, prepared):
    first = wanted(start=begun)
    train_weights(first)
    again = replace(first, start=first.out, out=first.out.with_name("again"))
    more = replace(again, folders=[*first.folders, prepared("more", d={})], out=first.out.with_name("more"))
    for asked in (again, more):
        train_weights(asked)

    assert read_card(again.out).data_source == "another hospital; prepared: this test"
    assert read_card(again.out).data_licence == "CC-BY-NC-4.0; CC0"
    assert read_card(more.out).data_source == "another hospital; prepared: this test; more: this test"
    assert read_card(more.out).data_licence == "CC-BY-NC-4.0; CC0"


def test_the_recipe_for_the_head_leaves_the_segmentation_as_it_was_bit_for_bit(wanted, begun):
    asked = wanted(start=begun, recipe=read_recipe("head2026").model_copy(update={"epochs": 2}))
    train_weights(asked)

    before, now = (load_file(folder / "model.safetensors") for folder in (begun, asked.out))
    changed = {name.split(".")[0] for name, tensor in now.items() if not torch.equal(tensor, before[name])}
    assert now.keys() == before.keys()
    assert "head" in changed
    assert changed <= {"head", "dense"}


def test_a_run_begins_with_the_weights_that_it_is_given_else_with_the_bias_of_its_recipe(wanted, begun, monkeypatch):
    class Seen(Exception):
        pass

    first = []

    def look(network, *_, **words):
        first.append((network.out.bias.item(), words["start"]))
        raise Seen

    monkeypatch.setattr(train_run, "fit", look)
    asked = wanted()
    for start in (begun, None):
        with pytest.raises(Seen):
            train_weights(replace(asked, start=start))

    assert first == [(load_network(begun).out.bias.item(), read_card(begun).sha256[:16]), (-2.0, "random")]


def test_two_runs_from_one_seed_are_the_same_another_seed_makes_others(wanted, tmp_path):
    asked = wanted()
    shas = []
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        recipe = asked.recipe.model_copy(update={"seed": seed, "epochs": 1})
        train_weights(replace(asked, out=tmp_path / name, recipe=recipe))
        shas.append(read_card(tmp_path / name).sha256)

    assert shas[0] == shas[1] != shas[2]


@pytest.mark.parametrize(
    ("cases", "sentence"),
    [
        ({"a": {}}, "1 cases to train on and 0 to choose by"),
        ({"a": {"split": "val"}}, "0 cases to train on and 1 to choose by"),
        (
            {"a": {"patient": "p"}, "b": {"patient": "p", "split": "val"}},
            "Case b of val in .*these has the patient of case a of train in .*these",
        ),
        ({"a": {"preset": "fov112"}, "b": {"split": "val"}}, "was prepared for fov112; the recipe trains on fov224"),
    ],
    ids=["no val", "no train", "patient", "preset"],
)
def test_cohorts_that_cannot_be_trained_on_are_refused_before_anything_is_written(wanted, prepared, cases, sentence):
    asked = wanted(folders=[prepared("these", **cases)])

    with pytest.raises(ConfigError, match=sentence) as told:
        train_weights(asked)

    assert told.value.hint
    assert not asked.out.exists()


@pytest.mark.parametrize("what", ["patient", "CT"])
def test_what_one_cohort_learns_and_another_chooses_by_is_refused_with_both_their_names(
    wanted, prepared, source_of, case, what
):
    one, two = prepared("one", a={"patient": "p"}, b={"split": "val"}), prepared("two", c={"patient": "p"}, d={})
    same = {"patient": "p", "split": "val"} if what == "patient" else {"split": "val"}
    drawn = case(7 if what == "patient" else 1)  # 1: that of the first case, whoever drew the mask
    other = Prepared(hu=drawn.hu, brain=drawn.brain, bleed=np.zeros_like(drawn.bleed))
    write_index(two, [source_of("d", other, folder=two, **same).entry])
    asked = wanted(folders=[one, two])

    with pytest.raises(ConfigError) as told:
        train_weights(asked)

    assert str(told.value).startswith(f"Case d of val in {two} has the {what} of case a of train in {one}: ")
    assert told.value.hint == "One patient belongs to one split, over all cohorts."
    assert not asked.out.exists()


def test_the_same_name_in_two_cohorts_is_refused(wanted, prepared):
    folders = [cohort_of_three(prepared), prepared("more", a={"patient": "other"})]
    with pytest.raises(ConfigError, match="Case a is in two of the cohorts"):
        train_weights(wanted(folders=folders))


@pytest.mark.parametrize(
    "cases", [{"a": {}, "c": {"split": "val", "expanded": True}}, {"a": {"expanded": True}, "c": {"split": "val"}}]
)
def test_a_head_cannot_be_trained_where_a_split_has_no_outcome(wanted, prepared, recipe, cases):
    with pytest.raises(ConfigError, match="no outcome is known"):
        train_weights(wanted(folders=[prepared("these", **cases)], recipe=recipe(trains="head")))


@pytest.mark.parametrize(("field", "value"), [("name", "Meine Gewichte"), ("version", "1.0")])
def test_a_name_that_no_card_may_bear_is_refused_before_hours_are_spent(wanted, field, value):
    with pytest.raises(ConfigError, match=f"No weights can be called that: {field}: ") as told:
        train_weights(wanted(**{field: value}))
    assert f"--{field}" in told.value.hint


def test_a_run_is_not_written_over_the_weights_that_it_starts_from(wanted, begun):
    before = read_card(begun)
    with pytest.raises(ConfigError, match="over those that the run starts from"):
        train_weights(wanted(start=begun, out=begun.parent / "out" / ".." / begun.name))
    assert read_card(begun) == before


@pytest.mark.parametrize("file", ["model.safetensors", "card.toml"])
def test_a_run_is_not_written_over_weights_that_it_has_not_made(wanted, begun, file):
    for one in (begun / name for name in ("model.safetensors", "card.toml") if name != file):
        one.unlink()
    before = (begun / file).read_bytes()

    with pytest.raises(ConfigError, match=f"before holds {file} but no checkpoint") as told:
        train_weights(wanted(out=begun))

    assert told.value.hint == "Name another --out."
    assert [(path.name, path.read_bytes()) for path in begun.iterdir()] == [(file, before)]


@pytest.mark.parametrize("file", ["model.safetensors", "card.toml"])
def test_a_run_that_lost_its_best_weights_says_so_instead_of_claiming_them(wanted, file):
    asked = wanted()
    result = train_weights(asked)
    (asked.out / file).unlink()

    with pytest.raises(ConfigError, match=f"weights of epoch {result.best_epoch}, but {file} is not there") as told:
        train_weights(asked)

    assert "Put it back" in told.value.hint


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(wanted):
    with pytest.raises(ConfigError, match="torch finds no GPU"):
        train_weights(wanted(machine=Machine(device="cuda")))


def test_a_run_with_another_recipe_leaves_all_that_the_first_one_wrote(wanted):
    asked = wanted()
    stopped = train_weights(asked, stop=lambda: True)
    train_weights(asked)
    before = {path.name: path.read_bytes() for path in asked.out.iterdir()}
    assert not stopped.finished

    with pytest.raises(ConfigError, match="another recipe"):
        train_weights(replace(asked, recipe=asked.recipe.model_copy(update={"epochs": 3})))

    assert {path.name: path.read_bytes() for path in asked.out.iterdir()} == before


def test_a_curve_can_be_drawn_of_heads_without_a_bleed_alone(wanted, prepared):
    """Nothing to draw on the right: no Dice, and no warning of an empty legend either."""
    folder = prepared("sound", a={}, b={"split": "val", "bleed": False})
    asked = wanted(folders=[folder])
    asked = replace(asked, recipe=asked.recipe.model_copy(update={"epochs": 1}))

    train_weights(asked)

    assert "val_dice_mean" not in curve(asked.out)[0]
    assert float(curve(asked.out)[0]["val_score"]) in (0.0, 1.0)
    assert (asked.out / "curve.png").exists()


@pytest.fixture
def program(prepared, tmp_path):
    """Starts ``ichnode train`` in a process group of its own, as a terminal and a service manager do."""
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    cohort = cohort_of_three(prepared)
    running = []

    def start(out, *more, workers=1):
        command = [sys.executable, "-m", "ichnode", "train", "--cohort", cohort, "--recipe", path, "--out", out]
        options = ["--threads", 1, "--workers", workers, "--checkpoint-steps", 1, "--json", *more]
        one = subprocess.Popen(
            [str(word) for word in (*command, *options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        running.append(one)
        return one

    yield start
    for one in running:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
        one.communicate()


def ended(process):
    out, err = process.communicate(timeout=180)
    assert "Traceback" not in err
    return process.returncode, out, err


def wait_for(path, process, deadline_s=180.0):
    until = time.monotonic() + deadline_s
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def stamp(path):
    return path.stat().st_mtime_ns if path.exists() else 0


def test_a_place_that_cannot_be_written_is_told_before_the_work(prepared, tmp_path):
    (tmp_path / "file").write_text("")
    words = ["train", "--cohort", cohort_of_three(prepared), "--out", tmp_path / "file" / "out"]

    told = CliRunner().invoke(app, [str(word) for word in words]).exception

    assert isinstance(told, ConfigError)
    assert str(told).startswith(f"Nothing can be written into {tmp_path / 'file' / 'out'}")


def test_a_program_that_is_asked_to_stop_goes_on_to_the_same_weights(program, tmp_path):
    """SIGTERM to the run alone as docker sends it, then Ctrl-C to it and its workers at once; then to the end."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    code, out, _ = ended(program(whole))
    assert code == 0
    assert json.loads(out)["finished"]

    first = program(cut)
    wait_for(cut / "checkpoint.safetensors", first)
    first.terminate()
    code, out, _ = ended(first)
    stopped = json.loads(out)
    assert (code, stopped["finished"]) == (4, False)
    assert 0 < stopped["step"] < 8  # in mid-epoch: eight steps to the first one's end

    before = stamp(cut / "checkpoint.safetensors")
    second = program(cut)
    until = time.monotonic() + 180
    while stamp(cut / "checkpoint.safetensors") == before and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(second.pid, signal.SIGINT)
    code, out, err = ended(second)
    assert code == 4, err
    assert stopped["step"] < json.loads(out)["step"] < 16

    code, out, _ = ended(program(cut))
    assert code == 0
    assert json.loads(out)["step"] == 16
    assert read_card(cut).sha256 == read_card(whole).sha256
    assert (cut / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert tomllib.loads((cut / "card.toml").read_text()) == tomllib.loads((whole / "card.toml").read_text())
    assert curve(cut) == curve(whole)
    assert load_network(cut).out.weight.isfinite().all()
