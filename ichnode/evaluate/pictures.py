"""One slice of a case as a page shows it: grey pixels, and the outlines of both masks as lines."""

import base64
import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.measure import find_contours

from ichnode.domain.values import Volume

WINDOW_HU: Final = (0.0, 80.0)  # centre 40, width 80: the usual brain window
HEAD_HU: Final = -300  # above lies a head, below air: enough to crop to
MARGIN_MM: Final = 4.0
LONGEST_PX: Final = 320  # of a picture: about twenty stand on one page, which is sent by mail

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A slice cropped to the head.

    ``slice_index`` counts from 0. ``png`` is base64. ``width_mm`` and ``height_mm`` span the picture; ``labelled`` and
    ``found`` are the outlines of the masks as SVG path data in mm from its upper left corner, "" where there is none.
    """

    slice_index: int
    png: str
    width_mm: float
    height_mm: float
    labelled: str
    found: str


def picture_of(volume: Volume, labelled: Mask, found: Mask) -> Picture:
    """The slice where the labelled bleed, else the found one, else the head is largest. Masks (Z, Y, X) bool."""
    k = _slice_to_show(volume, labelled, found)
    hu = np.asarray(volume.hu[k], np.float32)
    pixel_mm = (volume.geometry.row_spacing_mm, volume.geometry.column_spacing_mm)
    rows, columns = _head_box(hu, pixel_mm)
    height_mm, width_mm = ((part.stop - part.start) * mm for part, mm in zip((rows, columns), pixel_mm, strict=True))
    return Picture(
        slice_index=k,
        png=_png(hu[rows, columns], width_mm / height_mm),
        width_mm=round(width_mm, 2),
        height_mm=round(height_mm, 2),
        labelled=_outline(labelled[k, rows, columns], pixel_mm),
        found=_outline(found[k, rows, columns], pixel_mm),
    )


def _slice_to_show(volume: Volume, labelled: Mask, found: Mask) -> int:
    shown = next((mask for mask in (labelled, found) if mask.any()), volume.hu > HEAD_HU)
    return int(np.count_nonzero(shown, axis=(1, 2)).argmax())


def _head_box(hu: NDArray[np.float32], pixel_mm: tuple[float, float]) -> tuple[slice, slice]:
    """Rows and columns of the largest part that is no air: the head, without holder and table."""
    parts, count = ndimage.label(hu > HEAD_HU)
    if not count:
        return slice(0, hu.shape[0]), slice(0, hu.shape[1])
    rows, columns = ndimage.find_objects(parts)[np.bincount(parts[parts > 0]).argmax() - 1]
    return _widened(rows, MARGIN_MM / pixel_mm[0], hu.shape[0]), _widened(columns, MARGIN_MM / pixel_mm[1], hu.shape[1])


def _widened(part: slice, margin: float, size: int) -> slice:
    return slice(max(0, part.start - round(margin)), min(size, part.stop + round(margin)))


def _png(hu: NDArray[np.float32], aspect: float) -> str:
    low, high = WINDOW_HU
    grey = np.clip((hu - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    height = min(LONGEST_PX, round(LONGEST_PX / aspect))
    image = Image.fromarray(grey).resize((max(1, round(height * aspect)), max(1, height)), Image.Resampling.BOX)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode()


def _outline(mask: Mask, pixel_mm: tuple[float, float]) -> str:
    """Path data in mm; the mask is padded, so that an outline at the border of the picture is closed."""
    lines = []
    for contour in find_contours(np.pad(mask, 1).astype(np.float32), 0.5):
        points = (contour - 0.5) * pixel_mm  # minus the padding, plus half a pixel: a pixel's centre is not its corner
        lines.append("M" + "L".join(f"{x:.1f} {y:.1f}" for y, x in points[:-1]) + "Z")
    return "".join(lines)
