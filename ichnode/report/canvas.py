"""A page of the secondary capture: a black square for the picture within a frame of banner, footer and two gutters.

Text stands in the frame alone, never on the anatomy. No patient data is drawn.
"""

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage.measure import find_contours

from ichnode.domain.identity import RESEARCH_NOTICE

SIDE: Final = 768  # pixels of the square in which the slice stands
BANNER: Final = 52  # pixels of height above it
FOOTER: Final = 60  # pixels of height below it
GUTTER: Final = 36  # pixels of width on either side
WIDTH: Final = GUTTER + SIDE + GUTTER
HEIGHT: Final = BANNER + SIDE + FOOTER

BLACK: Final = (0, 0, 0)
PANEL: Final = (24, 28, 34)
RULE: Final = (62, 70, 80)
AMBER: Final = (255, 191, 0)
WHITE: Final = (245, 247, 250)
GREY: Final = (164, 172, 182)
RED: Final = (255, 77, 64)

WINDOW_CENTER_HU: Final = 40
WINDOW_WIDTH_HU: Final = 80
SMOOTH: Final = 4  # the outline is drawn so many times larger and reduced, so that its edge is soft

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@cache
def font(size: int) -> Font:
    """The typeface that Pillow carries within itself, so that every machine draws the same."""
    return ImageFont.load_default(size)


def page() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty page with the research banner."""
    image = Image.new("RGB", (WIDTH, HEIGHT), BLACK)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDTH, BANNER - 1), fill=AMBER)
    draw.text((WIDTH / 2, BANNER / 2), RESEARCH_NOTICE, fill=BLACK, font=font(27), anchor="mm")
    return image, draw


def scale_of(rows: int, columns: int) -> float:
    """Page pixels a source pixel."""
    return SIDE / max(rows, columns)


def grey_picture(hu: NDArray[np.int16] | NDArray[np.float32], side: int = SIDE) -> Image.Image:
    """A slice (Y, X) in the brain window, scaled so that its longer edge has ``side`` pixels."""
    low = WINDOW_CENTER_HU - WINDOW_WIDTH_HU / 2
    grey = np.clip((hu.astype(np.float32) - low) / WINDOW_WIDTH_HU * 255, 0, 255).astype(np.uint8)
    scale = side / max(grey.shape)
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    return Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB")


def outline(picture: Image.Image, mask: NDArray[np.bool_], width: float = 2.5) -> None:
    """Draw the border of ``mask`` (Y, X) on a picture of the same slice, along the edges of its marked pixels."""
    scale = picture.width / mask.shape[1] * SMOOTH
    layer = Image.new("L", (picture.width * SMOOTH, picture.height * SMOOTH))
    draw = ImageDraw.Draw(layer)
    for contour in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):
        # contour points are (row, column) of pixel centres in the padded mask; a pixel reaches half beyond its centre
        points = [((column - 1 + 0.5) * scale, (row - 1 + 0.5) * scale) for row, column in contour]
        draw.line(points, fill=255, width=round(width * SMOOTH), joint="curve")
    alpha = layer.resize(picture.size, Image.Resampling.BOX)
    picture.paste(RED, mask=alpha)
