"""Where a segmentation lies, what the network is shown, and what a site refuses."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from ichnode.domain.errors import Refused
from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.spread import Spread
from ichnode.findings.gates.inputs import MEANINGS, NOISE, figures, noisy, spreads, unlike
from ichnode.findings.gates.judge import ADVICE, doubts_of_input, doubts_of_mask, doubts_of_stripping, refuse
from ichnode.findings.gates.sight import look
from ichnode.image.prepare import PRESETS, window
from ichnode.model.weights import read_card
from ichnode.phantom.make import make_phantom
from ichnode.phantom.spec import PhantomSpec

SPACING_MM = PRESETS["fov224"].spacing_mm
TRAINED = read_card(Path(__file__).parents[3] / "weights" / "ich-zhong2021").spreads


@cache
def phantom():
    return make_phantom(PhantomSpec(seed=7, matrix=256)).volume


@cache
def sight():
    return look(phantom())


@cache
def shown():
    return window(phantom(), PRESETS["fov224"])


def native(coarse):
    """A mask on the coarse grid as one on the volume's own."""
    rows, columns = (size // part for size, part in zip(phantom().hu.shape[1:], coarse.shape[1:], strict=True))
    out = np.zeros(phantom().hu.shape, bool)
    fine = np.repeat(np.repeat(coarse, rows, axis=1), columns, axis=2)
    out[:, : fine.shape[1], : fine.shape[2]] = fine
    return out


def flags(mask):
    return {doubt.flag: doubt.evidence for doubt in doubts_of_mask(sight(), mask)}


def ball(radius_mm, depth_mm):
    """A ball whose middle lies that deep below the skull, beside the widest slice's middle."""
    k = int(sight().areas_cm2.argmax())
    depth = ndimage.distance_transform_edt(sight().hull[k], sampling=sight().pixel_mm)
    row = int(ndimage.center_of_mass(sight().hull[k])[0])
    column = int(np.flatnonzero(depth[row] >= depth_mm)[0])
    z = sight().heights_mm - sight().heights_mm[k]
    y, x = (np.arange(n) - at for n, at in zip(sight().hull.shape[1:], (row, column), strict=True))
    far = np.sqrt(
        z[:, None, None] ** 2 + (y[:, None] * sight().pixel_mm[0]) ** 2 + (x[None, :] * sight().pixel_mm[1]) ** 2
    )
    return native((far < radius_mm) & sight().hull)


def crescent(thick_mm):
    """All within so many mm of the skull, on one side of the head."""
    out = np.zeros_like(sight().hull)
    for k in sight().vault[:5]:
        depth = ndimage.distance_transform_edt(sight().hull[k], sampling=sight().pixel_mm)
        out[k] = (depth > 0) & (depth < thick_mm)
        out[k, :, : out.shape[2] // 2] = False
    return native(out)


def test_a_crescent_along_the_skull_is_no_blood_of_the_brain():
    said = flags(crescent(8))[Flag.QF_EXTRAAXIAL]

    assert "within 8 mm of the skull" in said


@pytest.mark.parametrize(("radius_mm", "depth_mm"), [(12, 12), (15, 35), (20, 22)], ids=["lobar", "deep", "large"])
def test_a_ball_within_the_brain_bears_no_doubt(radius_mm, depth_mm):
    assert flags(ball(radius_mm, depth_mm)) == {}


def test_what_lies_in_a_ventricle_is_bounded_by_liquor():
    dark = (sight().hu < 15) & sight().hull
    depth = np.stack([ndimage.distance_transform_edt(plane, sampling=sight().pixel_mm) for plane in dark])
    middle = np.unravel_index(depth.argmax(), depth.shape)
    plexus = np.zeros_like(dark)
    plexus[middle] = True

    assert "surface lies at liquor" in flags(native(plexus))[Flag.QF_LIQUOR]


def test_no_mask_bears_no_doubt():
    assert flags(np.zeros(phantom().hu.shape, bool)) == {}


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ((0, 100, 100), "reaches the first slice"),
        ((-1, 100, 100), "reaches the last slice"),
        ((15, 0, 100), "reaches the first row of the picture"),
        ((15, 100, -1), "reaches the last column of the picture"),
    ],
)
def test_a_mask_at_the_border_says_at_which(place, said):
    mask = np.zeros(phantom().hu.shape, bool)
    mask[place] = True

    assert flags(mask)[Flag.QF_TOUCH] == said


def test_the_card_of_the_shipped_weights_knows_every_figure():
    assert TRAINED.keys() == MEANINGS.keys()
    assert all(each.lowest < each.mean < each.highest for each in TRAINED.values())


def test_a_phantom_is_like_the_training_cases():
    assert doubts_of_input(shown().hu, shown().brain, SPACING_MM, TRAINED) == ()


def test_noise_beyond_the_training_cases_is_told_in_hu():
    grain = np.random.default_rng(1).normal(0, 6, shown().hu.shape).astype(np.float32)
    hu = np.where(shown().brain, np.clip(shown().hu + grain, 0, 100), 0)

    found = {doubt.flag: doubt.evidence for doubt in doubts_of_input(hu, shown().brain, SPACING_MM, TRAINED)}

    assert "HU on the network's grid, training cases up to" in found[Flag.QF_NOISE]


def test_noise_is_measured_as_it_is():
    brain = np.ones((4, 64, 64), bool)
    slope = np.linspace(20, 40, 64, dtype=np.float32)[None, None, :]
    grain = np.random.default_rng(1).normal(0, 2, brain.shape).astype(np.float32)

    assert figures(slope + grain, brain, SPACING_MM)[NOISE] == pytest.approx(2, rel=0.05)


def unlikeness(hu, brain, spacing_mm=SPACING_MM):
    return {doubt.flag: doubt.evidence for doubt in doubts_of_input(hu, brain, spacing_mm, TRAINED)}[Flag.QF_UNLIKE]


def test_hu_that_are_off_by_a_dozen_are_unlike_the_training_cases():
    hu, brain = shown().hu, shown().brain

    assert unlikeness(np.where(brain & (hu < 60), hu + 14, hu), brain).startswith("median of the brain, HU: 4")


def test_a_head_of_half_the_size_is_unlike_the_training_cases():
    assert "SD away" in unlikeness(shown().hu, shown().brain, (5.0, 0.4375, 0.4375))


def test_a_brain_with_a_large_dense_part_is_unlike_the_training_cases():
    hu = shown().hu.copy()
    hu[14:20, 100:150, 80:120] = 96

    assert unlikeness(np.where(shown().brain, hu, 0), shown().brain).startswith("bright end of the brain")


def test_what_a_training_case_has_reached_is_not_far():
    wide = {"median_hu": Spread(mean=30, sd=1, lowest=20, highest=40)}

    assert unlike({"median_hu": 39.9}, wide) is None
    assert unlike({"median_hu": 40.1}, wide) == Doubt(
        flag=Flag.QF_UNLIKE, evidence="median of the brain, HU: 40.1; training cases 30 +- 1, 10 SD away"
    )


def test_a_card_without_figures_judges_nothing():
    assert doubts_of_input(shown().hu, shown().brain, SPACING_MM, {}) == ()
    assert noisy({NOISE: 99.0}, {}) is None


def test_spreads_are_those_of_the_cases():
    cases = [dict.fromkeys(MEANINGS, value) for value in (1.0, 3.0)]

    assert spreads(cases)[NOISE] == Spread(mean=2.0, sd=pytest.approx(2**0.5), lowest=1.0, highest=3.0)


def test_stripping_that_failed_says_what_it_saw():
    [doubt] = doubts_of_stripping(sight(), {Flag.QF_STRIP})

    assert doubt.evidence.endswith("mL of soft tissue lie within bone")


def test_a_refused_flag_ends_in_a_sentence_that_says_why_where_and_what_to_do():
    metal = Doubt(flag=Flag.QF_METAL, evidence="1.2 mL above 2500 HU, slices 4 to 6")

    with pytest.raises(Refused) as refused:
        refuse([Doubt(flag=Flag.QF_TILT), metal], frozenset({Flag.QF_METAL, Flag.QF_HEAD}))

    assert str(refused.value) == (
        "Metal or heavy streaks (1.2 mL above 2500 HU, slices 4 to 6). Read the images yourself, or send a series with "
        "metal artefact reduction. The configuration of this node refuses QF_METAL."
    )
    assert refused.value.flags == {Flag.QF_METAL}


def test_what_is_not_refused_passes():
    refuse([Doubt(flag=flag) for flag in Flag], frozenset())


def test_every_flag_fits_a_code_and_its_meaning():
    assert all(len(flag.name) <= 16 and len(flag.value) <= 64 for flag in Flag)
    assert ADVICE.keys() <= set(Flag)
