"""The first page of the secondary capture: the result in words and numbers that are read at arm's length."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

from ichnode.domain.identity import MODEL_NAME
from ichnode.domain.values import Expansion, Findings, Volume
from ichnode.report.canvas import AMBER, BANNER, GREY, HEIGHT, PANEL, RED, RULE, WHITE, WIDTH, font, page
from ichnode.report.inputs import Source
from ichnode.report.pages import shown_slices, thumbnail

MARGIN: Final = 36
TITLE_TOP: Final = BANNER + 24
PICTURE: Final = 390  # edge of the key slice
PICTURE_LEFT: Final = WIDTH - MARGIN - PICTURE
PICTURE_TOP: Final = BANNER + 92
PROFILE: Final = (MARGIN, 576, WIDTH - MARGIN, 638)  # the box of the bars: left, top, right, bottom
NOTES_TOP: Final = 658
SIGNATURE_TOP: Final = HEIGHT - 54
EXPANSION_HEIGHT: Final = 60
UNTRAINED: Final = "UNTRAINED: not learnt from patient outcomes, without clinical meaning"
NOTHING: Final = ("No region was segmented", "as haematoma.", "", "Small or atypical haemorrhage", "is not excluded.")

UNSEEN: Final = (
    "The brain could not be told",
    "from the rest of the image.",
    "",
    "Whether there is a haematoma",
    "is not known.",
)


def summary_page(source: Source, findings: Findings, node_version: str) -> NDArray[np.uint8]:
    """The page (H, W, 3): finding, volume, density, key slice, extent, expansion, doubts, signature."""
    image, draw, volume = *page(), source.volume
    draw.text((MARGIN, TITLE_TOP), _title(findings), fill=WHITE, font=font(40))
    image.paste(thumbnail(volume, findings, PICTURE), (PICTURE_LEFT, PICTURE_TOP))
    corner = (PICTURE_LEFT + PICTURE, PICTURE_TOP + PICTURE)
    draw.rectangle((PICTURE_LEFT - 1, PICTURE_TOP - 1, *corner), outline=RULE)
    caption = f"{'Largest section' if findings.present else 'Middle section'}: {source.slice_name(findings.key_slice)}"
    draw.text((corner[0], corner[1] + 8), caption, fill=GREY, font=font(18), anchor="ra")
    if findings.present:
        _numbers(draw, volume, findings)
        _profile(draw, findings)
    else:
        for line, text in enumerate(UNSEEN if findings.undetermined else NOTHING):
            draw.text((MARGIN, PICTURE_TOP + 8 + 32 * line), text, fill=WHITE, font=font(22))
    top = NOTES_TOP if findings.expansion is None else _expansion(draw, findings.expansion, NOTES_TOP)
    _doubts(draw, findings, top)
    _signature(draw, volume, findings, node_version)
    return np.asarray(image)


def _title(findings: Findings) -> str:
    if findings.undetermined:
        return "Intracerebral haematoma: undetermined"
    return "Intracerebral haematoma" if findings.present else "No intracerebral haematoma found"


def _numbers(draw: ImageDraw.ImageDraw, volume: Volume, findings: Findings) -> None:
    """The volume as large as it matters, then what else was measured."""
    top = PICTURE_TOP
    draw.text((MARGIN, top), "Volume", fill=GREY, font=font(22))
    number = f"{findings.volume_ml:.1f}"
    draw.text((MARGIN, top + 106), number, fill=WHITE, font=font(92), anchor="ls")
    draw.text((MARGIN + font(92).getlength(number) + 12, top + 106), "mL", fill=WHITE, font=font(38), anchor="ls")
    marked = np.flatnonzero(findings.mask.any(axis=(1, 2)))
    lines = [
        ("Mean density", f"{findings.hu_mean:.0f} HU (SD {findings.hu_sd:.0f})"),
        ("Extent", f"slice {marked[0] + 1} to {marked[-1] + 1} of {len(volume.hu)}"),
        ("Separate parts", str(len(findings.lesions))),
        ("Slices pictured", f"{len(shown_slices(findings))} of {len(marked)}"),
    ]
    for row, (label, value) in enumerate(lines):
        draw.text((MARGIN, top + 146 + 58 * row), label, fill=GREY, font=font(18))
        draw.text((MARGIN, top + 168 + 58 * row), value, fill=WHITE, font=font(24))


def _profile(draw: ImageDraw.ImageDraw, findings: Findings) -> None:
    """Marked area of every slice, first to last: where the haematoma lies in the stack."""
    left, top, right, bottom = PROFILE
    draw.text((left, top - 30), "Area in each slice", fill=GREY, font=font(18))
    draw.rectangle((left, top, right, bottom), fill=PANEL)
    areas = np.count_nonzero(findings.mask, axis=(1, 2))
    edges = np.linspace(left, right, len(areas) + 1)
    gap = 2 if edges[1] - edges[0] > 5 else 0
    for index in np.flatnonzero(areas):
        height = max(2.0, (bottom - top - 6) * areas[index] / areas.max())
        color = WHITE if index == findings.key_slice else RED
        draw.rectangle((edges[index] + gap / 2, bottom - height, edges[index + 1] - 1 - gap / 2, bottom), fill=color)
    draw.line((left, bottom + 1, right, bottom + 1), fill=RULE)


def _expansion(draw: ImageDraw.ImageDraw, expansion: Expansion, top: float) -> float:
    """The predicted probability beside its threshold. Returns where the next block starts."""
    side = "at or above" if expansion.probability >= expansion.threshold else "below"
    text = f"Expansion within 24 h: {100 * expansion.probability:.0f} %"
    draw.text((MARGIN, top), text, fill=WHITE, font=font(22))
    judged = f"{side} the threshold of {100 * expansion.threshold:.0f} %"
    draw.text((WIDTH - MARGIN, top), judged, fill=GREY, font=font(22), anchor="ra")
    if not expansion.trained_on_patients:
        draw.text((MARGIN, top + 28), UNTRAINED, fill=AMBER, font=font(18))
    return top + EXPANSION_HEIGHT


def _doubts(draw: ImageDraw.ImageDraw, findings: Findings, top: float) -> None:
    """The quality flags in two columns, or that there are none."""
    if not findings.flags:
        draw.text((MARGIN, top), "No doubts about the quality of the images", fill=GREY, font=font(18))
        return
    for place, flag in enumerate(sorted(findings.flags)):
        x = MARGIN + place % 2 * (WIDTH - 2 * MARGIN) / 2
        y = top + place // 2 * 23
        draw.rectangle((x, y + 6, x + 8, y + 14), fill=AMBER)
        draw.text((x + 18, y), flag.value, fill=AMBER, font=font(16))


def _signature(draw: ImageDraw.ImageDraw, volume: Volume, findings: Findings, node_version: str) -> None:
    """Who measured, with which weights, on how many images."""
    model = findings.model
    draw.line((MARGIN, SIGNATURE_TOP - 8, WIDTH - MARGIN, SIGNATURE_TOP - 8), fill=RULE)
    who = f"{MODEL_NAME} {node_version}, network {model.name} {model.version}, weights {model.sha256[:12]}"
    draw.text((MARGIN, SIGNATURE_TOP), who, fill=GREY, font=font(18))
    what = f"Automatic measurement on {len(volume.hu)} slices, not reviewed by a person"
    draw.text((MARGIN, SIGNATURE_TOP + 22), what, fill=GREY, font=font(18))
