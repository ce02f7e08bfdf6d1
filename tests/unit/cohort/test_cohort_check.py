"""What does not fit is found, case by case and between cases; what fits is left alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ichnode.cohort.check import Kind, check_cohort
from ichnode.cohort.sheet import CAPTION, GAP, SIDE, TITLE, Cell, draw_sheet, tile_of
from ichnode.cohort.table import Card, Case, Cohort
from ichnode.domain.values import FrameSource, Volume


def kinds_of(cohort, jobs=1):
    return {one.case.name: [fault.kind for fault in one.faults] for one in check_cohort(cohort, jobs=jobs, told=nobody)}


def nobody(_name):
    pass


def test_a_good_cohort_has_no_faults(built, cohort_of, straight, drawn_head):
    hu, mask = drawn_head(straight(), bleed=None)
    healthy = replace(built("healthy", split="val", hu=hu, mask=mask), mask=None)
    again = built("again", patient="one", hu=drawn_head(straight(), bleed_hu=66)[0])
    told: list[str] = []

    found = check_cohort(cohort_of([built("one"), again, healthy]), jobs=1, told=told.append)

    assert [(one.case.name, one.faults, one.flags) for one in found] == [
        (name, (), frozenset()) for name in ("one", "again", "healthy")
    ]
    assert told == ["one", "again", "healthy"]
    assert found[0].volume_ml == pytest.approx(14.8, abs=0.3)


@pytest.mark.parametrize(
    ("flipped", "kind"),
    [((2,), Kind.DENSITY), ((0, 1, 2), Kind.DENSITY), ("outwards", Kind.OUTSIDE), ("away", Kind.EMPTY)],
)
def test_a_mask_that_is_not_on_the_bleed_is_found(built, cohort_of, straight, drawn_head, flipped, kind):
    mask = drawn_head(straight(), bleed=((30, 20, 10), (14, 14, 14)))[1]
    if flipped == "away":
        mask = np.zeros_like(mask)
    else:
        mask = np.roll(mask, 18, axis=2) if flipped == "outwards" else np.flip(mask, flipped)

    assert kind in kinds_of(cohort_of([built(mask=mask)]))["one"]


@pytest.mark.parametrize(("bleed_hu", "faults"), [(30, 1), (36, 1), (45, 0), (95, 0), (300, 1)])
def test_a_bleed_of_another_density_than_blood_is_found(built, cohort_of, straight, drawn_head, bleed_hu, faults):
    hu, _ = drawn_head(straight(), bleed_hu=bleed_hu)

    assert kinds_of(cohort_of([built(hu=hu)]))["one"] == [Kind.DENSITY] * faults


def test_a_table_of_water_is_no_head(built, cohort_of, straight):
    water = np.full(straight().shape, -1000, np.int16)
    water[:, 30:60, 30:60] = 0

    assert Kind.NO_HEAD in kinds_of(cohort_of([built(hu=water)]))["one"]


@pytest.mark.parametrize("part", [slice(None, 20), slice(12, None)])
def test_a_head_that_is_cut_is_found(built, cohort_of, straight, drawn_head, part):
    whole = straight()
    hu, mask = (values[part] for values in drawn_head(whole, bleed=((30, 0, 0), (10, 14, 14))))
    cut = replace(whole, origins_mm=whole.origins_mm[part])

    assert kinds_of(cohort_of([built(geometry=cut, hu=hu, mask=mask)]))["one"] == [Kind.CUT]


def test_a_head_cut_by_the_side_of_the_images_is_found(built, cohort_of, straight, drawn_head):
    hu, mask = (values[:, :, :74] for values in drawn_head(straight()))
    narrow = replace(straight(), columns=74)

    assert Kind.CUT in kinds_of(cohort_of([built(geometry=narrow, hu=hu, mask=mask)]))["one"]


def test_a_holder_at_the_border_is_no_cut_head(built, cohort_of, straight, drawn_head):
    hu, _ = drawn_head(straight())
    hu[:, -5:, 30:66] = 1000  # 12 mm thick and 86 mm wide, just behind the head

    assert kinds_of(cohort_of([built(hu=hu)]))["one"] == []


def test_a_bleed_in_the_last_slice_may_go_on_beyond_it(built, cohort_of, straight, drawn_head):
    mask = drawn_head(straight())[1]
    mask[0, 48, 48] = True

    assert kinds_of(cohort_of([built(mask=mask)]))["one"] == [Kind.CUT]


def test_files_that_are_not_there_and_grids_that_differ_are_told(built, cohort_of, straight, ras_affine):
    missing = replace(built("missing"), mask=Path("/nowhere/mask.nii"))
    shifted = built("shifted", mask_affine=ras_affine(straight(spacing_mm=2.0)))

    found = check_cohort(cohort_of([missing, shifted]), jobs=1, told=nobody)

    assert [[fault.kind for fault in one.faults] for one in found] == [[Kind.UNREADABLE], [Kind.GEOMETRY]]
    assert found[0].faults[0].text == "/nowhere/mask.nii is not there."
    assert found[0].volume_ml is None


def test_a_patient_in_two_splits_is_told_of_each_case(built, cohort_of, straight, drawn_head):
    hu, _ = drawn_head(straight(), bleed_hu=66)
    cases = [built("one", patient="p"), built("two", patient="p", split="val", hu=hu), built("three", suffix=".nii.gz")]

    found = kinds_of(cohort_of(cases[:2]))

    assert found == {"one": [Kind.PATIENT], "two": [Kind.PATIENT]}


def test_the_same_ct_is_known_again_packed_and_as_a_follow_up(built, cohort_of, straight, drawn_head):
    other = built("other", suffix=".nii.gz", orientation="RAS")
    hu, _ = drawn_head(straight(), bleed_hu=66)
    followed = replace(built("followed", hu=hu), followup_ct=other.ct, followup_mask=other.mask)

    found = check_cohort(cohort_of([built("one"), other, followed]), jobs=1, told=nobody)

    assert [[fault.kind for fault in one.faults] for one in found] == [[Kind.TWICE]] * 3
    assert found[0].faults[0].text == "The same CT is that of one and other and followed (follow-up)."


@pytest.mark.parametrize(("said", "kinds"), [(True, []), (None, []), (False, [Kind.OUTCOME])])
def test_an_outcome_that_the_follow_up_contradicts_is_found(built, cohort_of, straight, drawn_head, said, kinds):
    hu, mask = drawn_head(straight(), bleed=((30, 0, 10), (16, 20, 16)))
    later = built("later", hu=hu, mask=mask)
    case = replace(built("one"), followup_ct=later.ct, followup_mask=later.mask, expanded=said)

    assert kinds_of(cohort_of([case]))["one"] == kinds


def test_a_follow_up_that_cannot_be_read_is_found(built, cohort_of, tmp_path):
    case = replace(built("one"), followup_ct=tmp_path / "lost", followup_mask=tmp_path / "lost.nii")

    assert kinds_of(cohort_of([case]))["one"] == [Kind.FOLLOWUP]


def test_a_damaged_header_is_a_line_of_the_check(built, cohort_of):
    case = built("one")
    data = bytearray(case.ct.read_bytes())
    data[280:284] = bytes(4)  # srow_x: no step from column to column
    case.ct.write_bytes(data)

    assert kinds_of(cohort_of([case]))["one"] == [Kind.GEOMETRY]


def test_an_empty_mask_of_the_follow_up_is_found(built, cohort_of, straight, drawn_head):
    hu, mask = drawn_head(straight(), bleed_hu=66)
    later = built("later", hu=hu, mask=np.zeros_like(mask))
    case = replace(built("one"), followup_mask=later.mask)

    assert kinds_of(cohort_of([case]))["one"] == [Kind.FOLLOWUP]
    assert kinds_of(cohort_of([replace(case, followup_ct=later.ct)]))["one"] == [Kind.FOLLOWUP]


def test_a_follow_up_without_a_mask_is_read_all_the_same(built, cohort_of, straight, drawn_head, tmp_path):
    later, other = (
        built(name, hu=drawn_head(straight(), bleed_hu=hu)[0]) for name, hu in (("later", 66), ("lost", 67))
    )
    cases = [replace(built("good"), followup_ct=later.ct), replace(other, followup_ct=tmp_path / "no")]

    found = kinds_of(cohort_of(cases))

    assert found == {"good": [], "lost": [Kind.FOLLOWUP]}


def test_a_follow_up_whose_mask_is_not_on_its_ct_is_found(built, cohort_of, straight, ras_affine):
    later = built("later", mask_affine=ras_affine(straight(spacing_mm=2.0)))
    case = replace(built("one", suffix=".nii.gz"), followup_ct=later.ct, followup_mask=later.mask)

    assert Kind.FOLLOWUP in kinds_of(cohort_of([case]))["one"]


def test_faults_of_the_follow_up_are_told_beside_those_of_an_unreadable_first_ct(built, cohort_of):
    case = replace(built("one"), ct=Path("/nowhere/ct.nii"), followup_mask=Path("/nowhere/later.nii"))

    (found,) = check_cohort(cohort_of([case]), jobs=1, told=nobody)

    assert [(fault.kind, fault.text) for fault in found.faults] == [
        (Kind.UNREADABLE, "/nowhere/ct.nii is not there."),
        (Kind.FOLLOWUP, "/nowhere/later.nii is not there."),
    ]


def test_processes_find_what_one_finds_in_the_order_of_the_table(built, cohort_of):
    broken = replace(built("b"), ct=Path("/nowhere"))
    cohort = cohort_of([broken, built("c"), built("a", orientation="RAS")])

    parallel = kinds_of(cohort, jobs=2)

    assert parallel == kinds_of(cohort)
    assert list(parallel) == ["b", "c", "a"]


def test_the_real_cases_fit(real_data):
    folder = real_data / "phe-sich" / "train"
    card = Card(name="c", description="", source="s", licence="l", clipped_hu=(-20, 100))
    cases = tuple(
        Case(name=n, patient=n, split="train", ct=folder / f"{n}_ct.nii.bz2", mask=folder / f"{n}_bleed.nii.bz2")
        for n in ("0048", "0136")  # the one with the most brain in its last slice, the one with the palest bleed
    )

    assert kinds_of(Cohort(folder=folder, card=card, cases=cases)) == {"0048": [], "0136": []}


def test_the_real_plastic_head_is_no_head(real_data, card):
    case = Case(name="ph", patient="ph", split="test", ct=real_data / "dicom/philips-study/S2010", mask=None)

    (found,) = check_cohort(Cohort(folder=real_data, card=card, cases=(case,)), jobs=1, told=nobody)

    assert [fault.kind for fault in found.faults] == [Kind.NO_HEAD]
    assert found.tile is not None


def volume_of(hu, geometry):
    sources = tuple(FrameSource(sop_instance_uid=str(k)) for k in range(len(hu)))
    return Volume(hu=hu, geometry=geometry, sources=sources)


@pytest.mark.parametrize("turned", [False, True])
def test_a_tile_shows_the_slice_of_the_largest_bleed_the_patients_left_on_the_right(straight, drawn_head, turned):
    geometry, (hu, mask) = straight(), drawn_head(straight(), bleed=((30, 20, 10), (14, 18, 14)))
    if turned:  # the same head, its columns running to the patient's right and its rows to the front
        far = (geometry.columns - 1) * geometry.column_spacing_mm
        origins = geometry.origins_mm + np.array([far, far, 0.0])
        ways = {"row_cosine": -geometry.row_cosine, "column_cosine": -geometry.column_cosine}
        geometry, hu, mask = replace(geometry, origins_mm=origins, **ways), hu[:, ::-1, ::-1], mask[:, ::-1, ::-1]

    tile = tile_of(volume_of(hu, geometry), hu > 0, mask)

    assert tile.grey.shape == tile.bleed.shape == (SIDE, SIDE)
    rows, columns = np.nonzero(tile.bleed)
    # 30 mm to the left and 20 mm behind the middle of 230 mm on 256 pixels
    assert columns.mean() == pytest.approx(127.5 + 33.4, abs=2.5)
    assert rows.mean() == pytest.approx(127.5 + 22.3, abs=2.5)
    assert len(rows) == pytest.approx(np.pi * 14 * 18 * (SIDE / 230) ** 2, rel=0.06)
    assert np.median(tile.grey[tile.bleed]) == pytest.approx(65 / 80 * 255, abs=2)


def test_the_sheet_has_every_case_in_order_with_its_contour(straight, drawn_head):
    hu, mask = drawn_head(straight())
    tile = tile_of(volume_of(hu, straight()), hu > 0, mask)
    good = Cell(name="good", note="train", volume_ml=12.3, tile=tile)
    cells = [good] * 4 + [Cell(name="lost" * 40, note="val", volume_ml=None, tile=None, fault="unreadable")]

    sheet = np.asarray(draw_sheet("title", cells)).astype(int)

    assert sheet.shape == (TITLE + 2 * (SIDE + CAPTION + GAP), GAP + 4 * (SIDE + GAP), 3)
    for index in range(4):
        x = GAP + index * (SIDE + GAP)
        part = sheet[TITLE : TITLE + SIDE, x : x + SIDE]
        red = (part[..., 0] > 200) & (part[..., 1] < 120)
        rows, columns = np.nonzero(tile.bleed)
        assert np.argwhere(red).min(axis=0) == pytest.approx([rows.min(), columns.min()], abs=2)
        assert np.argwhere(red).max(axis=0) == pytest.approx([rows.max(), columns.max()], abs=2)
    amber = (sheet[..., 0] > 200) & (sheet[..., 1] > 150) & (sheet[..., 2] < 60)
    assert np.argwhere(amber).min(axis=0).tolist() == [TITLE + SIDE + CAPTION + GAP, GAP]
    captions = sheet[TITLE + SIDE + CAPTION + GAP + SIDE :]
    assert captions[:, GAP + SIDE :].max() < 40  # a long name does not run on
