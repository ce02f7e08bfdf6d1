"""A phantom's head as a function of space."""

import numpy as np
import pytest

from ichnode.phantom.anatomy import make_head

STEP_MM = 4.0


def head(seed=1, **options):
    return make_head(np.random.default_rng(seed), **options)


def grid(step_mm=STEP_MM):
    axes = [np.arange(-half, half, step_mm, dtype=np.float32) for half in (84, 110, 100)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


@pytest.fixture(scope="module")
def one():
    return head()


@pytest.fixture(scope="module")
def points():
    return grid()


@pytest.fixture(scope="module")
def hu(one, points):
    return one.hu_at(points)


def test_the_same_seed_is_the_same_head_and_another_seed_another(points):
    some = points[::3, ::3, ::3]

    once, again, other = head().hu_at(some), head().hu_at(some), head(2).hu_at(some)

    assert np.array_equal(once, again)
    assert np.mean(np.abs(other - again) > 1) > 0.2


def test_a_point_has_its_hu_whatever_is_asked_with_it(one, points, hu):
    alone = one.hu_at(points[20, 25:35, 22:30])

    assert alone == pytest.approx(hu[20, 25:35, 22:30], abs=0.05)


def test_the_inside_of_the_skull_is_as_large_as_that_of_adults():
    volumes = [head(seed).brain_at(grid(5.0)).sum() * 0.125 for seed in range(8)]

    assert min(volumes) > 1150
    assert max(volumes) < 2000
    assert np.std(volumes) > 50


def test_the_tissues_have_the_hu_that_ct_gives_them(one, points, hu):
    inside, ventricle = one.brain_at(points), one.ventricle_at(points)
    deep = inside & (np.abs(points[..., 0]) < 50) & (np.abs(points[..., 1]) < 60) & (points[..., 2] > 0)

    assert 27 < np.median(hu[deep & (points[..., 2] < 50)]) < 38
    assert ventricle.any()
    assert np.median(hu[ventricle]) == pytest.approx(7, abs=3)
    assert hu[0, 0, -1] == -1000
    assert np.percentile(hu[deep & (points[..., 2] < 40)], 99) < 60


def test_bone_surrounds_the_brain_above_the_base_on_all_sides(one):
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for height in (10, 30, 50):
        for angle in angles:
            way = np.array([np.cos(angle), np.sin(angle), 0])
            ray = np.outer(np.arange(5, 110, 0.5), way) + np.array([0, 0, height])
            values = one.hu_at(ray.astype(np.float32))
            assert values.max() > 500, (height, angle)
            assert values[-1] == -1000


def test_a_craniotomy_leaves_a_gap_in_the_bone():
    whole, opened = head(), head(craniotomy=True)
    flap = np.asarray(opened.shell.flap_mm[:3])
    near = grid(3.0)
    near = near[np.linalg.norm(near - flap, axis=-1) < 15]

    assert whole.hu_at(near).max() > 600
    assert opened.hu_at(near).max() < 300
    assert np.array_equal(opened.shell.semi_mm, whole.shell.semi_mm)
