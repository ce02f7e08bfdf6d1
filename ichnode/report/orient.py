"""Which way round a picture is, and how large: letters of the patient's sides around it, and a bar of known length."""

from typing import Final

import numpy as np

from ichnode.domain.geometry import Geometry, Vector
from ichnode.report.canvas import GREY, WHITE, Sheet, Type
from ichnode.report.plane import side_of

OBLIQUE: Final = 0.8  # the least cosine of a direction to the axis that gives it its letter
OUTSIDE: Final = 14  # pixels from the edge of the picture to the middle of the letter
BARS_MM: Final = (100, 50, 20, 10, 5, 2, 1)


def letters(geometry: Geometry) -> tuple[str, str, str, str]:
    """The patient's sides at the left, the right, the top and the bottom of a slice.

    Empty where a direction leans so far between two axes that one letter would mislead.
    """
    row, column = geometry.row_cosine, geometry.column_cosine
    return _letter(-row), _letter(row), _letter(-column), _letter(column)


def _letter(direction: Vector) -> str:
    return side_of(direction) if np.abs(direction).max() >= OBLIQUE else ""


def draw_sides(sheet: Sheet, geometry: Geometry, frame: tuple[float, float, float, float], look: Type) -> None:
    """The letters left and right of a picture. ``frame``: its left, top, width and height on the page."""
    left, top, width, height = frame
    for letter, x in zip(letters(geometry)[:2], (left - OUTSIDE, left + width + OUTSIDE), strict=True):
        sheet.text(x, top + height / 2, letter, look, within=2 * OUTSIDE, anchor="mm")


def draw_ends(sheet: Sheet, geometry: Geometry, frame: tuple[float, float, float, float], look: Type) -> None:
    """The letters above and below it."""
    left, top, width, height = frame
    for letter, y in zip(letters(geometry)[2:], (top - OUTSIDE, top + height + OUTSIDE), strict=True):
        sheet.text(left + width / 2, y, letter, look, within=2 * OUTSIDE, anchor="mm")


def draw_bar(sheet: Sheet, x: float, y: float, mm_per_pixel: float, longest: float) -> None:
    """A bar of a round length, at most ``longest`` pixels, that ends at ``x``, with a tick at each tenth."""
    length_mm = next((mm for mm in BARS_MM if mm / mm_per_pixel <= longest), None)
    if length_mm is None:
        return
    length = length_mm / mm_per_pixel
    sheet.draw.line((x - length, y, x, y), fill=WHITE, width=2)
    for tenth in range(11):
        place, height = x - length + length * tenth / 10, 10 if tenth in (0, 5, 10) else 5
        sheet.draw.line((place, y - height, place, y), fill=WHITE, width=1)
    sheet.text(x - length - 12, y + 1, f"{length_mm} mm", Type(18, GREY), within=100, anchor="rs")
