"""Figures of the page as SVG: the same numbers give the same bytes, and lines take the colour of the page's ink."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ichnode.evaluate.calibration import Bin
from ichnode.evaluate.roc import Curve

INK: Final = "#010203"  # stands for the page's own text colour, which follows light and dark
COLOURS: Final = ("#3b82c4", "#d97a1e", "#3f9b62")  # seen on white and on black, told apart by the colour-blind
DASHES: Final = ("-", "--", "-.")
WIDE: Final = (5.6, 3.6)  # inches
SQUARE: Final = (4.4, 4.4)
STYLE: Final[dict[Any, Any]] = {  # matplotlib's own type lists all its 300 keys
    "svg.hashsalt": "ichnode",
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 9,
}

Floats = NDArray[np.float64]


def roc_figure(curves: Sequence[tuple[str, Curve]]) -> str:
    """ROC curves, each with the words of its legend, in one figure with the diagonal of chance."""

    def draw(axes: Axes) -> None:
        for (label, curve), colour, dash in zip(curves, COLOURS, DASHES, strict=False):
            axes.plot(curve.false_positive_rate, curve.sensitivity, dash, color=colour, lw=2, label=label)
        axes.plot([0, 1], [0, 1], ":", color=INK, lw=0.8)
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set_aspect("equal")
        axes.legend(loc="lower right")

    return _svg("ROC curves", SQUARE, draw)


def calibration_figure(predictors: Sequence[tuple[str, Sequence[Bin]]]) -> str:
    """Share that expanded over mean predicted probability, a line a predictor, with Wilson intervals."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], ":", color=INK, lw=0.8)
        for (label, bins), colour, dash in zip(predictors, COLOURS, DASHES, strict=False):
            x, y = [one.predicted for one in bins], [one.observed.value for one in bins]
            low, high = [one.observed.low for one in bins], [one.observed.high for one in bins]
            axes.vlines(x, low, high, color=colour, lw=1, alpha=0.6)
            axes.plot(x, y, "o" + dash, color=colour, lw=1.2, ms=5, label=label)
        axes.set(xlabel="predicted probability", ylabel="share that expanded", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        axes.set_aspect("equal")
        axes.legend(loc="upper left")

    return _svg("Calibration", SQUARE, draw)


def bland_altman_figure(found_ml: Floats, labelled_ml: Floats, bias_ml: float, limits_ml: tuple[float, float]) -> str:
    """Difference of found and labelled volume over their mean, both (N,) mL, with bias and limits of agreement."""

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=INK, lw=0.6)
        for level_ml, dash in ((bias_ml, "-"), (limits_ml[0], "--"), (limits_ml[1], "--")):
            axes.axhline(level_ml, ls=dash, color=COLOURS[1], lw=1.2)
            _write(axes, f"{level_ml:+.1f}".replace("-", "−"), level_ml)
        axes.plot((found_ml + labelled_ml) / 2, found_ml - labelled_ml, "o", color=COLOURS[0], ms=5, alpha=0.8)
        axes.set(xlabel="mean of found and labelled (mL)", ylabel="found − labelled (mL)")

    return _svg("Bland-Altman plot of volumes", WIDE, draw)


def dice_figure(labelled_ml: Floats, dice: Floats) -> str:
    """Dice (N,) of each case over its labelled volume (N,) mL, on a logarithmic axis."""
    median = float(np.median(dice))

    def draw(axes: Axes) -> None:
        axes.axhline(median, color=COLOURS[1], lw=1.2)
        _write(axes, f"{median:.2f}", median)
        axes.plot(labelled_ml, dice, "o", color=COLOURS[0], ms=5, alpha=0.8)
        axes.set_xscale("log")
        ends = min(1.0, float(labelled_ml.min()) / 1.3), max(100.0, float(labelled_ml.max()) * 1.3)
        ticks = [ml for ml in (0.1, 0.3, 1, 3, 10, 30, 100, 300) if ends[0] <= ml <= ends[1]]
        axes.set_xticks(ticks, [f"{ml:g}" for ml in ticks])
        axes.set_xticks([], minor=True)
        axes.set(xlabel="labelled volume (mL)", ylabel="Dice", xlim=ends, ylim=(0, 1.02))

    return _svg("Dice over volume, median as a line", WIDE, draw)


def _write(axes: Axes, text: str, level: float) -> None:
    """``text`` at the right end of a line that stands at ``level``."""
    axes.annotate(
        text, (1, level), xycoords=("axes fraction", "data"), xytext=(3, -3), textcoords="offset points", fontsize=9
    )


def _svg(title: str, size_in: tuple[float, float], draw: Callable[[Axes], None]) -> str:
    """What ``draw`` draws, as an ``svg`` element in the page's ink and letters, as wide as the page lets it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size_in, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        stream = io.StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+)px '[^;\"]*", r"font-size: \1px", text)
    opening = f'<svg role="img" aria-label="{title}" style="width:100%;max-width:{size_in[0] * 100:.0f}px" '
    view_box = re.search(r'viewBox="[^"]+"', text)
    assert view_box is not None  # matplotlib writes one
    return re.sub(r"<svg [^>]*>", f"{opening}{view_box[0]}>", text, count=1).replace(INK, "currentColor")
