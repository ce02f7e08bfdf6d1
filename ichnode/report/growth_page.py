"""The page of a follow-up: both scans in one plane, side by side, and the volume over time."""

from typing import Final

from ichnode.domain.followup import Growth
from ichnode.domain.values import Findings
from ichnode.report.canvas import (
    BOLD,
    GREY,
    HEIGHT,
    MARGIN,
    RED,
    RULE,
    WHITE,
    WIDTH,
    Pixels,
    Sheet,
    Type,
    page,
    wrapped,
)
from ichnode.report.inputs import Source
from ichnode.report.orient import draw_sides
from ichnode.report.origin import analysed
from ichnode.report.panels import FULL, LABEL, SIGNATURE_HEIGHT, signature
from ichnode.report.picture import Mask, Slice, cropped, head_box, window_of
from ichnode.report.plot import Zone, draw_history
from ichnode.report.wording import ascii_text, figure, hours, percent, signed

TITLE: Final = Type(34, WHITE, BOLD)
FIGURE: Final = Type(30, WHITE, BOLD)
SIDE: Final = 440
PICTURES_TOP: Final = 178
RIGHT: Final = WIDTH - MARGIN - SIDE
PLOT_TOP: Final = PICTURES_TOP + SIDE + 48
APART: Final = (
    "The heads of the two scans could not be laid on each other, so the earlier one is not shown here. "
    "The volumes are compared all the same."
)


def growth_page(source: Source, findings: Findings, growth: Growth, node_version: str) -> Pixels:
    """The page (H, W, 3)."""
    return growth_sheet(source, findings, growth, node_version).pixels


def growth_sheet(source: Source, findings: Findings, growth: Growth, node_version: str) -> Sheet:
    """The same with the places of its words."""
    sheet, index = page(), findings.key_slice
    sheet.text(MARGIN, 82, "Growth since the earlier scan", TITLE, within=FULL)
    change = f"{signed(growth.growth_ml)} mL ({percent(growth)}) in {hours(growth.hours)}"
    sheet.text(MARGIN, 128, change, FIGURE, within=FULL)
    verdict = "EXPANDED by definition" if growth.expanded else "Not expanded by definition"
    color = RED if growth.expanded else WHITE
    sheet.text(MARGIN, 156, f"{verdict} (6 mL or 33 % more)", Type(20, color, BOLD), within=FULL)
    if growth.before is None:
        lines = wrapped(f"{APART} {ascii_text(growth.unregistered).capitalize()}", Type(24, GREY), SIDE, 9)
        sheet.lines(MARGIN, PICTURES_TOP + 40, lines, Type(24, GREY), within=SIDE, step=36)
    else:
        _scan(sheet, source, index, MARGIN, growth.before.hu, growth.before.mask)
    _scan(sheet, source, index, RIGHT, source.volume.hu[index], findings.mask[index])
    _captions(sheet, growth)
    history = growth.history or ((0.0, growth.baseline_ml), (growth.hours, growth.followup_ml))
    draw_history(sheet, history, Zone(MARGIN, PLOT_TOP, WIDTH - MARGIN, HEIGHT - SIGNATURE_HEIGHT - 14))
    moved = ". The earlier scan was moved onto its plane" if growth.before is not None else ""
    what = [analysed(source), f"{source.slice_name(index).capitalize()}{moved}."]
    signature(sheet, HEIGHT - SIGNATURE_HEIGHT, [*what, f"Automatic, not reviewed by a person. Node {node_version}."])
    return sheet


def _scan(sheet: Sheet, source: Source, index: int, left: int, hu: Slice, mask: Mask) -> None:
    """One scan (Y, X) in its frame."""
    window = window_of(source.images[index], source.volume.sources[index].frame_number)
    box = head_box(source.volume.hu[index])  # the same part of both
    sheet.image.paste(cropped(hu, mask, box, SIDE, window), (left, PICTURES_TOP))
    sheet.draw.rectangle((left - 1, PICTURES_TOP - 1, left + SIDE, PICTURES_TOP + SIDE), outline=RULE)
    draw_sides(sheet, source.volume.geometry, (left, PICTURES_TOP, SIDE, SIDE), Type(18, GREY))


def _captions(sheet: Sheet, growth: Growth) -> None:
    """Which scan is which, and its volume."""
    y, before, after = PICTURES_TOP + SIDE + 24, growth.baseline_ml, growth.followup_ml
    sheet.text(MARGIN, y, f"Earlier scan, {hours(growth.hours)} before: {figure(before)} mL", LABEL, within=SIDE)
    sheet.text(RIGHT, y, f"This scan: {figure(after)} mL", LABEL, within=SIDE)
