"""The panels of a page: numbers, cards, markers, the profile, doubts, the signature. Each keeps within its zone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ichnode.domain.flags import Doubt
from ichnode.domain.geometry import Geometry
from ichnode.domain.markers import Marker
from ichnode.domain.values import Findings
from ichnode.report.canvas import (
    AMBER,
    BOLD,
    GREY,
    MARGIN,
    NARROW,
    PANEL,
    RED,
    RULE,
    WHITE,
    WIDTH,
    Color,
    Sheet,
    Type,
    fitting,
)
from ichnode.report.wording import ascii_text, distinct, evidence, in_reading_order, state

LABEL: Final = Type(16, GREY)
SMALL: Final = Type(16, GREY, width=NARROW)
FULL: Final = WIDTH - 2 * MARGIN

CARD_HEIGHT: Final = 84
GAP: Final = 14

MARKER_ROW: Final = 45  # pixels of height of a marker with its evidence
ABSENT_ROW: Final = 27  # of one that is absent
MARKS: Final = 11  # pixels of a symbol's edge

DOUBTS_HEIGHT: Final = 122
DOUBT_STEP: Final = 25
DOUBT_ROWS: Final = 4

SIGNATURE_HEIGHT: Final = 84


@dataclass(frozen=True, slots=True)
class Card:
    """One figure that stands out: what it is, its value, and what that means."""

    label: str
    value: str
    note: str
    note_color: Color = GREY


def volume(sheet: Sheet, top: float, text: str, unit: str, within: float) -> None:
    """The volume as large as it matters."""
    sheet.text(MARGIN, top + 18, "Volume", Type(18, GREY), within=within)
    room = within - Type(38).length(unit) - 14
    look = fitting(text, Type(104, WHITE, BOLD), room, least=30)
    box = sheet.text(MARGIN, top + 116, text, look, within=room)
    sheet.text(box.right + 14, top + 116, unit, Type(38, WHITE), within=within - (box.right - MARGIN) - 14)


def numbers(sheet: Sheet, left: float, top: float, cells: Sequence[tuple[str, str]], columns: int) -> None:
    """Labelled figures in rows of ``columns``, up to the right margin."""
    width = (WIDTH - MARGIN - left) / columns
    for place, (label, value) in enumerate(cells):
        x, y = left + place % columns * width, top + place // columns * 62
        sheet.text(x, y + 18, label, LABEL, within=width - GAP)
        look = fitting(value, Type(26, WHITE, BOLD), width - GAP, least=16)
        sheet.text(x, y + 46, value, look, within=width - GAP)


def cards(sheet: Sheet, top: float, shown: Sequence[Card]) -> None:
    """Cards side by side over the whole width."""
    beside = max(2, len(shown))  # one alone does not fill the page
    width = (FULL - GAP * (beside - 1)) / beside
    for place, card in enumerate(shown):
        x = MARGIN + place * (width + GAP)
        sheet.draw.rectangle((x, top, x + width, top + CARD_HEIGHT), fill=PANEL)
        sheet.draw.rectangle((x, top, x + 3, top + CARD_HEIGHT), fill=card.note_color)
        inner = width - 32
        sheet.text(x + 18, top + 22, card.label, LABEL, within=inner)
        sheet.text(x + 18, top + 53, card.value, fitting(card.value, Type(28, WHITE, BOLD), inner, 18), within=inner)
        sheet.text(x + 18, top + 76, card.note, Type(16, card.note_color, width=NARROW), within=inner)


def markers(sheet: Sheet, left: float, top: float, shown: Sequence[Marker]) -> float:
    """The markers, present ones first, each with a symbol, its state in words and its evidence. Returns the bottom."""
    within = WIDTH - MARGIN - left
    sheet.text(left, top + 14, "Markers of expansion on non-contrast CT", LABEL, within=within)
    y = top + 26.0
    for marker in in_reading_order(tuple(shown)):
        sheet.draw.line((left, y, left + within, y), fill=RULE)
        said = state(marker)
        color, weight = {True: (WHITE, BOLD), None: (AMBER, BOLD), False: (GREY, 400)}[marker.present]
        _symbol(sheet, left, y + 8, marker.present)
        look = Type(20, color, weight)
        sheet.text(left + 24, y + 21, marker.name.capitalize(), look, within=within - 180)
        sheet.text(left + within, y + 21, said.upper() if marker.present else said, look, within=150, anchor="rs")
        if marker.present is not False:
            sheet.text(left + 24, y + 40, evidence(marker), SMALL, within=within - 24)
        y += ABSENT_ROW if marker.present is False else MARKER_ROW
    return y


def _symbol(sheet: Sheet, x: float, y: float, present: bool | None) -> None:
    """A filled disc, a half one, an empty one: the state without its colour."""
    place = (x, y, x + MARKS, y + MARKS)
    if present:
        sheet.draw.ellipse(place, fill=RED)
    elif present is None:
        sheet.draw.pieslice(place, 90, 270, fill=AMBER)
        sheet.draw.ellipse(place, outline=AMBER)
    else:
        sheet.draw.ellipse(place, outline=GREY)


def profile(sheet: Sheet, left: float, top: float, bottom: float, findings: Findings, geometry: Geometry) -> None:
    """Marked area of every slice, first to last: where the haematoma lies in the stack."""
    right, order = WIDTH - MARGIN, "feet up" if geometry.normal[2] > 0 else "vertex down"
    sheet.text(left, top + 14, f"Area in each slice, from the {order}", LABEL, within=right - left)
    top += 22
    sheet.draw.rectangle((left, top, right, bottom), fill=PANEL)
    areas = np.count_nonzero(findings.mask, axis=(1, 2))
    edges = np.linspace(left, right, len(areas) + 1)
    gap = 2 if edges[1] - edges[0] > 5 else 0
    for index in np.flatnonzero(areas):
        height = max(2.0, (bottom - top - 6) * areas[index] / areas.max())
        color = WHITE if index == findings.key_slice else RED
        ends = edges[index] + gap / 2, max(edges[index] + gap / 2, edges[index + 1] - 1 - gap / 2)
        sheet.draw.rectangle((ends[0], bottom - height, ends[1], bottom), fill=color)
    sheet.draw.line((left, bottom + 1, right, bottom + 1), fill=RULE)


def doubts(sheet: Sheet, top: float, told: Sequence[Doubt], heading: str) -> None:
    """The quality flags with their evidence, in two columns where they are many; what finds no room is counted."""
    shown = distinct(told)
    if not shown:
        return
    sheet.text(MARGIN, top + 16, heading, LABEL, within=FULL)
    columns = 1 if len(shown) <= DOUBT_ROWS else 2
    width = (FULL - GAP * 2 * (columns - 1)) / columns
    room = DOUBT_ROWS * columns
    left_over = len(shown) - room + 1 if len(shown) > room else 0
    for place, doubt in enumerate(shown[: room - 1 if left_over else room]):
        _doubt(sheet, *_cell(place, top, width), doubt, width)
    if left_over:
        x, y = _cell(room - 1, top, width)
        sheet.text(x, y, f"{left_over} more: see the report", Type(18, AMBER), within=width)


def _cell(place: int, top: float, width: float) -> tuple[float, float]:
    """Left end and baseline of a doubt: down the first column, then down the second."""
    column, row = divmod(place, DOUBT_ROWS)
    return MARGIN + column * (width + 2 * GAP), top + 41 + row * DOUBT_STEP


def _doubt(sheet: Sheet, x: float, y: float, doubt: Doubt, width: float) -> None:
    sheet.draw.polygon(((x, y), (x + 13, y), (x + 6.5, y - 12)), outline=AMBER)
    name = sheet.text(x + 22, y, doubt.flag.value, Type(18, AMBER, width=NARROW), within=width - 22)
    room = x + width - name.right - 12
    if doubt.evidence and room > 60:
        sheet.text(name.right + 12, y, ascii_text(doubt.evidence), Type(16, GREY, width=NARROW), within=room)


def signature(sheet: Sheet, top: float, lines: Sequence[str]) -> None:
    """Below a rule, what was analysed, and by whom: three lines at most."""
    sheet.rule(top)
    sheet.lines(MARGIN, top + 24, lines, Type(17, GREY), within=FULL, step=24)
