"""Whole phantoms: made, written, and read back by the code that reads patients."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import typer
from pydicom import dcmread
from typer.testing import CliRunner

from ichnode.cli.phantom import phantom as verb
from ichnode.cohort.read import read_case
from ichnode.cohort.table import read_cohort, write_cohort
from ichnode.domain.errors import ConfigError
from ichnode.domain.flags import Flag
from ichnode.findings.space import places_mm
from ichnode.image.load import load_series, read_datasets
from ichnode.image.prepare import PRESETS, prepare
from ichnode.image.strip import brain_mask
from ichnode.phantom.anatomy import make_head
from ichnode.phantom.dicom import images
from ichnode.phantom.make import HEAD, make_phantom
from ichnode.phantom.population import CARD, members, write_population
from ichnode.phantom.spec import PhantomSpec, draw_spec
from ichnode.phantom.vendors import VENDORS
from ichnode.phantom.write import case_of, ensure_phantom, write_phantom

SPEC = PhantomSpec(seed=7, volume_ml=14.0, onset_h=2.0, tilt_deg=12.0, unequal=True, growth_ml=7.0, matrix=128)


@pytest.fixture(scope="module")
def made():
    return make_phantom(SPEC)


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantoms") / "one"
    write_phantom(made, folder)
    return folder


def series_in(folder):
    return load_series(read_datasets(sorted(folder.glob("*.dcm"))))


def bytes_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_images_of_any_maker_load_as_the_volume_that_was_made(made, vendor, tmp_path):
    for number, image in enumerate(images(made.baseline, replace(SPEC, vendor=vendor), "baseline")):
        image.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)

    volume = series_in(tmp_path)

    assert np.array_equal(volume.hu, made.volume.hu)
    assert volume.geometry.origins_mm == pytest.approx(made.volume.geometry.origins_mm, abs=1e-4)
    assert volume.flags == made.volume.flags == {Flag.QF_TILT, Flag.QF_UNEQUAL}
    assert dcmread(tmp_path / "0.dcm").Manufacturer == VENDORS[vendor].manufacturer


@pytest.mark.parametrize("vendor", sorted(VENDORS))
def test_dciodvfy_has_nothing_against_an_image(made, vendor, tmp_path):
    tool = Path(sys.executable).with_name("dciodvfy")
    if not tool.exists():
        pytest.skip("dciodvfy is not installed (extra: test)")
    path = tmp_path / "image.dcm"
    images(made.baseline, replace(SPEC, vendor=vendor), "baseline")[0].save_as(path, enforce_file_format=True)

    said = subprocess.run([tool, "-new", path], capture_output=True, text=True, check=False).stderr

    assert "CTImage" in said
    assert "Error" not in said


def test_the_cohort_reads_images_and_masks_of_both_scans_as_they_were_made(made, written):
    case = case_of(SPEC, "one", "train", written)

    labelled = read_case(case, CARD)

    assert np.array_equal(labelled.bleed, made.bleed)
    assert np.array_equal(labelled.volume.hu, made.volume.hu)
    followed = np.asarray(nibabel.load(case.followup_mask).dataobj).T > 0
    assert np.array_equal(followed, made.followup.bleed)


def test_the_truth_agrees_with_the_images(made, written):
    truth = json.loads((written / "truth.json").read_text())
    weights = made.volume.geometry.voxel_volumes_ml

    assert truth["volume_ml"] == pytest.approx(made.bleed.sum(axis=(1, 2)) @ weights, abs=1e-3)
    assert truth["share_ml"] == pytest.approx(14.0, rel=0.02)
    assert truth["followup"]["share_ml"] - truth["share_ml"] == pytest.approx(7.0, rel=0.08)
    assert truth["lesions"]["volume_ml"] == pytest.approx(14.0, rel=0.01)
    assert truth["spec"]["tilt_deg"] == truth["tilt_deg"] == 12
    inside = made.volume.hu[made.bleed]
    assert 50 < np.median(inside) < 80
    assert np.median(made.volume.hu[made.bleed]) > np.median(made.volume.hu[(made.volume.hu > 0) & ~made.bleed]) + 10


def test_the_same_head_and_bleed_are_seen_whatever_the_scan(made):
    straight = make_phantom(replace(SPEC, tilt_deg=0.0, unequal=False, growth_ml=None))

    assert straight.baseline.share_ml == pytest.approx(made.baseline.share_ml, rel=0.02)
    assert straight.lesions.truth == made.lesions.truth
    assert straight.volume.flags == frozenset()


def test_the_brain_of_a_phantom_is_found():
    volume = make_phantom(PhantomSpec(seed=11, matrix=256)).volume

    seen = prepare(volume, PRESETS["fov224"])

    assert seen.flags == frozenset()
    assert 550 < (seen.values > 0).sum() * 0.875**2 * 0.005 < 1100


def test_muscle_below_the_skull_base_is_not_taken_for_brain():
    spec = draw_spec(1102, bleed_share=0, matrix=256)  # its muscle hangs on the brain through the skull base
    made = make_phantom(spec)
    brain, flags = brain_mask(made.volume.hu, made.volume.geometry)
    pose, geometry = made.baseline.acquisition.pose, made.volume.geometry

    places = places_mm(np.argwhere(brain).astype(np.float64), geometry)
    head = make_head(np.random.default_rng([spec.seed, HEAD]))
    outside = ~head.brain_at((places - np.array(pose.shift_mm)) @ pose.turn)

    assert flags == frozenset()
    weights = geometry.voxel_volumes_ml[np.argwhere(brain)[:, 0]]
    assert weights[outside].sum() < 0.01 * weights.sum()  # the rim of the coarse grid


def test_the_same_specification_gives_the_same_bytes(written, tmp_path):
    write_phantom(make_phantom(SPEC), tmp_path / "one")

    assert bytes_in(tmp_path / "one") == bytes_in(written)


def test_a_phantom_that_is_whole_is_kept_and_half_of_one_is_made_again(written, tmp_path):
    folder = tmp_path / "one"
    shutil.copytree(written, folder)
    assert not ensure_phantom(SPEC, folder)

    shutil.rmtree(folder)
    (tmp_path / ".one.part").mkdir()  # what a killed run leaves
    assert ensure_phantom(replace(SPEC, growth_ml=None), folder)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["one"]
    assert not ensure_phantom(replace(SPEC, growth_ml=None), folder)


def test_a_folder_that_holds_something_else_is_left_alone(made, tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "thesis.txt").write_text("mine")

    with pytest.raises(ConfigError, match="no phantom"):
        write_phantom(made, tmp_path / "one")

    assert (tmp_path / "one" / "thesis.txt").read_text() == "mine"


def test_the_command_makes_a_cohort_and_goes_on_where_it_was_cut(tmp_path):
    app = typer.Typer()
    app.command()(verb)
    words = ["--out", str(tmp_path / "c"), "--count", "2", "--matrix", "128", "--thickness", "10", "--bleed", "0"]

    first = CliRunner().invoke(app, [*words, "--split", "train=1,val=1", "--jobs", "2"])
    (tmp_path / "c" / "cohort.csv").unlink()
    second = CliRunner().invoke(app, [*words, "--split", "train=1,val=1", "--jobs", "2", "--json"])

    assert first.exit_code == second.exit_code == 0
    assert "2 made, 0 kept" in first.stdout
    assert json.loads(second.stdout)["kept"] == 2
    cohort = read_cohort(tmp_path / "c")
    assert [case.split for case in cohort.cases] == ["train", "val"]
    assert read_case(cohort.cases[0], cohort.card).bleed.sum() == 0


def ask(folder, *words):
    app = typer.Typer()
    app.command()(verb)
    small = ["--matrix", "128", "--thickness", "10", "--bleed", "0", "--jobs", "1"]
    return CliRunner().invoke(app, ["--out", str(folder), *small, *words])


def test_phantoms_of_an_earlier_run_are_told_and_kept_out_of_the_table(tmp_path):
    ask(tmp_path, "--count", "3")

    said = ask(tmp_path, "--count", "1", "--seed", "2").stdout
    told = json.loads(ask(tmp_path, "--count", "1", "--seed", "2", "--json").stdout)

    assert "2 of an earlier run lie there too, not in the table: phantom-000001, phantom-000003." in said
    assert told["left_over"] == ["phantom-000001", "phantom-000003"]
    assert [case.name for case in read_cohort(tmp_path).cases] == ["phantom-000002"]


def test_a_cut_run_leaves_no_table_of_other_phantoms(tmp_path):
    group = members([PhantomSpec(seed=1, matrix=128, thickness_mm=10)], {"train": 1.0})
    list(write_population(group, tmp_path, jobs=1))

    cut = write_population(members([replace(group[0].spec, matrix=256)], {"train": 1.0}), tmp_path, jobs=1)
    next(cut)
    cut.close()

    assert not (tmp_path / "cohort.csv").exists()


def test_another_cohort_is_not_overwritten(tmp_path):
    write_cohort(tmp_path, CARD.model_copy(update={"source": "a hospital"}), [])

    answer = ask(tmp_path, "--count", "1")

    assert isinstance(answer.exception, ConfigError)
    assert "is another cohort" in str(answer.exception)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    answer = ask(tmp_path / "file" / "out", "--count", "1")

    assert isinstance(answer.exception, ConfigError)
    assert answer.exception.hint


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--markers", "spot"], "marker"),
        (["--markers", "none,swirl"], "marker 'none'"),
        (["--split", "train"], "share"),
        (["--split", "train=nan"], "positive numbers"),
        (["--split", "train=1,train=2"], "two shares"),
        (["--vendors", "Acme"], "vendor"),
        (["--vendors", ""], "No vendor"),
    ],
)
def test_the_command_names_what_is_wrong(words, why, tmp_path):
    app = typer.Typer()
    app.command()(verb)

    answer = CliRunner().invoke(app, ["--out", str(tmp_path / "c"), *words])

    assert isinstance(answer.exception, ConfigError)
    assert why in str(answer.exception)
    assert not (tmp_path / "c").exists()
