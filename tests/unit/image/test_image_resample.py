import numpy as np
import pytest

from ichnode.domain.errors import BadGeometry
from ichnode.image.resample import cubic_weights, overlap_shares, resample


def volume_ml(values, geometry):
    return float(values.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml)


@pytest.mark.parametrize("lean_mm", [0.0, 1.3])
def test_a_grid_onto_itself_changes_nothing(stack, lean_mm):
    grid = stack(slices=12, size=40, lean_mm=lean_mm)
    values = np.random.default_rng(1).normal(size=grid.shape).astype(np.float32)

    assert np.allclose(resample(values, grid, grid, -1000), values, atol=1e-4)


def test_unequal_slices_onto_themselves_change_nothing(stack):
    grid = stack(slices=5, size=20, gaps_mm=[4.0, 1.1, 7.0, 5.0])
    values = np.random.default_rng(1).normal(size=grid.shape).astype(np.float32)

    assert np.allclose(resample(values, grid, grid, 0), values, atol=1e-4)


@pytest.mark.parametrize(
    "native",
    [
        {"slices": 32, "size": 256, "spacing_mm": 0.9},
        {"slices": 160, "size": 256, "spacing_mm": 0.9, "gap_mm": 1.0},
        {"slices": 30, "size": 256, "spacing_mm": 0.9, "lean_mm": 1.7},
        {"slices": 31, "size": 256, "spacing_mm": 0.9, "gaps_mm": [3.0, 6.0] * 15},
        {"slices": 32, "size": 128, "spacing_mm": 1.8, "row": (0, 1, 0), "column": (-1, 0, 0)},
    ],
    ids=["thick", "thin", "leaning", "unequal", "turned"],
)
def test_a_volume_survives_the_way_to_the_network_and_back(stack, ellipsoid, native):
    native, net = stack(**native), stack(slices=32, size=256, spacing_mm=0.875)
    mask = ellipsoid(native, (13, -20, 6), (22, 17, 25))
    true_ml = volume_ml(mask, native)

    there = resample(mask, native, net, 0)
    back = resample(there, net, native, 0)

    assert volume_ml(there, net) == pytest.approx(true_ml, rel=0.005)
    assert volume_ml(back > 0.5, native) == pytest.approx(true_ml, rel=0.03)


def test_a_sheared_stack_is_put_upright(stack, ellipsoid):
    """The geometry of the GE head: the slices are turned by 18.5 degrees and step along the table."""
    tilt = np.radians(18.5)
    leaning = stack(
        slices=36,
        size=256,
        spacing_mm=0.9,
        gap_mm=4.0,
        column=(0, np.cos(tilt), -np.sin(tilt)),
        lean_mm=-4.0 * np.tan(tilt),
    )
    assert leaning.tilt_deg == pytest.approx(18.5)
    upright = stack(slices=32, size=256, spacing_mm=0.875, column=leaning.column_cosine)
    where = (15, -10, 8), (25, 35, 28)
    true_ml = 4 / 3 * np.pi * 25 * 35 * 28 / 1000

    seen = resample(ellipsoid(leaning, *where), leaning, upright, 0)

    expected = ellipsoid(upright, *where)
    dice = 2 * ((seen > 0.5) & expected).sum() / ((seen > 0.5).sum() + expected.sum())
    assert volume_ml(seen, upright) == pytest.approx(true_ml, rel=0.03)
    assert dice > 0.95


def test_beyond_the_source_the_world_is_fill(stack):
    small, large = stack(slices=4, size=20), stack(slices=10, size=40)

    seen = resample(np.full(small.shape, 50, np.int16), small, large, -1000)

    assert seen[0].max() == seen[:, 0].max() == seen[:, :, -1].max() == -1000
    assert np.allclose(seen[4:6, 15:25, 15:25], 50, atol=1e-3)


def test_a_thick_slice_is_the_mean_of_the_thin_ones_that_it_holds(stack):
    thin, thick = stack(slices=15, size=4, gap_mm=1.0), stack(slices=3, size=4, gap_mm=5.0)
    values = np.broadcast_to(np.arange(15, dtype=np.float32)[:, None, None], thin.shape).copy()

    assert np.allclose(resample(values, thin, thick, 0)[:, 1, 1], [2, 7, 12], atol=1e-4)


def test_noise_finer_than_the_target_is_averaged_not_folded_in(stack):
    fine, coarse = stack(slices=3, size=121, spacing_mm=0.5), stack(slices=3, size=20, spacing_mm=1.5)
    noise = np.random.default_rng(8).normal(size=fine.shape).astype(np.float32)

    assert resample(noise, fine, coarse, 0).std() < 0.5


def test_slices_that_ascend_the_other_way_are_found(stack):
    up = stack(slices=6, size=8)
    down = stack(slices=6, size=8, row=(1, 0, 0), column=(0, -1, 0))
    values = np.random.default_rng(2).normal(size=up.shape).astype(np.float32)

    assert np.allclose(resample(values, up, down, 0), values[::-1, ::-1], atol=1e-4)


def test_every_target_slice_within_the_source_takes_a_whole_share(stack):
    shares = overlap_shares(stack(slices=40, gap_mm=3.0), stack(slices=10, gap_mm=5.0))

    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("step", [0.5, 1.0, 1.9])
def test_a_straight_line_stays_straight(step):
    positions = 12 + step * np.arange(8)

    assert cubic_weights(positions, 40, step) @ np.arange(40) == pytest.approx(positions, abs=0.01)


def test_grids_that_are_not_parallel_are_refused(stack):
    oblique = stack(row=(np.cos(0.1), np.sin(0.1), 0), column=(-np.sin(0.1), np.cos(0.1), 0))

    with pytest.raises(BadGeometry, match="not parallel"):
        resample(np.zeros(oblique.shape, np.float32), oblique, stack(), 0)


def test_values_of_another_shape_are_refused(stack):
    with pytest.raises(BadGeometry, match="do not fit"):
        resample(np.zeros((2, 3, 4), np.float32), stack(), stack(), 0)
