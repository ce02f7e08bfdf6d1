"""Volume over time: the scans of one haematoma as points on a line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ichnode.report.canvas import GREY, PANEL, RED, RULE, WHITE, Sheet, Type
from ichnode.report.wording import figure

TICK: Final = Type(16, GREY)
VALUE: Final = Type(18, WHITE, 600)
DOT: Final = 6
TICKS: Final = 5  # at most so many steps on an axis


@dataclass(frozen=True, slots=True)
class Zone:
    """Where on the page the plot stands, its axes' words within."""

    left: float
    top: float
    right: float
    bottom: float


def step_of(largest: float) -> float:
    """A round step (1, 2 or 5 times a power of ten) that reaches ``largest`` in at most TICKS steps."""
    raw = max(largest, 1e-3) / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


def draw_history(sheet: Sheet, history: Sequence[tuple[float, float]], zone: Zone) -> None:
    """``history``: (hours since the first scan, mL), ascending; the last one is this scan."""
    inner = Zone(zone.left + 70, zone.top + 30, zone.right - 70, zone.bottom - 44)
    step_ml, step_h = step_of(max(ml for _, ml in history)), step_of(history[-1][0])
    top_ml = step_ml * math.ceil(max(ml for _, ml in history) / step_ml * (1 - 1e-9) + 1e-9)
    end_h = max(history[-1][0], 1e-3)

    def place(hours: float, ml: float) -> tuple[float, float]:
        x = inner.left + (inner.right - inner.left) * hours / end_h
        return x, inner.bottom - (inner.bottom - inner.top) * ml / top_ml

    _frame(sheet, zone, inner)
    for count in range(round(top_ml / step_ml) + 1):
        x, y = place(0, count * step_ml)
        sheet.draw.line((inner.left, y, inner.right, y), fill=RULE)
        sheet.text(x - 14, y, f"{count * step_ml:g}", TICK, within=56, anchor="rm")
    for count in range(int(end_h / step_h + 1e-9) + 1):
        x, _ = place(count * step_h, 0)
        sheet.draw.line((x, inner.bottom, x, inner.bottom + 6), fill=GREY)
        sheet.text(x, inner.bottom + 24, f"{count * step_h:g}", TICK, within=70, anchor="ms")
    points = [place(hours, ml) for hours, ml in history]
    if len(points) > 1:
        sheet.draw.line(points, fill=GREY, width=2)
    _values(sheet, history, points)


def _frame(sheet: Sheet, zone: Zone, inner: Zone) -> None:
    """The ground of the plot and what its axes mean."""
    sheet.draw.rectangle((inner.left, inner.top, inner.right, inner.bottom), fill=PANEL)
    sheet.text(zone.left, zone.top + 12, "Volume, mL", TICK, within=200)
    sheet.text(zone.right, zone.bottom, "hours since the first scan", TICK, within=300, anchor="rs")


def _values(sheet: Sheet, history: Sequence[tuple[float, float]], points: Sequence[tuple[float, float]]) -> None:
    """A dot a scan; its volume beside it where there is room, this scan's and the first one's before all others."""
    for place in [len(points) - 1, *range(len(points) - 1)]:
        (x, y), last = points[place], place == len(points) - 1
        sheet.draw.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=RED if last else WHITE)
        spare = Sheet()
        box = spare.text(x, y - 12, figure(history[place][1]), VALUE, within=130, anchor="ms")
        if not any(box.overlaps(other) for other in sheet.boxes):
            sheet.text(x, y - 12, figure(history[place][1]), VALUE, within=130, anchor="ms")
