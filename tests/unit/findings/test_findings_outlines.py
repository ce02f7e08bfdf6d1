"""Outlines in mm: the gap between two regions."""

import numpy as np
import pytest

from ichnode.findings.outlines import gap_mm
from tests.unit.findings.clots import stack


def disks(apart_mm, pixel_mm, radius_mm=8.0, small_mm=4.0, way=(0.6, 0.8)):
    """Two disks whose edges lie ``apart_mm`` from each other, aslant to the rows."""
    size = round(60 / pixel_mm)
    places = np.indices((size, size)) * pixel_mm - 20
    centre = (radius_mm + small_mm + apart_mm) * np.array(way)
    main = np.hypot(places[0], places[1]) < radius_mm
    small = np.hypot(places[0] - centre[0], places[1] - centre[1]) < small_mm
    return small, main, stack(spacing_mm=(pixel_mm, pixel_mm), size=size)


@pytest.mark.parametrize("pixel_mm", [0.45, 0.9])
@pytest.mark.parametrize("apart_mm", [1.5, 3.0, 8.0])
def test_a_gap_is_measured_to_half_a_pixel(apart_mm, pixel_mm):
    small, main, geometry = disks(apart_mm, pixel_mm)

    assert gap_mm(small, main, geometry) == pytest.approx(apart_mm, abs=pixel_mm / 2)


def test_a_gap_follows_the_pixels_whatever_their_sides():
    one = np.zeros((40, 40), bool)
    other = one.copy()
    one[5:15, 5:35], other[18:30, 5:35] = True, True

    assert gap_mm(one, other, stack(spacing_mm=(2.0, 0.5), size=40)) == pytest.approx(6.0, abs=0.1)
    assert gap_mm(one.T, other.T, stack(spacing_mm=(2.0, 0.5), size=40)) == pytest.approx(1.5, abs=0.1)
