"""The network inputs of a cohort: what the node would see, made once, and never by halves."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ichnode.cohort import prepare
from ichnode.cohort.prepare import prepare_cohort, prepared_folder, prepared_folders
from ichnode.cohort.prepared import read_case as read_prepared
from ichnode.cohort.prepared import read_index
from ichnode.cohort.read import read_case
from ichnode.cohort.table import Card, Case, Cohort, read_card
from ichnode.domain.errors import ConfigError
from ichnode.image.prepare import PRESETS, window

MIB = 2**20
CASES = 30
# A prepare that takes its time after each case, so that it can be cut in its middle on a busy machine too
# A shell's background job ignores Ctrl-C, and hands that down to all that it starts
SLOW_PREPARE = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from ichnode.cohort import prepare
write = prepare.write_index
prepare.write_index = lambda *arguments: (write(*arguments), time.sleep(0.2))
from ichnode.cli.cohort import app
app()
"""


@pytest.fixture
def run(tmp_path):
    """Prepares a cohort into one folder; returns what became of it."""

    def made(cohort, *, jobs=1, preset="fov224", out=tmp_path / "out"):
        return prepare_cohort(cohort, out, preset, jobs=jobs, told=lambda _name, _fault: None)

    return made


def test_a_prepared_case_is_what_the_node_would_see_and_its_bleed(built, cohort_of, card, run, tmp_path):
    case = built("one", expanded=True, onset_h=2.5, patient="p")
    native = read_case(case, card)
    seen = window(native.volume, PRESETS["fov224"])

    outcome = run(cohort_of([case]))

    (entry,) = outcome.entries
    found = read_prepared(tmp_path / "out", entry)
    assert np.array_equal(found.brain, seen.brain)
    assert np.abs(found.hu - seen.hu).max() <= 0.25
    assert found.bleed.sum() * 0.875 * 0.875 * 5 / 1000 == pytest.approx(native.bleed_ml, rel=0.03)
    assert np.median(found.hu[found.bleed]) == pytest.approx(65, abs=1)
    assert read_index(tmp_path / "out") == outcome.entries
    assert (entry.name, entry.patient, entry.split, entry.preset) == ("one", "p", "train", "fov224")
    assert (entry.expanded, entry.onset_h, entry.fallback) == (True, 2.5, False)
    assert entry.volume_ml == pytest.approx(native.bleed_ml, abs=0.001)
    assert read_card(tmp_path / "out/cohort.toml") == card
    files = [path for path in (tmp_path / "out").iterdir() if path.name != "cohort.toml"]
    assert outcome.size_bytes == sum(path.stat().st_size for path in files)


def test_what_has_not_changed_is_kept(built, cohort_of, run, tmp_path, nifti, straight, drawn_head, ras_affine):
    cases = [built("one"), built("two")]
    first = run(cohort_of(cases))
    stamps = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.npz")}
    other = drawn_head(straight(), bleed=((30, 0, 10), (10, 10, 10)))[1].astype(np.uint8)
    nifti(cases[1].mask, other, ras_affine(straight()))

    second = run(cohort_of([replace(cases[0], split="val", onset_h=3.0), cases[1]]))

    assert (first.made, first.kept, second.made, second.kept) == (2, 0, 1, 1)
    assert (tmp_path / "out/one.npz").stat().st_mtime_ns == stamps["one.npz"]
    assert (tmp_path / "out/two.npz").stat().st_mtime_ns > stamps["two.npz"]
    assert [(entry.split, entry.onset_h) for entry in read_index(tmp_path / "out")] == [("val", 3.0), ("train", None)]
    assert second.entries[1].volume_ml < first.entries[1].volume_ml


def test_another_preset_or_other_code_makes_all_again(built, cohort_of, run, monkeypatch):
    cohort = cohort_of([built("one")])
    run(cohort)

    assert run(cohort, preset="fov112").made == 1
    monkeypatch.setattr(prepare, "_code_digest", lambda: "other code")
    assert run(cohort, preset="fov112").made == 1
    assert run(cohort, preset="fov112").kept == 1


@pytest.mark.parametrize("file", ["one.npz", "index.json"])
@pytest.mark.parametrize("data", [None, b"{}"])
def test_a_file_that_was_lost_or_damaged_is_made_again(built, cohort_of, run, tmp_path, file, data):
    cohort = cohort_of([built("one")])
    run(cohort)
    (tmp_path / "out" / file).unlink() if data is None else (tmp_path / "out" / file).write_bytes(data)

    again = run(cohort)

    assert again.made == 1
    assert read_prepared(tmp_path / "out", again.entries[0]).bleed.any()


def test_the_files_behind_a_prepared_case_are_there():
    assert all((prepare.PACKAGE / name).is_file() for name in prepare.CODE)


def test_a_case_that_fails_is_named_and_the_rest_is_done(built, cohort_of, run, tmp_path):
    cases = [built("one"), built("two")]
    run(cohort_of(cases))
    (tmp_path / "out/three.npz.77.part").write_bytes(b"cut")
    broken = replace(cases[0], mask=Path("/nowhere/mask.nii"))

    outcome = run(cohort_of([broken, cases[1]]))

    assert outcome.failed == {"one": "/nowhere/mask.nii is not there."}
    assert [entry.name for entry in read_index(tmp_path / "out")] == ["two"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["cohort.toml", "index.json", "two.npz"]


def test_a_case_that_left_the_cohort_leaves_the_folder_and_a_stranger_stays(built, cohort_of, run, tmp_path):
    cases = [built("one"), built("two")]
    run(cohort_of(cases))
    (tmp_path / "out/stranger.npz").write_bytes(b"not ours")

    run(cohort_of(cases[:1]))

    names = sorted(path.name for path in (tmp_path / "out").glob("*.npz"))
    assert names == ["one.npz", "stranger.npz"]


def test_processes_make_the_same_bytes_as_one(built, cohort_of, run, tmp_path):
    cohort = cohort_of([built(name) for name in ("a", "b", "c")])

    run(cohort, out=tmp_path / "alone")
    run(cohort, out=tmp_path / "together", jobs=2)

    for path in (tmp_path / "alone").iterdir():
        assert path.read_bytes() == (tmp_path / "together" / path.name).read_bytes(), path.name


def test_an_unknown_preset_is_told_with_those_there_are(built, cohort_of, run):
    with pytest.raises(ConfigError, match="no preset 'fov1'") as caught:
        run(cohort_of([built("one")]), preset="fov1")

    assert caught.value.hint == "There are fov224, fov112."


def test_a_folder_for_the_inputs_that_is_a_cohort_itself_is_refused(built, cohort_of, run, tmp_path):
    with pytest.raises(ConfigError, match="is a cohort itself") as caught:
        run(cohort_of([built("one")]), out=tmp_path)

    assert caught.value.hint
    assert not list(tmp_path.glob("*.npz"))


def test_a_follow_up_that_cannot_be_read_fails_the_case_and_leaves_no_file(built, cohort_of, run, tmp_path, nifti):
    later = nifti(tmp_path / "later.nii", np.full((3, 4, 5), np.nan, np.float32), np.eye(4))

    outcome = run(cohort_of([replace(built("one"), followup_mask=later)]))

    assert outcome.failed == {"one": f"{later} holds values that are no numbers."}
    assert not list((tmp_path / "out").glob("*.npz"))


def test_training_finds_what_was_made_and_notices_that_the_table_has_changed(built, cohort_of, run, tmp_path):
    case = built("one")
    cohort = cohort_of([case])
    with pytest.raises(ConfigError, match="not been prepared") as caught:
        prepared_folders([tmp_path], "fov224")
    assert caught.value.hint == f"Run `ichnode cohort prepare --cohort {tmp_path} --preset fov224` first."
    made = prepared_folder(tmp_path, "fov224")
    run(cohort, out=made)

    assert prepared_folders([tmp_path, made], "fov224") == (made, made)

    cohort_of([replace(case, split="val")])
    with pytest.raises(ConfigError, match="changed since"):
        prepared_folders([tmp_path], "fov224")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_cut_leaves_whole_files_and_no_process_and_the_next_goes_on(built, cohort_of, run, tmp_path, how):
    case = built("c00")
    cohort = cohort_of([replace(case, name=f"c{k:02}") for k in range(CASES)])
    out = tmp_path / "out"
    command = ["prepare", "--cohort", str(tmp_path), "--out", str(out), "--jobs", "2"]
    running = subprocess.Popen(
        [sys.executable, "-c", SLOW_PREPARE, *command], stderr=subprocess.PIPE, start_new_session=True
    )
    wait_for(lambda: (out / "index.json").exists(), what="the first case")
    if how == signal.SIGINT:
        os.killpg(running.pid, how)  # as a terminal does: the workers hear it too
    else:
        running.kill()
    said = running.communicate(timeout=60)[1].decode()
    wait_for(lambda: not alive(running.pid), what="the end of the workers")

    assert running.returncode != 0
    assert "Traceback" not in said
    done = read_index(out)
    assert 0 < len(done) < CASES
    for entry in done:
        assert read_prepared(out, entry).bleed.any()
    again = run(cohort)
    assert (again.kept, again.made) == (len(done), CASES - len(done))
    assert not list(out.glob("*.part"))


def wait_for(condition, *, what, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.02)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_shared_cohort_stays_under_60_mib(real_data, run):
    folder = real_data / "phe-sich"
    manifest = json.loads((folder / "manifest.json").read_text())
    names = sorted(manifest["train"], key=lambda case: case["slices"])
    card = Card(name="c", description="", source="s", licence="l", clipped_hu=(-20, 100))
    cases = tuple(
        Case(name=n, patient=n, split="train", ct=files / f"{n}_ct.nii.bz2", mask=files / f"{n}_bleed.nii.bz2")
        for files in [folder / "train"]
        for n in (names[0]["id"], names[40]["id"], names[-1]["id"])
    )

    outcome = run(Cohort(folder=folder, card=card, cases=cases))

    assert not outcome.failed
    assert not any(entry.fallback for entry in outcome.entries)
    everything = sum(len(split) for split in manifest.values())
    assert outcome.size_bytes / len(cases) * everything < 60 * MIB
