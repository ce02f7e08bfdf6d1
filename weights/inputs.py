"""Writes into a card what the network's inputs look like in training: `python weights/inputs.py WEIGHTS PREPARED...`.

PREPARED are the folders that `ichnode cohort prepare` made for the card's preset. Only cases of the split `train`
count: the quality gates hold each new image against them. The weights themselves are not touched. For ich-zhong2021:
`phe-sich`, `phantoms-straight`, `phantoms-leaning`, `phantoms-bleedless`, as weights/cohorts.py makes them.
"""

import argparse
from pathlib import Path

from ichnode.cohort.prepared import read_case, read_index
from ichnode.domain.spread import Spread
from ichnode.findings.gates.inputs import figures, spreads
from ichnode.image.prepare import PRESETS
from ichnode.model.weights import Figure, read_card, save_card

DIGITS = 4  # a card is read by people


def main() -> None:
    """Read the arguments, measure every training case, write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("card", type=Path, help="folder of the weights")
    parser.add_argument("prepared", type=Path, nargs="+", help="folders of prepared cohorts")
    args = parser.parse_args()
    card = read_card(args.card)
    cases = [case for folder in args.prepared for case in training_figures(folder, card.preset)]
    if len(cases) < 2:
        parser.error("fewer than two training cases were found")
    inputs = {name: _figure(spread) for name, spread in spreads(cases).items()}
    save_card(args.card, card.model_copy(update={"inputs": inputs}))
    print(f"{args.card}: {len(inputs)} figures of {len(cases)} training cases")


def training_figures(folder: Path, preset: str) -> list[dict[str, float]]:
    """The figures of each training case in ``folder`` whose brain was found."""
    spacing_mm = PRESETS[preset].spacing_mm
    found = []
    for entry in read_index(folder):
        if entry.split == "train" and entry.preset == preset and not entry.fallback:
            case = read_case(folder, entry)
            found.append(figures(case.hu, case.brain, spacing_mm))
    return found


def _figure(spread: Spread) -> Figure:
    """The spread as the card keeps it; its ends rounded outwards, so that no training case lies beyond them."""
    half = 0.5 * 10.0 ** (1 - DIGITS)
    return Figure(
        mean=_rounded(spread.mean),
        sd=_rounded(spread.sd),
        lowest=_rounded(spread.lowest * (1 - half)),
        highest=_rounded(spread.highest * (1 + half)),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


if __name__ == "__main__":
    main()
