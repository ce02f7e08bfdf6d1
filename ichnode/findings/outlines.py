"""Outlines of regions in a slice: their contour, their diameters and the bays in them, in mm."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, KDTree, QhullError
from skimage.measure import approximate_polygon, find_contours

from ichnode.domain.geometry import Geometry, Vector
from ichnode.domain.markers import Contour
from ichnode.findings.sections import Mask

SIMPLIFIED_PX = 0.4  # a drawn contour lies off the true one by no more
ROUNDED_MM = 0.4  # standard deviation: an outline shall not count the corners of pixels as bays
ROUNDED_GAP_MM = 0.6  # likewise: with it the gaps of phantoms in thin slices are neither over- nor underrated


def contour_of(region: Mask, corner: tuple[int, int] = (0, 0)) -> Contour:
    """The longest closed line around ``region`` (Y, X): (row, column) pixels, moved by ``corner``."""
    line = approximate_polygon(_lines(region.astype(np.float32))[0], SIMPLIFIED_PX) + corner
    return tuple((round(float(row), 2), round(float(column), 2)) for row, column in line)


def diameters_mm(region: Mask, geometry: Geometry) -> tuple[float, float]:
    """The largest diameter of ``region`` (Y, X), and its width across that, mm; (0, 0) of nothing."""
    if not region.any():
        return 0.0, 0.0
    points = np.concatenate(_lines(region.astype(np.float32))) * (geometry.row_spacing_mm, geometry.column_spacing_mm)
    corners = _hull(points)
    apart = corners[:, None] - corners[None]
    lengths = np.linalg.norm(apart, axis=-1)
    first, second = np.unravel_index(int(lengths.argmax()), lengths.shape)
    way = apart[first, second] / lengths.max()
    return float(lengths.max()), float(np.ptp(corners @ np.array([-way[1], way[0]])))


def largest_diameter_mm(region: Mask, geometry: Geometry) -> float:
    """The largest diameter of ``region`` (Y, X), mm; 0 of nothing."""
    return diameters_mm(region, geometry)[0]


def bays(region: Mask, geometry: Geometry) -> list[tuple[float, Vector]]:
    """Bays of the outline of ``region`` (Y, X), deepest first: depth in mm and the (N, 2) pixels of the bay's outline.

    A bay lies between two neighbouring corners of the convex hull; its depth is the largest distance from their chord.
    """
    mm = np.array([geometry.row_spacing_mm, geometry.column_spacing_mm])
    outline = _rounded(region, mm, ROUNDED_MM)[0][:-1]
    places = outline * mm
    try:
        corners = np.sort(ConvexHull(places).vertices)
    except QhullError:
        return []
    found = []
    for start, end in zip(corners, np.append(corners[1:], corners[0] + len(places)), strict=True):
        between = np.arange(start, end + 1) % len(places)
        chord, offset = places[between[-1]] - places[between[0]], places[between] - places[between[0]]
        depth = np.abs(offset[:, 0] * chord[1] - offset[:, 1] * chord[0]).max() / max(np.linalg.norm(chord), 1e-6)
        found.append((float(depth), outline[between]))
    return sorted(found, key=lambda bay: -bay[0])


def gap_mm(one: Mask, other: Mask, geometry: Geometry) -> float:
    """Shortest way between the outlines of two regions (Y, X) of a slice, neither empty, mm.

    Each is rounded for itself, so that it lies between the middles of pixels and a gap of one pixel stays open.
    """
    mm = np.array([geometry.row_spacing_mm, geometry.column_spacing_mm])
    points, others = (np.concatenate(_rounded(region, mm, ROUNDED_GAP_MM)) * mm for region in (one, other))
    return float(KDTree(others).query(points)[0].min())


def _rounded(region: Mask, mm: Vector, sd_mm: float) -> list[Vector]:
    """Contours of ``region`` (Y, X) without the corners of its pixels of ``mm`` (2,), longest first."""
    return _lines(ndimage.gaussian_filter(region.astype(np.float32), sd_mm / mm))


def _hull(points: Vector) -> Vector:
    try:
        return np.asarray(points[ConvexHull(points).vertices])
    except QhullError:
        return points


def _lines(field: NDArray[np.float32]) -> list[Vector]:
    """Contours of ``field`` (Y, X) at a half, longest first: (N, 2) rows and columns; it must not be empty."""
    lines = find_contours(np.pad(field, 1), 0.5)
    if not lines:  # so small that rounding took it below a half
        lines = find_contours(np.pad(field / field.max(), 1), 0.5)
    return [np.asarray(line - 1, np.float64) for line in sorted(lines, key=len, reverse=True)]
