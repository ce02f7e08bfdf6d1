"""The contact sheet as a picture of its own, for a README that shows no SVG."""

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ichnode.evaluate.cases import Measured
from ichnode.evaluate.page import Shown

COLUMNS: Final = 6
TILE_IN: Final = (1.7, 2.25)  # width and height of a case with its words
BAR_MM: Final = 10  # the scale of outlines without pixels, which fill their tile
MARGIN_MM: Final = 4.0
LABELLED, FOUND = "#4fc3f7", "#ffb300"  # as on the page


def write_sheet(groups: Sequence[Shown], path: Path, *, pixels: bool) -> None:
    """Writes a PNG with the cases of ``groups``, which hold some; the same cases give the same bytes.

    Without ``pixels`` the outlines stand on white: for images that may not be passed on.
    """
    bands = [
        ("" if k else one.title, one.cases[k : k + COLUMNS])
        for one in groups
        for k in range(0, len(one.cases), COLUMNS)
    ]
    figure = Figure(figsize=(COLUMNS * TILE_IN[0], len(bands) * TILE_IN[1]), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    for row, (title, cases) in enumerate(bands):
        for column, case in enumerate(cases):
            axes = figure.add_axes((column / COLUMNS, 1 - (row + 1) / len(bands), 1 / COLUMNS, 0.8 / len(bands)))
            _draw(axes, case, pixels=pixels)
        height = 1 - (row + 0.02) / len(bands)
        figure.text(0.005, height, title, va="top", fontsize=9, weight="bold")
    figure.savefig(path, metadata={"Software": None})


def _draw(axes: Axes, case: Measured, *, pixels: bool) -> None:
    picture = case.picture
    drawn = []
    for path, colour, dash in ((picture.labelled, LABELLED, "-"), (picture.found, FOUND, "--")):
        for line in path.split("Z")[:-1]:
            x, y = np.array(re.findall(r"[\d.-]+", line), np.float64).reshape(-1, 2).T
            drawn += axes.plot(np.append(x, x[0]), np.append(y, y[0]), dash, color=colour, lw=0.8)
    middle = np.array((picture.width_mm, picture.height_mm)) / 2
    reach = middle
    if pixels:
        grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.png))))
        axes.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=(0, picture.width_mm, picture.height_mm, 0))
    elif drawn:
        points = np.concatenate([one.get_xydata() for one in drawn])
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        reach = np.full(2, (np.ptp(points, axis=0).max() / 2 + MARGIN_MM))
        left, bottom = middle + (-1, 1) * reach
        axes.plot((left, left + BAR_MM), (bottom, bottom), color="black", lw=1.5, clip_on=False)
        axes.text(left, bottom - 1, f"{BAR_MM} mm", fontsize=5.5)
    (left, top), (right, bottom) = middle - reach, middle + reach
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    axes.set_axis_off()
    dice = "" if case.dice is None else f"  Dice {case.dice:.2f}"
    axes.set_title(
        f"{case.name}{dice}\nfound {case.found_ml:.1f}, labelled {case.labelled_ml:.1f} mL", fontsize=6.5, pad=2
    )
