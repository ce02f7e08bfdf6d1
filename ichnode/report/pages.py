"""The pages of the secondary capture: the slices with the outline of the haematoma."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichnode.domain.identity import MODEL_NAME
from ichnode.domain.values import Findings, Volume
from ichnode.report.canvas import (
    BANNER,
    FOOTER,
    GREY,
    GUTTER,
    RED,
    SIDE,
    WHITE,
    WIDTH,
    font,
    grey_picture,
    outline,
    page,
)
from ichnode.report.inputs import Source
from ichnode.report.plane import side_of

MAX_SLICE_PAGES: Final = 24  # thin slices show little that their neighbours do not; the segmentation has them all
MARGIN: Final = 16


def shown_slices(findings: Findings) -> list[int]:
    """Indices of the slices that get a page: those with haematoma, evenly thinned, the largest always among them."""
    marked = np.flatnonzero(findings.mask.any(axis=(1, 2)))
    step = -(-len(marked) // MAX_SLICE_PAGES) if len(marked) else 1
    return [int(index) for index in marked if (index - findings.key_slice) % step == 0]


def slice_page(source: Source, findings: Findings, index: int, node_version: str) -> NDArray[np.uint8]:
    """One slice (H, W, 3) with the outline; its place in the stack and the measured area stand below it."""
    image, draw = page()
    volume = source.volume
    picture = grey_picture(volume.hu[index])
    outline(picture, findings.mask[index])
    image.paste(picture, (GUTTER, BANNER))
    row = volume.geometry.row_cosine
    for letter, x in ((side_of(-row), GUTTER / 2), (side_of(row), WIDTH - GUTTER / 2)):
        draw.text((x, BANNER + SIDE / 2), letter, fill=GREY, font=font(26), anchor="mm")
    area_cm2 = findings.mask[index].sum() * volume.geometry.row_spacing_mm * volume.geometry.column_spacing_mm / 100
    middle = BANNER + SIDE + FOOTER / 2
    draw.line((MARGIN, middle - 11, MARGIN + 34, middle - 11), fill=RED, width=4)
    draw.text((MARGIN + 46, middle - 11), f"Haematoma, {area_cm2:.1f} cm2", fill=WHITE, font=font(22), anchor="lm")
    draw.text((MARGIN, middle + 15), "automatic outline, unreviewed", fill=GREY, font=font(18), anchor="lm")
    where = source.slice_name(index).capitalize()
    draw.text((WIDTH - MARGIN, middle - 11), where, fill=WHITE, font=font(22), anchor="rm")
    signed = f"{MODEL_NAME} {node_version}   W 80 L 40"
    draw.text((WIDTH - MARGIN, middle + 15), signed, fill=GREY, font=font(18), anchor="rm")
    return np.asarray(image)


def thumbnail(volume: Volume, findings: Findings, side: int) -> Image.Image:
    """The key slice on a square of ``side`` pixels, with its outline."""
    square = Image.new("RGB", (side, side))
    picture = grey_picture(volume.hu[findings.key_slice], side)
    outline(picture, findings.mask[findings.key_slice])
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square
