"""The learning curve as CSV and as a picture."""

import csv
from collections.abc import Sequence
from pathlib import Path

CURVE_CSV = "curve.csv"
CURVE_PNG = "curve.png"


def write_curve(folder: Path, rows: Sequence[dict[str, float]]) -> None:
    """Writes ``curve.csv`` and ``curve.png`` of the finished epochs to ``folder``; nothing while there is none."""
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / CURVE_CSV).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    _draw(folder / CURVE_PNG, rows)


def _draw(path: Path, rows: Sequence[dict[str, float]]) -> None:
    # Imported here: a second, and a dependency that only training and evaluation have.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    of_dice = any("val_dice_mean" in row for row in rows)
    dice = {"val_dice_mean": "mean", "val_dice_median": "median", "val_dice_lowest": "lowest"}
    for axes, wanted in (
        (left, {"loss_segmentation": "segmentation", "loss_expansion": "expansion"}),
        (right, dice if of_dice else {"val_expansion_bce": "expansion"}),
    ):
        for name, label in wanted.items():
            points = [(row["epoch"], row[name]) for row in rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=label)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(frameon=False)
    left.set_title("Loss on the training cases")
    right.set_title("Dice of the validation cases" if of_dice else "Cross-entropy of the validation cases")
    right.set_ylim(0, 1)
    figure.savefig(path, dpi=120)
