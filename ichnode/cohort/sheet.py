"""The contact sheet of a cohort: of every case the slice with the largest bleed, its contour, name and volume."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import find_contours

from ichnode.domain.geometry import Geometry
from ichnode.domain.values import Volume

SIDE: Final = 256  # pixels of a tile
FIELD_MM: Final = 230.0  # that it shows, centred on the head: room for the longest
CAPTION: Final = 40  # pixels below it
GAP: Final = 6
TITLE: Final = 56
COLUMNS: Final = (4, 12)  # fewest and most tiles in a row
WINDOW_HU: Final = (0.0, 80.0)
AIR_HU: Final = -1000
SMOOTH: Final = 3  # contours are drawn so many times larger and reduced

GROUND: Final = (18, 20, 24)
WHITE: Final = (245, 247, 250)
GREY: Final = (150, 158, 168)
RED: Final = (255, 77, 64)
AMBER: Final = (255, 191, 0)

Mask = NDArray[np.bool_]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tile:
    """A slice as it is shown: ``grey`` (SIDE, SIDE) uint8, ``bleed`` of the same shape; patient's left on the right."""

    grey: NDArray[np.uint8]
    bleed: Mask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """One case on the sheet. ``tile`` is None where it could not be read; ``fault`` in a few words, or empty."""

    name: str
    note: str
    volume_ml: float | None
    tile: Tile | None
    fault: str = ""


def tile_of(volume: Volume, brain: Mask | None, bleed: Mask) -> Tile:
    """The slice with the largest bleed; without a bleed that with the largest brain, else the middle one."""
    shown = bleed if bleed.any() else brain
    k = len(volume.hu) // 2 if shown is None else int(shown.sum(axis=(1, 2)).argmax())
    box = _box(volume.geometry, (volume.hu[k] > -300) if brain is None else brain[k])
    low, high = WINDOW_HU
    hu = _cropped(volume.hu[k].astype(np.float32), box, volume.geometry, AIR_HU)
    share = _cropped(bleed[k].astype(np.float32), box, volume.geometry, 0)
    grey = np.clip((hu - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    return Tile(grey=grey, bleed=share > 0.5)


def draw_sheet(title: str, cells: Sequence[Cell]) -> Image.Image:
    """All cells as one picture, ``title`` above, in the order given."""
    fewest, most = COLUMNS
    columns = min(most, max(fewest, math.ceil(math.sqrt(len(cells)))))
    rows = math.ceil(len(cells) / columns)
    step_x, step_y = SIDE + GAP, SIDE + CAPTION + GAP
    sheet = Image.new("RGB", (GAP + columns * step_x, TITLE + rows * step_y), GROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((2 * GAP, TITLE / 2), _short(title, sheet.width - 4 * GAP, 24), WHITE, _font(24), anchor="lm")
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        _draw_cell(sheet, draw, cell, (GAP + column * step_x, TITLE + row * step_y))
    return sheet


def _draw_cell(sheet: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, corner: tuple[int, int]) -> None:
    x, y = corner
    right, below = x + SIDE - 1, y + SIDE
    if cell.tile is None:
        draw.rectangle((x, y, right, below - 1), outline=GREY)
        draw.text((x + SIDE / 2, y + SIDE / 2), "not to be shown", GREY, _font(16), anchor="mm")
    else:
        sheet.paste(_picture(cell.tile), (x, y))
    if cell.fault:
        draw.rectangle((x, y, right, below - 1), outline=AMBER, width=3)
    volume = "" if cell.volume_ml is None else f"{cell.volume_ml:.1f} mL" if cell.volume_ml > 0 else "no bleed"
    name_width = SIDE - 12 - _font(17).getlength(volume)
    draw.text((x + 2, below + 3), _short(cell.name, name_width, 17), WHITE, _font(17))
    draw.text((right - 2, below + 3), volume, WHITE, _font(17), anchor="ra")
    line, colour = (cell.fault, AMBER) if cell.fault else (cell.note, GREY)
    draw.text((x + 2, below + 23), _short(line, SIDE - 4, 13), colour, _font(13))


def _picture(tile: Tile) -> Image.Image:
    picture = Image.fromarray(tile.grey).convert("RGB")
    layer = Image.new("L", (SIDE * SMOOTH, SIDE * SMOOTH))
    draw = ImageDraw.Draw(layer)
    for contour in find_contours(np.pad(tile.bleed, 1).astype(np.float32), 0.5):
        points = [((column - 0.5) * SMOOTH, (row - 0.5) * SMOOTH) for row, column in contour]
        draw.line(points, fill=255, width=round(1.5 * SMOOTH))
    picture.paste(RED, mask=layer.resize(picture.size, Image.Resampling.BOX))
    return picture


def _box(geometry: Geometry, shown: Mask) -> tuple[float, float, float, float]:
    """Left, upper, right, lower in pixels of the slice: FIELD_MM about the middle of what is shown."""
    rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
    down = (rows[0] + rows[-1] + 1) / 2 if len(rows) else geometry.rows / 2
    across = (columns[0] + columns[-1] + 1) / 2 if len(columns) else geometry.columns / 2
    high, wide = FIELD_MM / geometry.row_spacing_mm / 2, FIELD_MM / geometry.column_spacing_mm / 2
    return across - wide, down - high, across + wide, down + high


def _cropped(
    plane: NDArray[np.float32], box: tuple[float, float, float, float], geometry: Geometry, fill: float
) -> NDArray[np.float32]:
    """(SIDE, SIDE) of the box, which may reach beyond the slice, the patient's right and front first."""
    margin = 1 + int(max(0.0, -min(box), box[2] - plane.shape[1], box[3] - plane.shape[0]))
    wide = Image.fromarray(np.pad(plane, margin, constant_values=fill))
    inner = (box[0] + margin, box[1] + margin, box[2] + margin, box[3] + margin)
    out = np.asarray(wide.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=inner))
    if geometry.column_cosine[1] < 0:
        out = out[::-1]
    return out[:, ::-1] if geometry.row_cosine[0] < 0 else out


def _short(text: str, width: float, size: int) -> str:
    """The text, or as much of it as fits ``width`` pixels."""
    if _font(size).getlength(text) <= width:
        return text
    while text and _font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


@cache
def _font(size: int) -> Font:
    return ImageFont.load_default(size)  # the typeface within Pillow: every machine draws the same
