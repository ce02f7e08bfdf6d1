"""What shows a marker on one slice: thin lines around the places, each led to its name beside the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Focus, Marker
from ichnode.report.canvas import CYAN, GREY, NARROW, Sheet, Type, wrapped
from ichnode.report.picture import THIN, draw_lines
from ichnode.report.wording import figure

NAME: Final = Type(16, CYAN, width=NARROW)
MEASURE: Final = Type(15, GREY, width=75)
STEP: Final = 18  # pixels from one line of a label to the next
APART: Final = 10  # between two labels
LEADER: Final = (38, 92, 112)
CROSS: Final = 4.0  # half the size of the mark of a place without a contour, source pixels


@dataclass(frozen=True, slots=True)
class Place:
    """A place on a slice and the names of the markers that it shows."""

    focus: Focus
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """The words beside the picture for one place, ``height`` pixels tall; ``aim`` is the point (x, y) on the page."""

    names: tuple[str, ...]
    measure: str
    aim: tuple[float, float]

    @property
    def height(self) -> float:
        """Pixels from the top of its first line to the bottom of its last."""
        return STEP * (len(self.names) + 1)


def places_on(markers: Sequence[Marker], index: int) -> list[Place]:
    """The places on slice ``index`` that show a marker, each once, with all markers that it shows, largest first."""
    found: dict[tuple[float, ...], Place] = {}
    for marker in markers:
        for focus in marker.foci if marker.present else ():
            if focus.slice_index == index:
                key = tuple(round(x) for x in focus.position_mm)
                before = found.get(key)
                names = (*before.names, marker.name) if before else (str(marker.name),)
                found[key] = Place(before.focus if before else focus, tuple(dict.fromkeys(names)))
    return sorted(found.values(), key=lambda place: -place.focus.area_mm2)


def draw_places(picture: Image.Image, places: Sequence[Place], geometry: Geometry, scale: float) -> None:
    """The contour of each place on the picture of its slice; a cross where it has none."""
    lines = []
    for place in places:
        if place.focus.contour:
            lines.append([*place.focus.contour, place.focus.contour[0]])
        else:
            row, column = _pixel(place.focus, geometry)
            lines += [[(row - CROSS, column), (row + CROSS, column)], [(row, column - CROSS), (row, column + CROSS)]]
    draw_lines(picture, lines, scale, CYAN, THIN)


def draw_labels(
    sheet: Sheet,
    places: Sequence[Place],
    geometry: Geometry,
    frame: tuple[float, float, float],
    zone: tuple[float, float, float, float],
) -> None:
    """The names in ``zone`` (left, top, right, bottom), each with a line to its place.

    ``frame``: left and top of the picture on the page, and its pixels a source pixel. What finds no room is counted.
    """
    left, top, right, bottom = zone
    labels = [_label(place, geometry, frame, right - left) for place in places]
    shown: list[Label] = []
    room = bottom - top - STEP
    for label in labels:
        if room < label.height:
            break
        room -= label.height + APART
        shown.append(label)
    shown.sort(key=lambda label: label.aim[1])
    for label, y in zip(shown, _stacked(shown, top, bottom - STEP), strict=True):
        sheet.draw.line((*label.aim, left - 6, y + STEP / 2), fill=LEADER, width=1)
        below = sheet.lines(left, y + 14, label.names, NAME, within=right - left, step=STEP)
        sheet.text(left, below, label.measure, MEASURE, within=right - left)
    if len(shown) < len(labels):
        sheet.text(left, bottom - 2, f"{len(labels) - len(shown)} more: see report", MEASURE, within=right - left)


def _stacked(labels: Sequence[Label], top: float, bottom: float) -> list[float]:
    """Tops of labels of ascending aim: near their aim, one below the other, between ``top`` and ``bottom``."""
    tops: list[float] = []
    free = top
    for label in labels:
        tops.append(max(free, label.aim[1] - label.height / 2))
        free = tops[-1] + label.height + APART
    limit = bottom
    for place in reversed(range(len(tops))):
        tops[place] = min(tops[place], limit - labels[place].height)
        limit = tops[place] - APART
    return tops


def _label(place: Place, geometry: Geometry, frame: tuple[float, float, float], within: float) -> Label:
    focus, (left, top, scale) = place.focus, frame
    points = np.array(focus.contour) if focus.contour else np.array([_pixel(focus, geometry)])
    row, column = points[int(points[:, 1].argmax())]
    contrast = "" if focus.contrast_hu is None else f"{figure(focus.contrast_hu, 0)} HU, "
    aim = (left + (column + 0.5) * scale, top + (row + 0.5) * scale)
    names = tuple(wrapped(", ".join(place.names), NAME, within, 3))
    return Label(names, f"{contrast}{figure(focus.area_mm2, 0)} mm2", aim)


def _pixel(focus: Focus, geometry: Geometry) -> tuple[float, float]:
    """(row, column) of a focus in its slice."""
    offset = np.array(focus.position_mm) - geometry.origins_mm[focus.slice_index]
    row = float(offset @ geometry.column_cosine) / geometry.row_spacing_mm
    return row, float(offset @ geometry.row_cosine) / geometry.column_spacing_mm
