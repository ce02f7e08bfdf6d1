"""cohort.csv and cohort.toml: written, read, and every mistake named with its place."""

from pathlib import Path

import pytest

from ichnode.cohort.table import COLUMNS, Card, Case, read_cohort, write_cohort
from ichnode.domain.errors import ConfigError

CARD = Card(name="all", description='Ünï "quoted"\nline', source="s", licence="l", citation="c", clipped_hu=(-20, 100))
TOML = 'name = "x"\ndescription = ""\nsource = "s"\nlicence = "l"\n'


def folder_with(
    tmp_path: Path, *lines: str, header="case,split,ct,mask,expanded,onset_h,spacing_mm", card=TOML
) -> Path:
    (tmp_path / "cohort.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    (tmp_path / "cohort.toml").write_text(card, encoding="utf-8")
    return tmp_path


def test_a_written_cohort_is_read_as_it_was(tmp_path):
    full = Case(
        name="a.1-b_2",
        patient='p, of the "comma"',
        split="val",
        ct=tmp_path / "a/ct",
        mask=Path("/elsewhere/mask.nii.gz"),
        followup_ct=tmp_path / "a/followup",
        followup_mask=tmp_path / "a/followup.nii",
        expanded=False,
        onset_h=1.1,
        spacing_mm=(5.0, 0.1, 0.30000000000000004),
    )
    bare = Case(name="b", patient="b", split="train", ct=tmp_path / "b.nii", mask=None)

    write_cohort(tmp_path, CARD, [full, bare])
    found = read_cohort(tmp_path)

    assert found.card == CARD
    assert found.cases == (full, bare)
    assert found.split("val") == (full,)
    assert (tmp_path / "cohort.csv").read_text().splitlines()[0] == ",".join(COLUMNS)
    assert not list(tmp_path.glob("*.part"))


def test_a_cohort_can_be_moved_with_its_images(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    write_cohort(here, CARD, [Case(name="b", patient="b", split="train", ct=here / "b.nii", mask=here / "m.nii")])

    here.rename(there)

    assert read_cohort(there).cases[0].mask == there / "m.nii"


def test_columns_may_be_left_out_and_stand_in_any_order(tmp_path):
    folder_with(tmp_path, "none , ct.nii,train,k1", "", header="mask,ct,split,case")

    (case,) = read_cohort(tmp_path).cases

    assert case == Case(name="k1", patient="k1", split="train", ct=tmp_path / "ct.nii", mask=None)


def test_a_table_of_a_spreadsheet_is_read_in_spite_of_its_byte_order_mark(tmp_path):
    folder = folder_with(tmp_path, "k,train,ct,none", header="\ufeffcase,split,ct,mask")

    assert read_cohort(folder).cases[0].name == "k"


@pytest.mark.parametrize(
    ("line", "column", "what"),
    [
        ("../k,train,ct,none", "case", "is no name"),
        (".k,train,ct,none", "case", "is no name"),
        ("first,train,ct,none", "case", "twice"),
        ("First,train,ct,none", "case", "'First' differs from 'first' in capital letters alone"),
        ("k,learn,ct,none", "split", "not one of train, val, test"),
        ("k,train,,none", "ct", "a path is needed"),
        ("k,train,ct,", "mask", "or none for a head without a bleed"),
        ("k,train,ct", "mask", "or none for a head without a bleed"),
        ("k,train,ct,none,yes", "mask", "neither a follow-up mask nor an expansion"),
        ("k,train,ct,m,maybe", "expanded", "not one of yes, no, nothing"),
        ("k,train,ct,m,,soon", "onset_h", "is not 1 number"),
        ("k,train,ct,m,,nan", "onset_h", "is not 1 number"),
        ("k,train,ct,m,,-1", "onset_h", "cannot be negative"),
        ("k,train,ct,m,,,5 0.4", "spacing_mm", "is not 3 numbers"),
        ("k,train,ct,m,,,5 0 0.4", "spacing_mm", "positive"),
        ("k,train,ct,m,,,5 1 1,more", "line", "8 fields, and 7 columns"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_column(tmp_path, line, column, what):
    folder = folder_with(tmp_path, "first,train,ct,none", line)

    with pytest.raises(ConfigError) as caught:
        read_cohort(folder)

    assert str(caught.value).startswith(f"{folder / 'cohort.csv'}:3: {column}: ")
    assert what in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_all_mistakes_are_told_at_once(tmp_path):
    folder = folder_with(tmp_path, "a,learn,ct,none", "b,train,,none")

    with pytest.raises(ConfigError) as caught:
        read_cohort(folder)

    assert [line.split(": ")[0][-1] for line in str(caught.value).splitlines()] == ["2", "3"]


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("case,split,ct", "column 'mask' is missing"),
        ("case,split,ct,mask,colour", "column 'colour' is unknown"),
        ("case,split,ct,mask,ct", "column 'ct' stands there twice"),
        ("case;split;ct;mask", "column 'case' is missing"),
    ],
)
def test_a_wrong_head_line_is_named(tmp_path, header, what):
    with pytest.raises(ConfigError, match=f"cohort.csv:1: {what}"):
        read_cohort(folder_with(tmp_path, "k,train,ct,none", header=header))


@pytest.mark.parametrize(
    ("card", "what"),
    [
        ("name = ", "not valid TOML"),
        (TOML + "colour = 1\n", "colour"),
        (TOML.replace("licence", "license"), "licence: Field required"),
        (TOML + "clipped_hu = [100, -20]\n", "lowest, highest"),
    ],
)
def test_a_wrong_card_is_named(tmp_path, card, what):
    with pytest.raises(ConfigError, match=what) as caught:
        read_cohort(folder_with(tmp_path, "k,train,ct,none", card=card))

    assert str(tmp_path / "cohort.toml") in str(caught.value)


def test_a_folder_that_is_no_cohort_is_told_so(tmp_path):
    with pytest.raises(ConfigError, match=r"cohort\.toml cannot be read: No such file") as caught:
        read_cohort(tmp_path)

    assert "cohort.csv and cohort.toml" in caught.value.hint


def test_a_table_without_cases_is_no_cohort(tmp_path):
    with pytest.raises(ConfigError, match="the table has no case"):
        read_cohort(folder_with(tmp_path))
