import numpy as np
import pytest

from ichnode.findings.size import size_of
from tests.unit.findings.clots import stack


def ellipsoid(geometry, semi_mm):
    z, y, x = np.indices(geometry.shape)
    z = (z - geometry.shape[0] / 2) * float(geometry.gaps_mm[0])
    y, x = (y - geometry.rows / 2) * geometry.row_spacing_mm, (x - geometry.columns / 2) * geometry.column_spacing_mm
    return (x / semi_mm[0]) ** 2 + (y / semi_mm[1]) ** 2 + (z / semi_mm[2]) ** 2 < 1


def test_an_ellipsoid_is_measured_by_its_diameters_whatever_the_pixels():
    for spacing_mm in ((0.5, 0.5), (0.8, 0.4)):
        geometry = stack(slices=60, gap_mm=1.0, spacing_mm=spacing_mm, size=160)

        size = size_of(ellipsoid(geometry, (20, 12, 15)), geometry)

        assert (size.a_mm, size.b_mm) == pytest.approx((40, 24), abs=0.8)
        assert size.diameter_mm == pytest.approx(40, abs=0.8)
        assert abs(size.diameter_slice - 30) <= 2


def test_height_counts_slices_by_their_share_of_the_largest_area():
    geometry = stack(slices=6, gap_mm=5.0)
    mask = np.zeros(geometry.shape, bool)
    for index, side in ((1, 8), (2, 40), (3, 38), (4, 24)):  # 4, 100, 90 and 36 % of the area
        mask[index, 20 : 20 + side, 20 : 20 + side] = True

    assert size_of(mask, geometry).c_mm == 0 + 5 + 5 + 2.5


def test_abc2_of_a_ball_is_half_the_product_with_a_height_that_leaves_out_its_caps():
    geometry = stack(slices=60, gap_mm=1.0, size=160)

    size = size_of(ellipsoid(geometry, (15, 15, 15)), geometry)

    assert size.c_mm == pytest.approx(2 * (7.5 + 0.5 * (13 - 7.5)), abs=1.5)  # 75 % and 25 % of the area
    assert size.abc2_ml == pytest.approx(30 * 30 * 20.5 / 2000, rel=0.08)


def test_a_focus_apart_does_not_stretch_the_main_haematoma():
    geometry = stack(slices=20, gap_mm=2.0, size=160)
    mask = ellipsoid(geometry, (15, 15, 15))
    alone = size_of(mask, geometry)
    mask[10, 5:9, 5:9] = True

    assert size_of(mask, geometry).a_mm == alone.a_mm


def test_nothing_has_no_size_and_one_voxel_has_one():
    geometry = stack()
    mask = np.zeros(geometry.shape, bool)
    assert size_of(mask, geometry) is None

    mask[3, 10, 10] = True
    assert size_of(mask, geometry).diameter_mm == pytest.approx(0.5, abs=0.3)
