"""The first page of the secondary capture: the result in words and numbers that are read at arm's length."""

from typing import Final

import numpy as np
from PIL import Image

from ichnode.domain.identity import MODEL_NAME
from ichnode.domain.values import Findings, ModelIdentity
from ichnode.report import panels
from ichnode.report.canvas import (
    AMBER,
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
from ichnode.report.panels import Card
from ichnode.report.picture import Window, cropped, head_box, window_of
from ichnode.report.wording import bat_meaning, bat_text, expansion_side, figure, hours, percent, signed

TITLE: Final = Type(36, WHITE, BOLD)
TITLE_LINE: Final = 84
NUMBERS_TOP: Final = 104
NUMBERS_LEFT: Final = 424
CARDS_TOP: Final = 242
SIGNATURE_TOP: Final = HEIGHT - panels.SIGNATURE_HEIGHT
DOUBTS_TOP: Final = SIGNATURE_TOP - panels.DOUBTS_HEIGHT - 8
LARGEST_PICTURE: Final = 520
LARGER_PICTURE: Final = 600  # where there are no markers to be told beside it
CAPTION: Final = 34
PROFILE_HEIGHT: Final = 110

UNTRAINED: Final = "UNTRAINED: no clinical meaning"
NOTHING: Final = "No region was segmented as haematoma. Small or atypical haemorrhage is not excluded."
UNSEEN: Final = (
    "The brain could not be told from the rest of the image. Whether there is a haematoma is not known. "
    "This is no negative result."
)


def summary_page(source: Source, findings: Findings, node_version: str) -> Pixels:
    """The page (H, W, 3): finding, figures, key slice, markers, scores, growth, doubts, signature."""
    return summary_sheet(source, findings, node_version).pixels


def summary_sheet(source: Source, findings: Findings, node_version: str) -> Sheet:
    """The same with the places of its words."""
    sheet = page()
    sheet.text(MARGIN, TITLE_LINE, _title(findings), TITLE, within=panels.FULL)
    top = NUMBERS_TOP
    if findings.present:
        panels.volume(sheet, top, figure(findings.volume_ml), "mL", NUMBERS_LEFT - MARGIN - 20)
        panels.numbers(sheet, NUMBERS_LEFT, top, _cells(findings), 4)
        top = CARDS_TOP
    shown = _cards(findings)
    if shown:
        panels.cards(sheet, top, shown)
        top += panels.CARD_HEIGHT + 14
    side = min(LARGEST_PICTURE if findings.present else LARGER_PICTURE, DOUBTS_TOP - CAPTION - top)
    _key_slice(sheet, source, findings, top, side)
    _beside(sheet, source, findings, MARGIN + side + 36, top, top + side)
    if findings.doubts:
        panels.doubts(sheet, DOUBTS_TOP, findings.doubts, "Doubts: read these before you trust the figures")
    else:
        sheet.text(
            MARGIN, DOUBTS_TOP + 20, "No doubts about the quality of the images.", panels.LABEL, within=panels.FULL
        )
    panels.signature(sheet, SIGNATURE_TOP, signed_by(analysed(source), findings.model, node_version))
    return sheet


def signed_by(what: str, model: ModelIdentity | None, node_version: str) -> list[str]:
    """What was looked at, by which program and weights, and that no person has looked."""
    node = f"{MODEL_NAME} {node_version}"
    who = f"{node}, network {model.name} {model.version}, weights {model.sha256[:12]}" if model else node
    return [what, who, "Automatic, not reviewed by a person. For research only."]


def _title(findings: Findings) -> str:
    if findings.undetermined:
        return "Intracerebral haematoma: undetermined"
    if not findings.present:
        return "No intracerebral haematoma found"
    side = f", {findings.laterality}" if findings.laterality else ""
    return f"Intracerebral haematoma{side}"


def _cells(findings: Findings) -> list[tuple[str, str]]:
    """The smaller figures; a dash where one was not measured."""
    size, marked = findings.size, np.flatnonzero(findings.mask.any(axis=(1, 2)))
    density = "-" if findings.hu_mean is None else f"{figure(findings.hu_mean, 0)} HU"
    spread = "-" if findings.hu_sd is None else f"{figure(findings.hu_sd, 0)} HU"
    return [
        ("ABC/2", f"{figure(size.abc2_ml)} mL" if size else "-"),
        ("Diameter", f"{figure(size.diameter_mm, 0)} mm" if size else "-"),
        ("Side", str(findings.laterality or "-").capitalize()),
        ("Parts", str(len(findings.lesions))),
        ("Mean density", density),
        ("SD of density", spread),
        ("Variation", "-" if findings.hu_cv is None else f"{figure(100 * findings.hu_cv, 0)} %"),
        ("Slices", f"{marked[0] + 1}-{marked[-1] + 1} of {len(findings.labels)}" if len(marked) else "-"),
    ]


def _cards(findings: Findings) -> list[Card]:
    """BAT, growth and prediction, as far as they are known."""
    shown = []
    bat, growth, expansion, onset = findings.bat, findings.growth, findings.expansion, findings.onset
    if bat is not None:
        label = f"BAT score, {hours(onset.hours)} after onset" if onset else "BAT score"
        color = {True: RED, None: AMBER, False: WHITE}[bat.high_risk]
        shown.append(Card(label, bat_text(bat), bat_meaning(bat, onset_known=onset is not None), color))
    if growth is not None:
        verdict = "EXPANDED" if growth.expanded else "Not expanded"
        change = f"{signed(growth.growth_ml)} mL ({percent(growth)})"
        said = f"{verdict} (6 mL or 33 % more)"
        shown.append(Card(f"Growth in {hours(growth.hours)}", change, said, RED if growth.expanded else WHITE))
    if expansion is not None:
        note = expansion_side(expansion) if expansion.trained_on_patients else UNTRAINED
        color = WHITE if expansion.trained_on_patients else AMBER
        shown.append(Card("Predicted expansion in 24 h", f"{100 * expansion.probability:.0f} %", note, color))
    return shown


def _key_slice(sheet: Sheet, source: Source, findings: Findings, top: int, side: int) -> None:
    index = findings.key_slice
    window = window_of(source.images[index], source.volume.sources[index].frame_number)
    sheet.image.paste(thumbnail(source, findings, side, window), (MARGIN, top))
    sheet.draw.rectangle((MARGIN - 1, top - 1, MARGIN + side, top + side), outline=RULE)
    draw_sides(sheet, source.volume.geometry, (MARGIN, top, side, side), Type(18, GREY))
    what = "Largest section" if findings.present else "Middle section"
    caption = f"{what}: {source.slice_name(index)}, {window.text}"
    sheet.text(MARGIN, top + side + 20, caption, panels.SMALL, within=side)


def thumbnail(source: Source, findings: Findings, side: int, window: Window) -> Image.Image:
    """The head on the key slice, with the outline, on a square of ``side`` pixels."""
    hu, mask = source.volume.hu[findings.key_slice], findings.mask[findings.key_slice]
    return cropped(hu, mask, head_box(hu), side, window)


def _beside(sheet: Sheet, source: Source, findings: Findings, left: int, top: int, bottom: int) -> None:
    """Right of the key slice: the markers and the profile, or why there is nothing."""
    within = WIDTH - MARGIN - left
    if not findings.present:
        words = wrapped(UNSEEN if findings.undetermined else NOTHING, Type(26), within, 9)
        sheet.lines(left, top + 28, words, Type(26), within=within, step=38)
        return
    y: float = top
    if findings.markers:
        y = panels.markers(sheet, left, top, findings.markers) + 20
    else:
        sheet.text(left, top + 14, "Markers were not read.", panels.LABEL, within=within)
        y += 40
    if bottom - y >= PROFILE_HEIGHT:
        panels.profile(sheet, left, bottom - PROFILE_HEIGHT, bottom, findings, source.volume.geometry)
