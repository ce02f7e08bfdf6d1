"""Each showing differs as far as the recipe says and no further, and the same generator gives the same bytes."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from ichnode.cohort.prepared import Prepared
from ichnode.cohort.read import read_case
from ichnode.cohort.table import Card, Case
from ichnode.image.prepare import PRESETS, normalise, window
from ichnode.image.resample import resample
from ichnode.train.augment import plain, show
from ichnode.train.recipe import read_recipe, recipe_names

SIZE = 96  # rows and columns of the cases whose geometry is measured: healing reaches eight pixels
TO_THE_LEFT = -1  # the axis of the columns, which run to the patient's left


def shown(case, recipe, seed=1):
    values, bleed, healed = show(case, recipe, np.random.default_rng(seed))
    return values[0].numpy(), bleed[0].numpy() > 0, healed


def centre(mask):
    return np.array(ndimage.center_of_mass(mask))


def noise(values, mask, axis=2):
    """Standard deviation between neighbours along ``axis``, in units of the values."""
    both = np.moveaxis(mask, axis, 0)
    return np.diff(np.moveaxis(values, axis, 0), axis=0)[both[1:] & both[:-1]].std()


@pytest.fixture
def fine(case):
    """A case fine enough to measure: 24 slices of 96 x 96, its spacing that of fov224."""
    return case(3, shape=(24, SIZE, SIZE))


@pytest.fixture
def exactly(recipe):
    """A recipe with augmentations whose uniform draws all come out at their upper bound."""

    class AtTheBound:
        def uniform(self, _low=0.0, high=1.0, size=None):
            return high if size is None else np.full(size, high)

        def standard_normal(self, shape, dtype):
            return np.random.default_rng(0).standard_normal(shape, dtype)

    def make(case, **augmentation):
        values, bleed, healed = show(case, recipe(augmentation=augmentation), AtTheBound())
        return values[0].numpy(), bleed[0].numpy() > 0, healed

    return make


@pytest.mark.parametrize("name", recipe_names())
def test_the_same_generator_gives_the_same_bytes_another_gives_others(case, name):
    one, same, other = (shown(case(), read_recipe(name), seed) for seed in (1, 1, 2))

    assert (one[0].tobytes(), one[1].tobytes()) == (same[0].tobytes(), same[1].tobytes())
    assert one[0].tobytes() != other[0].tobytes()


@pytest.mark.parametrize("plane_only", [False, True])
def test_without_augmentation_a_showing_is_the_case_as_it_is(case, recipe, plane_only):
    values, bleed, healed = shown(case(), recipe(augmentation={"plane_only": plane_only}))
    wanted, true = plain(case())

    assert np.abs(values - wanted[0].numpy()).max() < 1e-4
    assert np.array_equal(bleed, true[0].numpy() > 0)
    assert bleed.any()
    assert not healed


def test_the_plain_case_is_what_the_node_shows_the_network(case):
    values, bleed = plain(case())

    assert np.array_equal(values[0].numpy(), normalise(case().hu, case().brain))
    assert (values.dtype, bleed.dtype) == (torch.float32, torch.float32)
    assert values.shape == bleed.shape == (1, *case().hu.shape)


def test_a_showing_is_normalised_after_all_else(fine, recipe):
    """Contrast and offset are of the scanner: but for what is clipped, the network does not see them."""
    values, _, _ = shown(fine, recipe(augmentation={"gain": 0.1, "offset_hu": 5}))

    assert values == pytest.approx(plain(fine)[0][0].numpy(), abs=1e-3)
    assert values.min() == 0


@pytest.mark.parametrize(("plane_only", "power"), [(False, 3), (True, 2)])
def test_a_scale_changes_the_volume_by_its_third_power_or_in_the_plane_by_its_second(fine, exactly, plane_only, power):
    _, bleed, _ = exactly(fine, scale=0.1, plane_only=plane_only)

    assert bleed.sum() / fine.bleed.sum() == pytest.approx(1.1**power, rel=0.06)


@pytest.mark.parametrize("plane_only", [False, True])
def test_a_shift_is_a_share_of_the_size_along_each_axis(fine, exactly, plane_only):
    _, bleed, _ = exactly(fine, shift=1 / 24, plane_only=plane_only)

    assert np.abs(centre(bleed) - centre(fine.bleed)) == pytest.approx([1, SIZE / 24, SIZE / 24], abs=0.05)


def test_a_shift_along_the_axis_leaves_each_slice_as_sharp_as_it_was(fine, recipe):
    """5 mm slices moved by a part of their thickness would be blurred into each other."""
    moving = recipe(augmentation={"shift": 0.05, "plane_only": True})
    still = noise(plain(fine)[0][0].numpy(), fine.bleed, axis=0)

    for seed in range(5):
        values, bleed, _ = shown(fine, moving, seed)
        in_the_plane = noise(values, bleed, axis=1)
        assert noise(values, bleed, axis=0) > 1.0 * in_the_plane
        assert noise(values, bleed, axis=0) > 0.6 * still


def test_a_turn_in_the_plane_is_about_the_long_axis_by_its_angle(fine, exactly):
    _, bleed, _ = exactly(fine, turn_deg=20, plane_only=True)

    middle = (SIZE - 1) / 2
    (z0, y0, x0), (z1, y1, x1) = centre(fine.bleed), centre(bleed)
    turned = np.degrees(np.arctan2(y1 - middle, x1 - middle) - np.arctan2(y0 - middle, x0 - middle))
    assert abs((turned + 180) % 360 - 180) == pytest.approx(20, abs=1)
    assert np.hypot(y1 - middle, x1 - middle) == pytest.approx(np.hypot(y0 - middle, x0 - middle), abs=0.3)
    assert z1 == pytest.approx(z0, abs=0.1)
    assert bleed.sum() == pytest.approx(fine.bleed.sum(), rel=0.05)


def test_a_turn_in_space_is_rigid_in_millimetres_though_slices_are_thicker_than_pixels(fine, exactly):
    """A network's slice is 5 mm: a turn that took voxels for cubes would change distances."""
    _, bleed, _ = exactly(fine, turn_deg=10)

    spacing = np.array(PRESETS["fov224"].spacing_mm)
    middle = (np.array(fine.hu.shape) - 1) / 2
    before, after = (spacing * (centre(mask) - middle) for mask in (fine.bleed, bleed))
    assert np.linalg.norm(after) == pytest.approx(np.linalg.norm(before), rel=0.05)
    assert abs(after[0] - before[0]) > 1  # along the axis, mm: about all three axes
    assert bleed.sum() == pytest.approx(fine.bleed.sum(), rel=0.1)


def test_a_mirror_changes_left_and_right_and_nothing_else(fine, recipe):
    mirrored = recipe(augmentation={"mirror": True})
    sides = set()
    for seed in range(12):
        _, bleed, _ = shown(fine, mirrored, seed)
        flipped = np.array_equal(bleed, np.flip(fine.bleed, TO_THE_LEFT))
        assert flipped or np.array_equal(bleed, fine.bleed)
        sides.add(flipped)
    assert sides == {False, True}


@pytest.mark.parametrize("plane_only", [False, True])
def test_no_draw_goes_beyond_its_bounds(fine, recipe, plane_only):
    moving = recipe(augmentation={"scale": 0.05, "shift": 0.04, "plane_only": plane_only})
    sizes, ways = [], []
    for seed in range(25):
        _, bleed, _ = shown(fine, moving, seed)
        sizes.append((bleed.sum() / fine.bleed.sum()) ** (1 / (2 if plane_only else 3)))
        ways.append((centre(bleed) - centre(fine.bleed)) / fine.bleed.shape)
    ways = np.array(ways)
    # scaled about the middle, the bleed itself moves by another twentieth of its way from there
    assert np.abs(ways).max() < 0.04 + 0.05 * 0.25 + 0.01
    assert (ways.min(axis=0) < -0.01).all()
    assert (ways.max(axis=0) > 0.01).all()
    assert 0.93 < min(sizes) < 0.99
    assert 1.01 < max(sizes) < 1.07


def test_densities_alone_move_nothing(fine, recipe):
    dense = {"gain": 0.2, "offset_hu": 5, "noise_hu": 8, "blur_pixels": 0.8}
    values, bleed, _ = shown(fine, recipe(augmentation=dense))

    assert np.array_equal(bleed, fine.bleed)
    assert not values[~fine.brain].any()
    assert np.abs(values - plain(fine)[0][0].numpy()).mean() > 0.02


def test_noise_is_noise_and_blur_takes_it_away(fine, exactly):
    still, _, _ = exactly(fine)
    noisy, _, _ = exactly(fine, noise_hu=8)
    soft, _, _ = exactly(fine, blur_pixels=1.0)

    assert noise(noisy, fine.bleed) > 1.3 * noise(still, fine.bleed)
    assert noise(soft, fine.bleed) < 0.6 * noise(still, fine.bleed)


def test_healing_takes_the_bleed_away_and_leaves_a_brain(fine, recipe):
    values, bleed, healed = shown(fine, recipe(augmentation={"heal": 1}))
    sound = normalise(fine.hu, fine.brain & ~fine.bleed)

    assert healed
    assert not bleed.any()
    assert values[fine.bleed].mean() == pytest.approx(sound[fine.brain & ~fine.bleed].mean(), abs=0.1)
    assert values.max() < 5  # normalised anew: without the bleed


def test_a_head_without_a_bleed_is_not_healed(case, recipe):
    heal = recipe(augmentation={"heal": 1})
    values, bleed, healed = shown(case(bleed=False), heal)

    assert not healed
    assert not bleed.any()
    assert np.abs(values - plain(case(bleed=False))[0][0].numpy()).max() < 1e-4


def test_a_bleed_on_both_sides_stays_and_stays_labelled(fine, recipe):
    both = fine.bleed | np.flip(fine.bleed, TO_THE_LEFT)
    double = Prepared(hu=np.where(both, 67, fine.hu).astype(np.float32), brain=fine.brain, bleed=both)

    values, bleed, healed = shown(double, recipe(augmentation={"heal": 1}))

    assert not healed
    assert np.array_equal(bleed, both)
    assert values[both].min() > 1


def test_a_bleed_whose_other_side_is_no_brain_never_stays_without_its_label(fine, recipe):
    """A craniotomy, a crooked head: where there is nothing to paint with, the bleed must not become "no bleed"."""
    brain = fine.brain & ~np.flip(fine.bleed, TO_THE_LEFT)
    crooked = Prepared(hu=fine.hu * brain, brain=brain, bleed=fine.bleed)

    values, bleed, _ = shown(crooked, recipe(augmentation={"heal": 1}))

    assert (bleed[fine.bleed & (values > 1.5)]).all()


def test_healing_happens_as_often_as_asked(case, recipe):
    heal = recipe(augmentation={"heal": 0.3, "plane_only": True})
    small = case(shape=(4, SIZE, SIZE))
    healed = sum(shown(small, heal, seed)[2] for seed in range(100))
    assert 18 <= healed <= 42


@pytest.fixture(scope="module")
def patient(real_data):
    """A real head with a bleed of 37 mL, on the network's grid."""
    ct, mask = (real_data / "phe-sich" / "train" / f"0006_{kind}.nii.bz2" for kind in ("ct", "bleed"))
    card = Card(name="c", description="", source="s", licence="l", clipped_hu=(-20, 100))
    labelled = read_case(Case(name="0006", patient="0006", split="train", ct=ct, mask=mask), card)
    seen = window(labelled.volume, PRESETS["fov224"])
    bleed = resample(labelled.bleed, labelled.volume.geometry, seen.geometry, fill=0) > 0.5
    return Prepared(hu=seen.hu, brain=seen.brain, bleed=bleed)


@pytest.mark.parametrize("name", recipe_names())
def test_a_real_bleed_is_as_large_and_as_bright_as_the_recipe_allows(patient, name):
    recipe = read_recipe(name)
    recipe = recipe.model_copy(update={"augmentation": recipe.augmentation.model_copy(update={"heal": 0.0})})

    values, bleed, _ = shown(patient, recipe, seed=4)

    assert 0.7 < bleed.sum() / patient.bleed.sum() < 1.4
    assert values[bleed].mean() > 1.5
    assert 0.8 < (values > 0).sum() / (plain(patient)[0].numpy() > 0).sum() < 1.25
    assert 0.5 < values[values > 0].mean() < 1.2  # of the upper half of a normal density: 0.8
    assert values.min() == 0


def test_a_real_bleed_is_healed_to_the_density_of_brain(patient, recipe):
    values, bleed, healed = shown(patient, recipe(augmentation={"heal": 1}))
    rest = patient.brain & ~patient.bleed

    assert healed
    assert not bleed.any()
    assert values[patient.bleed].mean() < 1.5 * values[rest].mean()
    assert (values[patient.bleed] > 2.5).mean() < 0.01
    assert values.shape == (32, 256, 256)


def test_a_real_showing_does_not_hang_on_the_number_of_threads(patient):
    """A worker has one, a run without workers has all: both must make the same showing."""
    before = torch.get_num_threads()
    made = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        made.append([shown(patient, read_recipe("plane2026"), seed)[0].tobytes() for seed in (0, 2)])
    torch.set_num_threads(before)

    assert made[0] == made[1]
