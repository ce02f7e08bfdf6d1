"""A contact sheet of the markers of real bleeds: ``python -m tests.proof.sheet --cohort F --split val --out G``.

One row a case, one picture a marker with its evidence drawn in; the tables of cohorts are those of ``ichnode.cohort``.
Pictures of patients: ``--out`` lies outside of the repository.
"""

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ichnode.cohort.read import read_case
from ichnode.cohort.table import read_cohort
from ichnode.domain.markers import Marker
from ichnode.domain.values import Findings, ModelIdentity, Volume
from ichnode.findings.describe import describe
from ichnode.findings.measure import measure

LABEL = ModelIdentity(name="label", version="1", sha256="")
SIDE = 230
LINE = 15
WINDOW_HU = (0, 90)
ROOM_MM = 12.0
COLOURS = {True: "#ff6a3d", False: "#7f8890", None: "#e0c14a"}


def row_of(name: str, volume: Volume, findings: Findings) -> Image.Image:
    """Nine pictures of a case, present markers with a coloured title."""
    row = Image.new("RGB", (SIDE * len(findings.markers), SIDE + 3 * LINE))
    draw = ImageDraw.Draw(row)
    size = findings.size
    assert size is not None
    text = f"{name}  {findings.volume_ml:.1f} mL, ABC/2 {size.abc2_ml:.1f}, {size.diameter_mm:.0f} mm, "
    text += f"{findings.laterality}, HU {findings.hu_mean:.0f}, BAT {findings.bat and findings.bat.text}"
    draw.text((4, 1), text, "white", ImageFont.load_default(12))
    for number, marker in enumerate(findings.markers):
        row.paste(_picture(volume, findings, marker), (SIDE * number, 3 * LINE))
        title = f"{marker.name}"
        draw.text((SIDE * number + 4, LINE), title, COLOURS[marker.present], ImageFont.load_default(12))
        draw.text((SIDE * number + 4, 2 * LINE), marker.reason[:44], "#a0a8b0", ImageFont.load_default(9))
    return row


def _picture(volume: Volume, findings: Findings, marker: Marker) -> Image.Image:
    geometry, mask = volume.geometry, findings.mask
    index = marker.foci[0].slice_index if marker.foci else findings.key_slice
    places = np.argwhere(mask.any(axis=0))
    first, last = places.min(axis=0), places.max(axis=0)
    side = int((last - first).max() + 2 * ROOM_MM / geometry.row_spacing_mm)
    top, left = (max(int(middle - side / 2), 0) for middle in (first + last) / 2)
    hu = volume.hu[index][top : top + side, left : left + side]
    low, high = WINDOW_HU
    grey = np.clip((hu - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    scale = SIDE / side
    picture = Image.fromarray(grey).convert("RGB").resize([round(n * scale) for n in grey.shape[::-1]], Image.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for focus in marker.foci:
        if focus.slice_index == index:
            line = [((column - left + 0.5) * scale, (row - top + 0.5) * scale) for row, column in focus.contour]
            draw.line(line, fill=COLOURS[True], width=1)
    return picture


def main() -> None:
    """Read the labels of a split, describe them, draw sheets of four cases and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohort", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    cohort = read_cohort(asked.cohort)
    card = cohort.card
    rows, found, total = [], Counter[str](), 0
    for case in (case for case in cohort.cases if case.split == asked.split):
        labelled = read_case(case, card)
        begun = time.process_time()
        measured = describe(labelled.volume, measure(labelled.volume, labelled.bleed, LABEL))
        seconds = time.process_time() - begun
        present = [marker.name.value for marker in measured.markers if marker.present]
        found.update(present)
        total += 1
        print(case.name, f"{measured.volume_ml:.1f} mL {measured.laterality} {seconds:.2f} s", present, flush=True)
        rows.append(row_of(case.name, labelled.volume, measured))
    asked.out.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(rows), 4):
        part = rows[start : start + 4]
        sheet = Image.new("RGB", (part[0].width, sum(row.height for row in part)))
        for number, row in enumerate(part):
            sheet.paste(row, (0, number * row.height))
        sheet.save(asked.out / f"markers-{start // 4}.png")
    for name, count in found.most_common():
        print(f"{name}: {count}/{total}")


if __name__ == "__main__":
    main()
