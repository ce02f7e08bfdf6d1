import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ichnode.domain.errors import BadGeometry
from ichnode.domain.geometry import Geometry
from ichnode.evaluate.agreement import (
    VOLUME_CLASSES,
    bland_altman,
    dice,
    spread,
    spread_by_volume,
    surface_distances,
)

# Peak expiratory flow of 17 people by two meters, l/min, Bland and Altman, Lancet 1986;327:307, table 1.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


def stack(z_mm, *, lean=0.0, spacing_mm=(1.0, 1.0), size=20):
    """Slices at ``z_mm``, drifting by ``lean`` mm to the back a mm, as a sheared stack does."""
    return Geometry(
        origins_mm=np.array([[0.0, lean * z, z] for z in z_mm]),
        row_cosine=np.array([1.0, 0.0, 0.0]),
        column_cosine=np.array([0.0, 1.0, 0.0]),
        row_spacing_mm=spacing_mm[0],
        column_spacing_mm=spacing_mm[1],
        rows=size,
        columns=size,
    )


def block(geometry, z, y, x):
    mask = np.zeros(geometry.shape, bool)
    mask[z, y, x] = True
    return mask


def test_dice_is_the_shared_part():
    geometry = stack(range(4))
    one, other = block(geometry, 1, slice(0, 4), 3), block(geometry, 1, slice(2, 8), 3)

    assert dice(one, other) == pytest.approx(2 * 2 / (4 + 6))
    assert dice(one, one) == 1


def test_two_empty_masks_agree_and_one_empty_one_does_not():
    geometry = stack(range(4))
    empty = np.zeros(geometry.shape, bool)

    assert dice(empty, empty) == 1
    assert dice(empty, block(geometry, 1, 1, 1)) == 0
    assert surface_distances(empty, block(geometry, 1, 1, 1), geometry) is None
    assert surface_distances(empty, empty, geometry) is None


def test_equal_masks_are_at_no_distance():
    geometry = stack(range(6))
    mask = block(geometry, slice(1, 4), slice(3, 9), slice(4, 8))

    seen = surface_distances(mask, mask, geometry)

    assert (seen.hd95_mm, seen.assd_mm) == (0, 0)


@pytest.mark.parametrize(
    ("to", "distance_mm"),
    [((2, 5, 5), 5.5), ((1, 8, 5), 3 * 0.7), ((1, 5, 7), 2 * 0.4)],
)
def test_each_axis_counts_with_its_own_spacing(to, distance_mm):
    geometry = stack([0, 3, 8.5, 12], spacing_mm=(0.7, 0.4))

    seen = surface_distances(block(geometry, 1, 5, 5), block(geometry, *to), geometry)

    assert (seen.hd95_mm, seen.assd_mm) == pytest.approx((distance_mm, distance_mm))


def test_a_leaning_stack_moves_its_voxels_in_the_patient():
    geometry = stack([0, 5, 10], lean=0.3)

    seen = surface_distances(block(geometry, 0, 5, 5), block(geometry, 2, 5, 5), geometry)

    assert seen.hd95_mm == pytest.approx(np.hypot(10, 3))


def test_the_distances_are_those_of_every_surface_voxel_with_every_other():
    geometry = stack([0, 4, 9, 15, 20, 25], lean=0.2, spacing_mm=(0.5, 0.8))
    rng = np.random.default_rng(5)
    masks = [rng.random(geometry.shape) < 0.6 for _ in range(2)]
    points = []
    for mask in masks:
        padded = np.pad(mask, 1)
        inside = padded.copy()
        for axis in range(3):
            inside &= np.roll(padded, 1, axis) & np.roll(padded, -1, axis)
        z, y, x = np.nonzero((padded & ~inside)[1:-1, 1:-1, 1:-1])
        points.append(geometry.origins_mm[z] + np.stack([x * 0.8, y * 0.5, 0 * z], axis=1))
    apart = cdist(*points)
    there, back = apart.min(axis=1), apart.min(axis=0)

    seen = surface_distances(*masks, geometry)

    assert seen.hd95_mm == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)))
    assert seen.assd_mm == pytest.approx((there.sum() + back.sum()) / (len(there) + len(back)))


def test_a_far_island_shows_in_the_larger_of_both_ways():
    geometry = stack(np.arange(10) * 5.0)
    true = block(geometry, slice(2, 5), slice(5, 10), slice(5, 10))
    found = true | block(geometry, 9, slice(0, 2), slice(0, 3))  # 8 % of one surface, 4 % of both

    assert surface_distances(found, true, geometry).hd95_mm > 20
    assert surface_distances(true, found, geometry) == surface_distances(found, true, geometry)


def test_masks_of_another_shape_are_refused():
    geometry = stack(range(4))

    with pytest.raises(BadGeometry):
        dice(np.zeros((4, 20, 20), bool), np.zeros((4, 20, 21), bool))
    with pytest.raises(BadGeometry):
        surface_distances(np.ones((5, 20, 20), bool), np.ones((5, 20, 20), bool), geometry)


def test_bland_and_altmans_own_data_give_their_published_limits():
    """Mean difference -2.1, SD 38.8, 95 % interval of the bias -22.0 to 17.8 l/min."""
    seen = bland_altman(WRIGHT, MINI)

    assert (seen.n, round(seen.bias.value, 1), round(seen.sd, 1)) == (17, -2.1, 38.8)
    assert (seen.bias.low, seen.bias.high) == pytest.approx((-22.0, 17.8), abs=0.15)
    assert seen.upper_limit.value - seen.lower_limit.value == pytest.approx(2 * 1.959964 * seen.sd)
    standard_error = np.sqrt(3 * seen.sd**2 / 17)  # the paper's rounder form of the same
    assert (seen.upper_limit.high - seen.upper_limit.value) / 2.1199 == pytest.approx(standard_error, rel=0.03)


def test_one_pair_has_no_limits_of_agreement():
    assert bland_altman([1.0], [2.0]) is None


def test_pairs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        bland_altman([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="finite"):
        bland_altman([1.0, np.nan], [1.0, 2.0])


def test_the_spread_of_values_is_their_quartiles():
    seen = spread([4, 1, 3, 2])

    assert (seen.n, seen.minimum, seen.lower_quartile, seen.median, seen.upper_quartile, seen.maximum) == (
        4, 1, 1.75, 2.5, 3.25, 4
    )  # fmt: skip
    assert spread([]) is None


def test_every_volume_has_one_class():
    for volume_ml in (0, 0.3, 4.999, 5, 9.99, 10, 29.9, 30, 120):
        assert sum(part.holds(volume_ml) for part in VOLUME_CLASSES) == 1


def test_values_are_told_apart_by_the_volume_of_their_haematoma():
    seen = spread_by_volume([0.7, 0.8, 0.9, 0.95], [1.0, 4.9, 12.0, 30.0])

    assert [(part.name, told.n if told else 0) for part, told in seen] == [
        ("< 5 mL", 2),
        ("5-10 mL", 0),
        ("10-30 mL", 1),
        ("≥ 30 mL", 1),
    ]
    assert seen[0][1].median == pytest.approx(0.75)
