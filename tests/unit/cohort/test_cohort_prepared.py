"""What a case loses on its way to disk and back, and what is said of a file that is no case."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ichnode.cohort.prepared import (
    INDEX_FILE,
    Entry,
    Prepared,
    is_whole,
    read_case,
    read_index,
    write_case,
    write_index,
)
from ichnode.domain.errors import ConfigError

AGAIN = "Run `ichnode cohort prepare` again."


@pytest.fixture
def made():
    rng = np.random.default_rng(1)
    brain = rng.uniform(size=(5, 7, 9)) < 0.7
    hu = np.where(brain, rng.uniform(0, 100, brain.shape), 0).astype(np.float32)
    hu[brain] = [0, 100, *hu[brain][2:]]
    return Prepared(hu=hu, brain=brain, bleed=brain & (hu > 80))


def entry(name, **fields):
    known = {"patient": "p", "split": "train", "preset": "fov224", "volume_ml": 1.5, "expanded": None}
    return Entry(**{"name": name, **known, "onset_h": 2.5, "fallback": False, "source": "abc", "sha256": "", **fields})


def written(case, folder, name):
    return entry(name, sha256=write_case(folder, name, case))


def test_a_case_comes_back_with_its_masks_and_its_densities_to_a_quarter_of_a_unit(made, tmp_path):
    back = read_case(tmp_path, written(made, tmp_path, "one"))

    assert np.array_equal(back.brain, made.brain)
    assert np.array_equal(back.bleed, made.bleed)
    assert np.abs(back.hu - made.hu).max() <= 0.25
    assert (back.hu[made.brain][0], back.hu[made.brain][1]) == (0, 100)
    assert not back.hu[~made.brain].any()
    assert (back.hu.dtype, back.brain.dtype, back.bleed.dtype) == (np.float32, np.bool_, np.bool_)


def test_what_was_read_is_written_as_it_was_read(made, tmp_path):
    once = read_case(tmp_path, written(made, tmp_path, "one"))
    again = read_case(tmp_path, written(once, tmp_path, "two"))

    assert np.array_equal(again.hu, once.hu)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "two.npz"]


def test_a_case_that_is_missing_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"The prepared case .*none\.npz cannot be read") as told:
        read_case(tmp_path, entry("none"))
    assert told.value.hint == AGAIN


def damaged(data, way):
    middle = len(data) // 3
    return {
        "empty": b"",
        "cut": data[: len(data) // 2],
        "other": b"nonsense",
        "a byte": data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :],
        "many bytes": data[: middle - 40] + bytes(80) + data[middle + 40 :],
    }[way]


@pytest.mark.parametrize("way", ["empty", "cut", "other", "a byte", "many bytes"])
def test_a_case_that_is_damaged_is_said(made, tmp_path, way):
    one, path = written(made, tmp_path, "one"), tmp_path / "one.npz"
    assert is_whole(tmp_path, one)
    path.write_bytes(damaged(path.read_bytes(), way))

    with pytest.raises(ConfigError, match=r"one\.npz cannot be read: damaged or changed") as told:
        read_case(tmp_path, one)

    assert told.value.hint == AGAIN
    assert not is_whole(tmp_path, one)


def test_another_whole_case_in_the_place_of_one_is_refused(made, tmp_path):
    one = written(made, tmp_path, "one")
    written(replace(made, bleed=made.brain), tmp_path, "one")

    with pytest.raises(ConfigError, match="damaged or changed"):
        read_case(tmp_path, one)


def test_the_index_comes_back_sorted_by_name(tmp_path):
    entries = [entry("b", expanded=True), entry("a", onset_h=None, fallback=True), entry("c", expanded=False)]
    write_index(tmp_path, entries)

    assert read_index(tmp_path) == tuple(sorted(entries, key=lambda one: one.name))
    assert [path.name for path in tmp_path.iterdir()] == [INDEX_FILE]


def test_a_folder_that_nobody_prepared_is_said(tmp_path):
    with pytest.raises(ConfigError, match="There is no prepared cohort in") as told:
        read_index(tmp_path)
    assert "ichnode cohort prepare" in told.value.hint


@pytest.mark.parametrize("text", ["no JSON", json.dumps([{"name": "a"}]), json.dumps([1]), "3"])
def test_an_index_that_is_none_is_said(tmp_path, text):
    (tmp_path / INDEX_FILE).write_text(text)
    with pytest.raises(ConfigError, match="is not an index of prepared cases") as told:
        read_index(tmp_path)
    assert told.value.hint == AGAIN
