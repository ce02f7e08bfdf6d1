"""The markers beyond hypodensity and blend, on clots that are built here."""

import numpy as np
import pytest

from ichnode.domain.markers import MarkerName
from ichnode.findings.markers import (
    black_hole,
    blend,
    fluid_level,
    gravity,
    heterogeneous,
    irregular,
    island,
    read_markers,
    satellite,
    swirl,
)
from tests.unit.findings.clots import BRAIN_HU, CLOT_HU, Clot, stack

ON_THE_BACK = gravity("HFS")


def blob(clot, x_mm, y_mm, radius_mm):
    """A separate haematoma over two slices."""
    there = ((clot.x - x_mm) ** 2 + (clot.y - y_mm) ** 2 < radius_mm**2) & np.isin(clot.z, (0, 1))
    clot.mask |= there
    clot.hu[there] = CLOT_HU


def test_a_homogeneous_clot_shows_none_of_them():
    for seed in range(3):
        told = read_markers(Clot().seen(seed=seed), brain_hu=BRAIN_HU, down=ON_THE_BACK)

        assert [marker.name for marker in told] == list(MarkerName)
        assert [marker.name for marker in told if marker.present is not False] == []


@pytest.mark.parametrize(("darker_hu", "present"), [(42, True), (36, True), (24, False), (15, False)])
def test_a_black_hole_is_darker_than_its_surroundings_by_more_than_28_hu(darker_hu, present):
    clot = Clot()
    clot.hu[clot.disk(3, 2, 4)] -= darker_hu

    seen = black_hole(clot.seen())

    assert seen.present is present
    if present:
        assert seen.foci[0].contrast_hu == pytest.approx(darker_hu, abs=5)


@pytest.mark.parametrize("is_open", [False, True])
def test_a_streak_as_dark_as_brain_is_a_swirl_whether_it_is_open_or_not(is_open):
    clot = Clot()
    streak = (abs(clot.x) < (30 if is_open else 9)) & (abs(clot.y) < 2.2) & (abs(clot.z) <= 1)
    clot.hu[streak & clot.mask] = BRAIN_HU - 4

    seen = swirl(clot.seen(), BRAIN_HU)

    assert seen.present is True
    assert seen.foci[0].contrast_hu > 20


@pytest.mark.parametrize("spacing_mm", [0.45, 0.95])
def test_a_streak_of_two_pixels_or_more_is_as_dark_as_its_own_voxels(spacing_mm):
    clot = Clot(stack(spacing_mm=(spacing_mm, spacing_mm)))
    clot.hu[(abs(clot.y) < 1.9) & (abs(clot.x) < 8) & (clot.z == 0)] = BRAIN_HU - 6

    assert swirl(clot.seen(), BRAIN_HU).present is True


def test_a_streak_that_opens_to_the_outside_is_no_blend():
    clot = Clot()
    clot.hu[clot.mask & (abs(clot.y) < 2.6) & (clot.x > -6)] -= 40

    assert swirl(clot.seen(), BRAIN_HU).present is True
    assert blend(clot.seen()).present is False


def test_the_dark_end_of_a_clot_has_brain_mixed_in_and_is_no_swirl():
    clot = Clot()
    clot.hu[clot.disk(0, 0, 4, z=-2)] = BRAIN_HU

    assert swirl(clot.seen(), BRAIN_HU).present is False


def test_a_streak_denser_than_brain_is_no_swirl():
    clot = Clot()
    clot.hu[(abs(clot.x) < 9) & (abs(clot.y) < 2.2) & (abs(clot.z) <= 1)] = BRAIN_HU + 14

    assert swirl(clot.seen(), BRAIN_HU).present is False


def test_a_cleft_of_brain_between_two_lobes_is_no_swirl():
    clot = Clot()
    cleft = (abs(clot.x) < 2) & (clot.y < 0)
    clot.hu[cleft] = BRAIN_HU
    clot.mask &= ~cleft

    assert swirl(clot.seen(), BRAIN_HU).present is False


def test_without_the_other_hemisphere_a_swirl_cannot_be_told_and_the_reader_learns_why():
    seen = swirl(Clot().seen(), None)

    assert seen.present is None
    assert "other hemisphere" in seen.reason


@pytest.mark.parametrize(("pockets", "present"), [(2, False), (3, True), (4, True)])
def test_three_dark_places_on_the_largest_slice_are_heterogeneous_density(pockets, present):
    clot = Clot()
    for number in range(pockets):
        clot.hu[clot.disk(-9 + 9 * (number % 3), -3 + 9 * (number // 3), 3)] -= 20

    assert heterogeneous(clot.seen()).present is present


def test_dark_places_on_different_slices_do_not_add_up():
    clot = Clot()
    for number in range(3):
        clot.hu[clot.disk(-9 + 9 * number, -3, 3, z=number - 1)] -= 20

    assert heterogeneous(clot.seen()).present is False


@pytest.mark.parametrize(
    ("turned_deg", "present"), [(0, True), (7, True), (-7, True), (20, False), (90, False), (180, False)]
)
def test_a_fluid_level_is_level_with_the_dark_above(turned_deg, present):
    clot, turn = Clot(), np.radians(turned_deg)
    clot.hu[clot.mask & (clot.y * np.cos(turn) + clot.x * np.sin(turn) < -2)] -= 24

    assert fluid_level(clot.seen(), ON_THE_BACK).present is present


def test_a_fluid_level_is_straight():
    clot = Clot()
    clot.hu[clot.mask & (clot.y < -3 + clot.x**2 / 25)] -= 24

    assert fluid_level(clot.seen(), ON_THE_BACK).present is False


def test_a_thin_layer_above_is_a_level_though_it_is_no_tenth_of_the_clot():
    clot = Clot()
    clot.hu[clot.mask & (clot.y < -9)] -= 24

    assert fluid_level(clot.seen(), ON_THE_BACK).present is True
    assert blend(clot.seen()).present is False


def test_a_pocket_that_hangs_on_the_border_does_not_hide_a_level():
    clot = Clot()
    clot.hu[clot.mask & (clot.y < -5)] -= 24
    clot.hu[clot.disk(2, -1, 3.5) | clot.disk(2, -1, 3.5, z=1) | clot.disk(2, -1, 3.5, z=-1)] = CLOT_HU - 24

    assert fluid_level(clot.seen(), ON_THE_BACK).present is True


def test_a_pocket_on_a_neck_below_the_border_is_not_taken_for_the_border():
    clot = Clot()
    neck = (abs(clot.x) < 2.5) & (clot.y < 0)
    pocket = (abs(clot.x) < 7) & (clot.y > -1) & (clot.y < 3)
    clot.hu[clot.mask & ((clot.y < -5) | neck | pocket)] -= 24

    assert fluid_level(clot.seen(), ON_THE_BACK).present is True


def test_bone_beside_a_clot_makes_no_level():
    clot = Clot()
    clot.hu[clot.mask & (clot.y > 10)] = 800

    assert fluid_level(clot.seen(), ON_THE_BACK).present is False


def test_who_lies_on_the_face_has_the_dark_part_behind():
    clot = Clot()
    clot.hu[clot.mask & (clot.y > 2)] -= 24

    assert fluid_level(clot.seen(), gravity("HFP")).present is True
    assert fluid_level(clot.seen(), gravity("FFP")).present is True
    assert fluid_level(clot.seen(), ON_THE_BACK).present is False


def test_down_is_the_side_on_which_the_patient_lies():
    assert gravity("HFDR").tolist() == [-1, 0, 0]  # the right side is down
    assert gravity("FFDL").tolist() == [1, 0, 0]
    assert gravity("").tolist() == gravity("FFS").tolist() == [0, 1, 0]


def test_slices_that_lie_flat_on_the_ground_cannot_show_a_level():
    seen = fluid_level(Clot().seen(), np.array([0.0, 0.1, 1.0]))

    assert seen.present is None
    assert "flat" in seen.reason


@pytest.mark.parametrize(("depth_mm", "bays", "present"), [(6, 2, True), (6, 1, False), (2, 4, False)])
def test_two_deep_bays_of_the_outline_are_an_irregular_shape(depth_mm, bays, present):
    clot = Clot()
    for angle in np.linspace(0, 2 * np.pi, bays, endpoint=False) + 0.4:
        x, y = 18 * np.cos(angle), 14 * np.sin(angle)
        away = np.hypot(x, y)
        inwards = clot.x * x / away + clot.y * y / away
        across = abs(-clot.x * y / away + clot.y * x / away)
        clot.mask &= ~((inwards > away - depth_mm) & (across < 4))

    seen = irregular(clot.seen())

    assert seen.present is present
    assert len(seen.foci) == (bays if present else 0)


def test_two_separate_foci_make_a_shape_irregular_and_three_an_island_sign():
    clot = Clot()
    blob(clot, 25, 0, 4)
    blob(clot, -25, 0, 4)
    assert (irregular(clot.seen()).present, island(clot.seen()).present) == (True, False)

    blob(clot, 0, 21, 4)
    assert island(clot.seen()).present is True
    assert len(island(clot.seen()).foci) == 3


@pytest.mark.parametrize(("off_mm", "present"), [(8, True), (14, False)])
def test_a_focus_counts_that_comes_within_5_mm_of_the_largest_slice(off_mm, present):
    clot = Clot(stack(slices=60, gap_mm=1.0))
    clot.mask &= (abs(clot.x) < 10) | (clot.z == 0)
    for x in (-24, 24):
        clot.mask |= (clot.x - x) ** 2 + clot.y**2 + (clot.z - off_mm) ** 2 < 16

    assert irregular(clot.seen()).present is present


def test_four_small_haematomas_that_hang_on_the_main_one_are_an_island_sign():
    clot = Clot()
    for x, y in ((24, 0), (-24, 0), (0, 20), (0, -20)):
        blob(clot, x, y, 4)
        clot.mask |= (abs(clot.x - x * 0.8) < 3) & (abs(clot.y - y * 0.8) < 1) & (clot.z == 0)
        clot.mask |= (abs(clot.x - x * 0.8) < 1) & (abs(clot.y - y * 0.8) < 3) & (clot.z == 0)

    assert island(clot.seen()).present is True


@pytest.mark.parametrize(
    ("radius_mm", "gap_mm", "present"), [(4, 4, True), (4, 15, True), (6, 4, False), (4, 24, False)]
)
def test_a_satellite_is_small_and_near(radius_mm, gap_mm, present):
    clot = Clot(stack(size=200))
    blob(clot, 18 + gap_mm + radius_mm, 0, radius_mm)

    assert satellite(clot.seen()).present is present


@pytest.mark.parametrize(("pixels", "present"), [(1, False), (2, True)])
def test_the_gap_of_a_satellite_is_what_lies_between_edges_not_between_the_middles_of_pixels(pixels, present):
    clot = Clot(stack(spacing_mm=(0.9, 0.9)))
    clot.mask = (abs(clot.x) < 12) & (abs(clot.y) < 12) & (abs(clot.z) < 3)
    edge = int(np.flatnonzero(clot.mask[4, 64]).max())
    clot.mask[4, 61:67, edge + 1 + pixels : edge + 7 + pixels] = True

    assert satellite(clot.seen()).present is present


def test_a_fleck_of_label_is_no_satellite():
    clot = Clot()
    blob(clot, 25, 0, 0.8)

    assert satellite(clot.seen()).present is False


def test_evidence_is_a_closed_line_around_the_place_in_pixels_of_its_slice():
    clot = Clot()
    clot.hu[clot.disk(5, -3, 4)] -= 40

    focus = black_hole(clot.seen()).foci[0]
    rows, columns = np.array(focus.contour).T

    assert focus.contour[0] == focus.contour[-1]
    assert (rows.mean(), columns.mean()) == pytest.approx((64 - 6, 64 + 10), abs=2)
    assert np.ptp(columns) * 0.5 == pytest.approx(8, abs=2)


def test_without_a_haematoma_every_marker_is_untold():
    clot = Clot()
    clot.mask[:] = False

    told = read_markers(clot.seen(), brain_hu=BRAIN_HU, down=ON_THE_BACK)

    assert {marker.present for marker in told} == {None}
    assert all("no haematoma" in marker.reason for marker in told)
