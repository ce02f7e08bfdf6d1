"""What is trained on is what the cohort's table says now: every case that is not is named."""

from dataclasses import replace

import pytest

from ichnode.cohort import prepare
from ichnode.cohort.prepare import prepared_folder, prepared_folders
from ichnode.cohort.prepared import write_index
from ichnode.cohort.table import Card, Case, write_cohort
from ichnode.domain.errors import ConfigError

CARD = Card(name="built", description="", source="this test", licence="none")


@pytest.fixture
def cases(tmp_path):
    made = []
    for name in ("a", "b"):
        ct, mask = tmp_path / f"{name}.nii", tmp_path / f"{name}_mask.nii"
        ct.write_bytes(name.encode())
        mask.write_bytes(b"mask")
        made.append(Case(name=name, patient=name, split="train", ct=ct, mask=mask))
    return made


@pytest.fixture
def folder(tmp_path, cases, prepared):
    """A cohort of two cases and its index, as if they had been prepared."""
    write_cohort(tmp_path, CARD, cases)
    made = prepared_folder(tmp_path, "fov224")
    sources = {case.name: prepare._digest(case, CARD, "fov224") for case in cases}
    prepared(made.name, **{name: {"source": source} for name, source in sources.items()})
    return tmp_path


def refused(folder):
    with pytest.raises(ConfigError) as told:
        prepared_folders([folder], "fov224")
    assert told.value.hint.startswith(f"Run `ichnode cohort prepare --cohort {folder} --preset fov224` first.")
    return str(told.value).partition("is not what was prepared of it ")[2], told.value.hint


def test_a_cohort_as_it_was_prepared_and_a_folder_without_a_table_are_taken(folder):
    made = prepared_folder(folder, "fov224")
    assert prepared_folders([folder, made], "fov224") == (made, made)


@pytest.mark.parametrize("kind", ["ct", "mask"])
@pytest.mark.parametrize("data", [b"other bytes", None])
def test_a_case_whose_files_have_changed_or_are_gone_is_named(folder, cases, kind, data):
    path = getattr(cases[1], kind)
    path.unlink() if data is None else path.write_bytes(data)

    assert refused(folder)[0] == "(changed since: b)."


@pytest.mark.parametrize("changed", [{"split": "val"}, {"patient": "p"}, {"onset_h": 2.0}, {"expanded": True}])
def test_a_case_whose_line_in_the_table_has_changed_is_named(folder, cases, changed):
    write_cohort(folder, CARD, [replace(cases[0], **changed), cases[1]])
    assert refused(folder)[0] == "(changed since: a)."


def test_other_code_or_another_clipping_changes_every_case(folder, cases, monkeypatch):
    write_cohort(folder, CARD.model_copy(update={"clipped_hu": (-20, 100)}), cases)
    assert refused(folder)[0] == "(changed since: a, b)."

    write_cohort(folder, CARD, cases)
    monkeypatch.setattr(prepare, "_code_digest", lambda: "other code")
    assert refused(folder)[0] == "(changed since: a, b)."


def test_cases_that_came_or_went_are_named(folder, cases):
    write_cohort(folder, CARD, [cases[0], replace(cases[1], name="c")])
    assert refused(folder)[0] == "(not prepared: c; no longer in it: b)."


def test_a_case_that_could_not_be_prepared_is_named_as_such(folder):
    write_index(prepared_folder(folder, "fov224"), ())
    said, hint = refused(folder)

    assert said == "(not prepared: a, b)."
    assert "cannot prepare has to leave cohort.csv" in hint


def test_a_cohort_that_was_never_prepared_is_said(tmp_path, cases):
    write_cohort(tmp_path, CARD, cases)
    with pytest.raises(ConfigError, match="has not been prepared for the network"):
        prepared_folders([tmp_path], "fov224")
