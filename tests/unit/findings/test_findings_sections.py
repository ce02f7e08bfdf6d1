"""Plane geometry in mm, on pixels that are taller than wide."""

import numpy as np
import pytest

from ichnode.domain.geometry import Geometry
from ichnode.findings.marker_rules import MarkerRules
from ichnode.findings.sections import area_mm2, closed, eroded, largest, once_a_clot, opened, regions, slices_of
from tests.unit.findings.clots import Clot

GEOMETRY = Geometry(
    origins_mm=np.outer(np.arange(3) * 5.0, [0.0, 0.0, 1.0]),
    row_cosine=np.array([1.0, 0.0, 0.0]),
    column_cosine=np.array([0.0, 1.0, 0.0]),
    row_spacing_mm=1.0,
    column_spacing_mm=0.25,
    rows=60,
    columns=240,
)


def rectangle(y, x):
    mask = np.zeros(GEOMETRY.shape[1:], bool)
    mask[y, x] = True
    return mask


def extent(mask):
    """Rows and columns that are marked: (first, last, first, last)."""
    rows, columns = np.nonzero(mask)
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_two_millimetres_are_two_rows_and_eight_columns():
    inside = eroded(rectangle(slice(10, 30), slice(40, 120)), 2.0, GEOMETRY)

    assert extent(inside) == (12, 27, 48, 111)


def test_opening_takes_threads_and_leaves_the_body():
    body = rectangle(slice(10, 30), slice(40, 120))
    thread = rectangle(slice(20, 22), slice(120, 200)) | rectangle(slice(30, 50), slice(60, 70))

    left = opened(body | thread, 2.0, GEOMETRY)

    assert not left[:, 124:].any()  # but for a millimetre at the root, where the disk rounds the corner
    assert not left[31:].any()
    assert np.count_nonzero(body & ~left) < 0.03 * np.count_nonzero(body)


def test_closing_fills_clefts_up_to_twice_its_radius():
    halves = rectangle(slice(10, 30), slice(40, 80)) | rectangle(slice(10, 30), slice(100, 140))  # 5 mm apart

    assert closed(halves, 3.0, GEOMETRY)[20, 80:100].all()
    assert (closed(halves, 2.0, GEOMETRY) == halves).all()


def test_area_is_in_square_millimetres():
    assert area_mm2(rectangle(slice(0, 4), slice(0, 10)), GEOMETRY) == pytest.approx(10.0)


def test_parts_that_touch_by_a_corner_are_two():
    small, large = rectangle(slice(0, 2), slice(0, 2)), rectangle(slice(2, 6), slice(2, 6))

    assert len(list(regions(small | large))) == 2
    assert (largest(small | large) == large).all()
    assert not largest(np.zeros((3, 3), bool)).any()


def test_a_bright_point_is_spread_alike_in_both_directions_and_stays_in_its_slice():
    mask = np.zeros(GEOMETRY.shape, bool)
    mask[:, 10:50, 40:200] = True
    hu = np.zeros(GEOMETRY.shape, np.float32)
    hu[1, 30, 120] = 100

    before, cut, after = slices_of(mask, hu, GEOMETRY, MarkerRules(smooth_sd_mm=1.5))

    rows, columns = np.indices(cut.smooth.shape)
    weights = cut.smooth / cut.smooth.sum()
    row, column = (weights * rows).sum(), (weights * columns).sum()
    assert (row + cut.corner[0], column + cut.corner[1], cut.index) == pytest.approx((30, 120, 1), abs=1e-3)
    assert np.sqrt((weights * (rows - row) ** 2).sum()) * 1.0 == pytest.approx(1.5, rel=0.05)
    assert np.sqrt((weights * (columns - column) ** 2).sum()) * 0.25 == pytest.approx(1.5, rel=0.05)
    assert not before.smooth.any()
    assert not after.smooth.any()


def test_brain_outside_does_not_darken_the_edge():
    mask = np.zeros(GEOMETRY.shape, bool)
    mask[1, 10:50, 40:200] = True
    hu = np.where(mask, 60, 20).astype(np.int16)

    (cut,) = slices_of(mask, hu, GEOMETRY, MarkerRules())

    assert cut.smooth[cut.filled] == pytest.approx(60, abs=1e-3)


def test_what_several_markers_are_read_from_is_sought_once_for_each_clot():
    sought = []

    @once_a_clot
    def slices(clot):
        sought.append(clot)
        yield from clot.slices

    one, other = Clot().seen(), Clot().seen()

    assert slices(one) == slices(one) == one.slices
    assert slices(other) == other.slices
    assert sought == [one, other]
