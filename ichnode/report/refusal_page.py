"""The page that says that a series was not analysed, why, and what to do. It shows no image: there may be none."""

from collections.abc import Iterable, Sequence
from typing import Final

from pydicom.dataset import Dataset

from ichnode.domain.flags import Doubt, Flag
from ichnode.report.canvas import AMBER, BOLD, GREY, HEIGHT, MARGIN, WHITE, Pixels, Sheet, Type, page, wrapped
from ichnode.report.origin import received
from ichnode.report.panels import DOUBTS_HEIGHT, FULL, SIGNATURE_HEIGHT, doubts, signature
from ichnode.report.summary import signed_by
from ichnode.report.wording import ascii_text

TITLE: Final = Type(64, WHITE, BOLD)
BECAUSE: Final = Type(26, GREY)
REASON: Final = Type(34, WHITE)
REASON_LINES: Final = 8
STEP: Final = 46
ADVICE: Final = Type(24, WHITE)
ADVICE_LINES: Final = (
    "Read the images as always: nothing is said here about haemorrhage.",
    "If the reason can be mended, send the series again, or another one of this study.",
    "If it keeps happening, show this page to those who run the node.",
)
SIGNATURE_TOP: Final = HEIGHT - SIGNATURE_HEIGHT
DOUBTS_TOP: Final = SIGNATURE_TOP - DOUBTS_HEIGHT - 8


def refusal_page(datasets: Sequence[Dataset], reason: str, flags: Iterable[Flag], node_version: str) -> Pixels:
    """The page (H, W, 3)."""
    return refusal_sheet(datasets, reason, flags, node_version).pixels


def refusal_sheet(datasets: Sequence[Dataset], reason: str, flags: Iterable[Flag], node_version: str) -> Sheet:
    """The same with the places of its words. ``datasets`` may be of any class and need no geometry."""
    sheet = page()
    sheet.draw.rectangle((MARGIN, 76, MARGIN + 8, 160), fill=AMBER)
    sheet.text(MARGIN + 28, 142, "Not analysed", TITLE, within=FULL - 28)
    sheet.text(MARGIN, 212, "because", BECAUSE, within=FULL)
    lines = wrapped(because(reason), REASON, FULL, REASON_LINES)
    y = sheet.lines(MARGIN, 262, lines, REASON, within=FULL, step=STEP)
    sheet.rule(y)
    y = sheet.lines(MARGIN, y + 46, ["What to do"], BECAUSE, within=FULL, step=44)
    for advice in ADVICE_LINES:
        y = sheet.lines(MARGIN, y, wrapped(advice, ADVICE, FULL, 2), ADVICE, within=FULL, step=32) + 8
    doubts(sheet, DOUBTS_TOP, [Doubt(flag=flag) for flag in set(flags)], "Also noticed")
    signature(sheet, SIGNATURE_TOP, signed_by(received(tuple(datasets)), None, node_version))
    return sheet


def because(reason: str) -> str:
    """The reason in ASCII, without the words that stand before it anyway."""
    return ascii_text(reason).removeprefix("not analysed: ") or "no reason was given"
