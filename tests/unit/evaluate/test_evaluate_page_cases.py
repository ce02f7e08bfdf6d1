"""A cohort measured with the node's code, a case at a time, and a run that was cut goes on."""

import re
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from ichnode.analyse import Network
from ichnode.domain.markers import Bat
from ichnode.evaluate.cases import Excluded, Measured
from ichnode.evaluate.pictures import picture_of
from ichnode.evaluate.walk import baselines, walk

BLEED_ML = 4 / 3 * np.pi * 18**3 / 1000


def test_a_case_is_measured_on_its_own_slices_against_its_label(cohort, network, tmp_path):
    case = next(walk(cohort, "val", network, tmp_path))

    assert isinstance(case, Measured)
    assert case.labelled_ml == pytest.approx(BLEED_ML, rel=0.03)
    assert case.found_ml == pytest.approx(BLEED_ML, rel=0.03)
    assert case.dice > 0.95
    assert case.hd95_mm < 5.01  # one slice
    assert (case.expansion, case.outcome, case.onset_h) == (0.75, True, 2.0)
    assert case.bat == Bat(low=2, high=2)  # a plain clot, but early


def test_what_is_found_in_a_head_without_a_bleed_is_told_in_ml(cohort, network, tmp_path):
    case = list(walk(cohort, "val", network, tmp_path))[1]

    assert (case.dice, case.hd95_mm, case.bat, case.bleeds) == (None, None, None, False)
    assert case.found_ml == pytest.approx(BLEED_ML, rel=0.03)


def test_a_case_that_cannot_be_measured_is_excluded_with_its_reason_and_the_others_go_on(cohort, network, tmp_path):
    answers = list(walk(cohort, "val", network, tmp_path))

    assert [isinstance(answer, Excluded) for answer in answers] == [False, False, True]
    assert "30 and 128 × 128 × 29" in answers[2].reason


def test_a_run_that_was_cut_goes_on_where_it_stopped(cohort, network, tmp_path):
    first = next(walk(cohort, "val", network, tmp_path))

    again = list(walk(cohort, "val", network, tmp_path))

    assert network.runtime.asked == 2
    assert again[0] == first


def test_a_damaged_answer_is_measured_anew(cohort, network, tmp_path):
    next(walk(cohort, "val", network, tmp_path))
    (kept,) = tmp_path.glob("bleeds-*.json")
    kept.write_bytes(kept.read_bytes()[:100])

    assert isinstance(next(walk(cohort, "val", network, tmp_path)), Measured)
    assert network.runtime.asked == 2


@pytest.mark.parametrize("changed", [{"sha256": "b" * 64}, {"threshold": 0.6}, {"min_component_ml": 1.0}])
def test_other_weights_or_another_operating_point_are_measured_anew(cohort, network, tmp_path, changed):
    next(walk(cohort, "val", network, tmp_path))
    other = Network(runtime=network.runtime, card=network.card.model_copy(update=changed))

    next(walk(cohort, "val", other, tmp_path))

    assert network.runtime.asked == 2


def test_a_changed_mask_or_onset_is_measured_anew_and_a_moved_cohort_is_not(cohort, network, tmp_path):
    next(walk(cohort, "val", network, tmp_path / "kept"))
    bleeds, plain, _ = cohort.cases
    moved = bleeds.ct.rename(tmp_path / "elsewhere.nii.gz")

    for changed in ({"ct": moved}, {"ct": moved, "onset_h": 3.0}, {"ct": moved, "mask": None}):
        next(walk(replace(cohort, cases=(replace(bleeds, **changed), plain)), "val", network, tmp_path / "kept"))

    assert network.runtime.asked == 3


def test_the_volume_model_is_given_the_labelled_volumes_whose_outcome_is_known(cohort, tmp_path):
    known = next(baselines(cohort, "val", tmp_path))

    assert known.labelled_ml == pytest.approx(BLEED_ML, rel=0.03)
    assert known.outcome is True


def test_a_case_that_the_volume_model_cannot_read_is_named_and_one_without_an_outcome_is_not(cohort, tmp_path):
    bleeds, _, short = cohort.cases

    answers = list(baselines(replace(cohort, cases=(bleeds, replace(short, expanded=False))), "val", tmp_path))

    assert [answer.name for answer in answers if isinstance(answer, Excluded)] == ["short"]
    assert len(list(baselines(cohort, "val", tmp_path))) == 1


def test_a_mask_with_values_that_are_no_numbers_is_excluded(cohort, network, tmp_path):
    image = nibabel.load(cohort.cases[0].mask)
    values = np.where(image.get_fdata() > 0, np.nan, 0).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, image.affine), cohort.cases[0].mask)

    assert isinstance(next(walk(cohort, "val", network, tmp_path)), Excluded)


def test_an_outline_of_a_picture_encloses_the_area_of_the_mask(bleeding):
    picture = picture_of(bleeding.volume, bleeding.bleed, np.zeros_like(bleeding.bleed))

    slices = bleeding.bleed.sum(axis=(1, 2))
    x, y = np.array([part.split() for part in re.split("[ML]", picture.labelled.rstrip("Z"))[1:]], float).T
    area_mm2 = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    assert picture.slice_index == slices.argmax()
    assert area_mm2 == pytest.approx(slices.max() * 1.8**2, rel=0.03)
    assert picture.found == ""
    # The head is 160 mm wide and 200 mm long; the bleed lies 25 mm left of its middle.
    assert (picture.width_mm, picture.height_mm) == (pytest.approx(168, abs=4), pytest.approx(208, abs=4))
    assert x.mean() - picture.width_mm / 2 == pytest.approx(25, abs=2)
