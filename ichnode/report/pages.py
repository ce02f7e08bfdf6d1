"""The pages of the secondary capture that show the slices: outline, places that show a marker, sides, scale."""

from typing import Final

import numpy as np

from ichnode.domain.identity import MODEL_NAME
from ichnode.domain.values import Findings
from ichnode.report.canvas import BANNER, CYAN, GREY, MARGIN, RED, WHITE, WIDTH, Pixels, Sheet, Type, page
from ichnode.report.evidence import draw_labels, draw_places, places_on
from ichnode.report.inputs import Source
from ichnode.report.orient import draw_bar, draw_ends, draw_sides
from ichnode.report.picture import Window, grey_picture, outline, window_of
from ichnode.report.wording import figure

MAX_SLICE_PAGES: Final = 24  # thin slices show little that their neighbours do not; the segmentation has them all
SIDE: Final = 800  # pixels of the square in which the slice stands
PICTURE_LEFT: Final = 36
PICTURE_TOP: Final = BANNER + 28
LABELS_LEFT: Final = PICTURE_LEFT + SIDE + 32
LEGEND_TOP: Final = PICTURE_TOP + SIDE + 28
LETTER: Final = Type(24, GREY)


def shown_slices(findings: Findings) -> list[int]:
    """Indices of the slices that get a page: those with haematoma, evenly thinned, the largest always among them."""
    marked = np.flatnonzero(findings.mask.any(axis=(1, 2)))
    step = -(-len(marked) // MAX_SLICE_PAGES) if len(marked) else 1
    return [int(index) for index in marked if (index - findings.key_slice) % step == 0]


def scale_of(rows: int, columns: int) -> float:
    """Page pixels a source pixel."""
    return SIDE / max(rows, columns)


def picture_place(rows: int, columns: int) -> tuple[float, float]:
    """Left and top of the slice on its page: in the middle of its square."""
    scale = scale_of(rows, columns)
    return PICTURE_LEFT + (SIDE - round(columns * scale)) // 2, PICTURE_TOP + (SIDE - round(rows * scale)) // 2


def slice_page(source: Source, findings: Findings, index: int, node_version: str) -> Pixels:
    """One slice (H, W, 3) with the outline and what shows a marker."""
    return slice_sheet(source, findings, index, node_version).pixels


def slice_sheet(source: Source, findings: Findings, index: int, node_version: str) -> Sheet:
    """The same with the places of its words. No word stands on the anatomy."""
    sheet, geometry = page(), source.volume.geometry
    window = window_of(source.images[index], source.volume.sources[index].frame_number)
    picture = grey_picture(source.volume.hu[index], SIDE, window)
    scale, places = scale_of(geometry.rows, geometry.columns), places_on(findings.markers, index)
    outline(picture, findings.mask[index])
    draw_places(picture, places, geometry, scale)
    left, top = picture_place(geometry.rows, geometry.columns)
    sheet.image.paste(picture, (int(left), int(top)))
    for draw in (draw_sides, draw_ends):
        draw(sheet, geometry, (PICTURE_LEFT, PICTURE_TOP, SIDE, SIDE), LETTER)
    zone = (LABELS_LEFT, PICTURE_TOP, WIDTH - 12, PICTURE_TOP + SIDE)
    draw_labels(sheet, places, geometry, (left, top, scale), zone)
    draw_bar(sheet, WIDTH - MARGIN, LEGEND_TOP + 18, geometry.column_spacing_mm / scale, 320)
    _legend(sheet, source, findings, index, bool(places))
    _caption(sheet, source, index, window, node_version)
    return sheet


def _legend(sheet: Sheet, source: Source, findings: Findings, index: int, has_places: bool) -> None:
    """What the lines mean, and the area of the haematoma on this slice."""
    geometry = source.volume.geometry
    area_cm2 = findings.mask[index].sum() * geometry.row_spacing_mm * geometry.column_spacing_mm / 100
    lines = [(RED, f"Haematoma, {figure(float(area_cm2))} cm2, automatic outline, unreviewed")]
    lines += [(CYAN, "Place that shows a marker; HU: by how much it is darker")] if has_places else []
    for row, (color, text) in enumerate(lines):
        y = LEGEND_TOP + 20 + row * 32
        sheet.draw.line((MARGIN, y - 6, MARGIN + 30, y - 6), fill=color, width=3)
        sheet.text(MARGIN + 44, y, text, Type(19, WHITE if color is RED else GREY), within=500)


def _caption(sheet: Sheet, source: Source, index: int, window: Window, node_version: str) -> None:
    y, within = LEGEND_TOP + 106, WIDTH / 2 - MARGIN - 10
    sheet.rule(y - 30)
    where = source.slice_name(index).capitalize()
    sheet.text(MARGIN, y, f"{where}, {window.text}", Type(19), within=within)
    signed = f"{MODEL_NAME} {node_version}"
    sheet.text(WIDTH - MARGIN, y, signed, Type(17, GREY), within=within, anchor="rs")
