"""A slice as a picture: its grey values in a window, and the thin lines around what was found on it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from scipy import ndimage
from skimage.measure import find_contours

from ichnode.report.canvas import RED, Color
from ichnode.report.inputs import frame_groups
from ichnode.report.stated import raw_value

SMOOTH: Final = 4  # a line is drawn so many times larger and reduced, so that its edge is soft
LINE: Final = 1.6  # pixels of width of the outline
THIN: Final = 1.1  # of the lines around what shows a marker
CENTER_HU: Final = (10.0, 80.0)  # a window of the source is kept where it shows the brain
WIDTH_HU: Final = (40.0, 250.0)
AIR_HU: Final = -300.0
AIR_PIXELS: Final = 10
TOUCHING: Final = 4  # pixels: what hangs together by less is a head rest

Slice = NDArray[np.int16] | NDArray[np.float32]
Mask = NDArray[np.bool_]
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Window:
    """What is shown between black and white, HU."""

    center_hu: float = 40.0
    width_hu: float = 80.0

    @property
    def text(self) -> str:
        """As it stands in the corner of a viewer."""
        return f"W {self.width_hu:.0f} L {self.center_hu:.0f}"


def window_of(image: Dataset, frame: int | None = None) -> Window:
    """The window that the source states for an image or one of its frames, where it is one for the brain; else 80/40.

    Source: PS3.3 C.11.2.1.2.
    """
    holders = [image, *(item for group in frame_groups(image, frame) for item in group.get("FrameVOILUTSequence", ()))]
    for holder in holders:
        for center, width in zip(*(_numbers(holder, word) for word in ("WindowCenter", "WindowWidth")), strict=False):
            if CENTER_HU[0] <= center <= CENTER_HU[1] and WIDTH_HU[0] <= width <= WIDTH_HU[1]:
                return Window(center, width)
    return Window()


def grey_picture(hu: Slice, side: int, window: Window) -> Image.Image:
    """A slice (Y, X) in a window, scaled so that its longer edge has ``side`` pixels."""
    low = window.center_hu - window.width_hu / 2
    grey = np.clip((hu.astype(np.float32) - low) / window.width_hu * 255, 0, 255).astype(np.uint8)
    scale = side / max(grey.shape)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    return Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB")


def head_box(hu: Slice) -> tuple[slice, slice]:
    """Rows and columns of a slice (Y, X) that hold its largest connected piece of tissue, and a little air."""
    pieces, _ = ndimage.label(ndimage.binary_opening(hu > AIR_HU, iterations=TOUCHING))
    found = ndimage.find_objects(pieces)
    if not found:
        return slice(0, hu.shape[0]), slice(0, hu.shape[1])
    rows, columns = found[int(np.bincount(pieces.ravel())[1:].argmax())]
    return _wider(rows, hu.shape[0]), _wider(columns, hu.shape[1])


def _wider(part: slice, length: int) -> slice:
    return slice(max(0, part.start - AIR_PIXELS), min(length, part.stop + AIR_PIXELS))


def cropped(hu: Slice, mask: Mask, box: tuple[slice, slice], side: int, window: Window) -> Image.Image:
    """The part of a slice (Y, X) within ``box``, with its outline, in the middle of a square of ``side`` pixels."""
    picture = grey_picture(hu[box], side, window)
    outline(picture, mask[box])
    square = Image.new("RGB", (side, side))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square


def outline(picture: Image.Image, mask: Mask, color: Color = RED, width: float = LINE) -> None:
    """Draw the border of ``mask`` (Y, X) on a picture of the same slice, along the edges of its marked pixels."""
    found = find_contours(np.pad(mask, 1).astype(np.float32), 0.5)
    # a point of a contour is the (row, column) of a pixel's centre in the padded mask
    draw_lines(picture, [line - 1 for line in found], picture.width / mask.shape[1], color, width)


def draw_lines(
    picture: Image.Image, lines: Iterable[Points | NDArray[np.float64]], scale: float, color: Color, width: float
) -> None:
    """Draw lines of (row, column) in source pixels on a picture that is ``scale`` times as large."""
    drawn = [line for line in lines if len(line) > 1]
    if not drawn:
        return
    layer = Image.new("L", (picture.width * SMOOTH, picture.height * SMOOTH))
    draw = ImageDraw.Draw(layer)
    for line in drawn:
        # a pixel reaches half its width beyond its centre
        points = [((column + 0.5) * scale * SMOOTH, (row + 0.5) * scale * SMOOTH) for row, column in line]
        draw.line(points, fill=255, width=max(1, round(width * SMOOTH)), joint="curve")
    picture.paste(color, mask=layer.resize(picture.size, Image.Resampling.BOX))


def _numbers(holder: Dataset, keyword: str) -> list[float]:
    try:
        return [float(part) for part in raw_value(holder, keyword).split(b"\\")]
    except ValueError:
        return []
