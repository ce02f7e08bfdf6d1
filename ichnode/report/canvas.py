"""A page of the secondary capture: what all pages share, and the words on them, each of which is measured.

Text goes through ``Sheet.text`` alone: it never leaves the width it is given, and where it stands can be asked, so that
a test holds against every content that no two words overlap. No patient data is drawn.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ichnode.domain.identity import RESEARCH_NOTICE

WIDTH: Final = 1024
HEIGHT: Final = 1024
BANNER: Final = 36  # pixels of height of the notice above everything
MARGIN: Final = 36

Color = tuple[int, int, int]
BLACK: Final = (0, 0, 0)
PANEL: Final = (22, 25, 30)
RULE: Final = (58, 65, 75)
AMBER: Final = (226, 168, 32)  # not brighter: the page is read in the dark
WHITE: Final = (240, 243, 247)
GREY: Final = (160, 168, 178)
RED: Final = (255, 77, 64)
CYAN: Final = (86, 204, 242)

ELLIPSIS: Final = "..."
REGULAR: Final = 400
BOLD: Final = 600
NORMAL: Final = 100
NARROW: Final = 80

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Type:
    """How words look: ``size`` in pixels, colour, weight (400 to 700), width of the letters in percent (75 to 100)."""

    size: int
    color: Color = WHITE
    weight: int = REGULAR
    width: int = NORMAL

    def length(self, text: str) -> float:
        """The advance of ``text``, pixels."""
        return float(font(self).getlength(text))


@dataclass(frozen=True, slots=True)
class Box:
    """Where ``text`` stands: the pixels that its letters reach, right and bottom not among them."""

    left: float
    top: float
    right: float
    bottom: float
    text: str

    def overlaps(self, other: "Box") -> bool:
        """Whether two texts share pixels."""
        apart = self.right <= other.left or other.right <= self.left
        return not (apart or self.bottom <= other.top or other.bottom <= self.top)


class Sheet:
    """A page under way: ``image`` (WIDTH, HEIGHT), what draws on it, and the ``boxes`` of its words."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH, HEIGHT), BLACK)
        self.draw = ImageDraw.Draw(self.image)
        self.boxes: list[Box] = []

    def text(self, x: float, y: float, text: str, look: Type, *, within: float, anchor: str = "ls") -> Box:
        """One line of words at most ``within`` pixels wide, cut off with an ellipsis; ``anchor`` as Pillow has it."""
        shown = cut_off(text, look, within)
        self.draw.text((x, y), shown, fill=look.color, font=font(look), anchor=anchor)
        box = Box(*self.draw.textbbox((x, y), shown, font=font(look), anchor=anchor), shown)
        if shown:
            self.boxes.append(box)
        return box

    def lines(self, x: float, y: float, lines: Iterable[str], look: Type, *, within: float, step: float) -> float:
        """Lines from baseline ``y`` on, ``step`` pixels apart. Returns the baseline after the last."""
        for line in lines:
            self.text(x, y, line, look, within=within)
            y += step
        return y

    def rule(self, y: float) -> None:
        """A line across the page."""
        self.draw.line((MARGIN, y, WIDTH - MARGIN, y), fill=RULE)

    @property
    def pixels(self) -> Pixels:
        """The page (H, W, 3)."""
        return np.asarray(self.image)


@cache
def _face() -> bytes:
    """IBM Plex Sans (SIL Open Font License), from a package: no machine's own fonts are used."""
    return (files("fontpkg_ibm_plex_sans") / "files" / "IBMPlexSans[wdth,wght].ttf").read_bytes()


@cache
def font(look: Type) -> ImageFont.FreeTypeFont:
    """The typeface at a size and weight. Laid out by Pillow itself: raqm is not there on every machine."""
    if look.color is not BLACK:
        return font(replace(look, color=BLACK))
    face = ImageFont.truetype(BytesIO(_face()), look.size, layout_engine=ImageFont.Layout.BASIC)
    face.set_variation_by_axes([look.weight, look.width])
    return face


def page() -> Sheet:
    """An empty page with the research banner."""
    sheet = Sheet()
    sheet.draw.rectangle((0, 0, WIDTH, BANNER - 1), fill=AMBER)
    notice = Type(22, BLACK, BOLD)
    sheet.text(WIDTH / 2, BANNER / 2, RESEARCH_NOTICE, notice, within=WIDTH - 2 * MARGIN, anchor="mm")
    return sheet


def cut_off(text: str, look: Type, within: float) -> str:
    """``text``, or as much of it as fits into ``within`` pixels with an ellipsis; nothing where not even that fits."""
    if look.length(text) <= within:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if look.length(text[:middle].rstrip() + ELLIPSIS) <= within:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + ELLIPSIS if look.length(ELLIPSIS) <= within else ""


def wrapped(text: str, look: Type, within: float, most: int) -> list[str]:
    """``text`` in at most ``most`` lines of ``within`` pixels, broken between words; the last may be cut off."""
    lines: list[str] = []
    rest = text.split()
    while rest and len(lines) < most - 1:
        count = 1
        while count < len(rest) and look.length(" ".join(rest[: count + 1])) <= within:
            count += 1
        line, rest = " ".join(rest[:count]), rest[count:]
        fits = _fitting(line, look, within)
        lines.append(line[:fits])
        if line[fits:]:  # a word longer than the line goes on in the next one
            rest.insert(0, line[fits:])
    return [*lines, cut_off(" ".join(rest), look, within)] if rest else lines


def _fitting(word: str, look: Type, within: float) -> int:
    """How many letters of ``word`` fit into ``within`` pixels; one at least."""
    count = len(word)
    while count > 1 and look.length(word[:count]) > within:
        count -= 1
    return count


def fitting(text: str, look: Type, within: float, least: int) -> Type:
    """``look``, made smaller until ``text`` fits into ``within`` pixels, but not below ``least``."""
    while look.size > least and look.length(text) > within:
        look = replace(look, size=look.size - 2)
    return look
