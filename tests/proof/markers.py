"""How well the markers are read from phantoms: ``python -m tests.proof.markers --folder F``, an hour or more.

Sensitivity and specificity at 1.5 times the thresholds with Wilson intervals, and the share found below. The rules were
tuned on seeds from 50000 to 50999; those from 60000 to 61499 were seen in earlier rounds; the default seeds are those
that are reported.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from ichnode.domain.markers import Marker, MarkerName
from ichnode.domain.values import Laterality
from ichnode.evaluate.proportions import proportion
from ichnode.findings.markers import gravity, read_markers
from ichnode.findings.midline import find_midline, laterality, other_side_hu
from ichnode.findings.sections import clot_of
from tests.proof.scans import Scanned, ladder, population, scans

STRENGTHS = (0.5, 0.75, 1.0, 1.25)
SIDES = {"left": Laterality.LEFT, "right": Laterality.RIGHT, "middle": Laterality.BILATERAL}
PHANTOM_NAMES = {name: "irregular" if name is MarkerName.IRREGULAR else name.name.lower() for name in MarkerName}


def read(scanned: Scanned) -> tuple[dict[MarkerName, Marker], Laterality | None]:
    """All markers of a phantom from its exact mask, and its side."""
    mask, hu, geometry = scanned.mask, scanned.hu, scanned.geometry
    midline = find_midline(hu, geometry)
    brain_hu = other_side_hu(mask, hu, geometry, midline)
    told = read_markers(clot_of(mask, hu, geometry), brain_hu=brain_hu, down=gravity("HFS"))
    return {marker.name: marker for marker in told}, laterality(mask, geometry, midline)


def is_grey(scanned: Scanned, name: MarkerName) -> bool:
    """Whether the truth of a phantom is not at 1.5 times a threshold, so that it counts neither way.

    Pockets and cuts planted as other markers may or may not be as dark as brain; an open band is enclosed on some
    slices, while its truth is told for the middle one alone.
    """
    dark = name in (MarkerName.HYPODENSITY, MarkerName.BLACK_HOLE, MarkerName.HETEROGENEOUS)
    if dark and "swirl" in scanned.spec.markers:
        return PHANTOM_NAMES[name] not in scanned.spec.markers and not scanned.present[PHANTOM_NAMES[name]]
    return name is MarkerName.SWIRL and "swirl" not in scanned.spec.markers and scanned.present["swirl"]


def tally(scanned: Iterable[Scanned], *, aloud: bool = False) -> tuple[dict[MarkerName, Counter[str]], Counter[str]]:
    """True and false answers of each marker, and of the side. An undetermined answer counts as wrong and apart."""
    counts: dict[MarkerName, Counter[str]] = defaultdict(Counter)
    sides: Counter[str] = Counter()
    for one in scanned:
        if not one.mask.any():
            continue
        told, side = read(one)
        sides["right" if side is SIDES[one.side] else "undetermined" if side is None else "wrong"] += 1
        for name, marker in told.items():
            if is_grey(one, name):
                counts[name]["grey"] += 1
                continue
            truth = one.present[PHANTOM_NAMES[name]]
            counts[name][("T" if marker.present is truth else "F") + ("P" if truth else "N")] += 1
            counts[name]["undetermined"] += marker.present is None
            if aloud and marker.present is not truth:
                thick = f"{one.spec.thickness_mm:g} mm, {one.spec.volume_ml:g} mL, {one.hu.shape[1]}"
                print(one.spec.seed, sorted(one.spec.markers), thick, name, truth, marker.present, marker.reason)
    return counts, sides


def print_table(counts: dict[MarkerName, Counter[str]]) -> None:
    """One line a marker: sensitivity and specificity with counts and Wilson intervals of 95 %."""
    for name in MarkerName:
        told = counts[name]
        cells = [_share(told["TP"], told["FP"]), _share(told["TN"], told["FN"])]
        print(f"| {name} | {cells[0]} | {cells[1]} | {told['undetermined']} | {told['grey']} |")


def _share(right: int, wrong: int) -> str:
    share = proportion(right, right + wrong)
    return f"{share.value:.3f} ({right}/{right + wrong}; {share.low:.3f}-{share.high:.3f})" if share else "none"


def print_ladder(scanned: Iterable[Scanned]) -> None:
    """One line a marker: the share found at each strength, and in how many the sign is truly there."""
    found: Counter[tuple[str, float]] = Counter()
    total: Counter[tuple[str, float]] = Counter()
    there: Counter[tuple[str, float]] = Counter()
    for one in scanned:
        told, _ = read(one)
        (planted,) = one.spec.markers
        name = next(name for name, other in PHANTOM_NAMES.items() if other == planted)
        rung = planted, one.spec.strength
        total[rung] += 1
        found[rung] += bool(told[name].present)
        there[rung] += one.present[planted]
    for name in PHANTOM_NAMES.values():
        cells = [f"{found[name, s]}/{total[name, s]} ({there[name, s]})" for s in STRENGTHS]
        print(f"| {name} |", " | ".join(cells), "|")


def main() -> None:
    """Make what is missing in the folder, read it, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--first", type=int, default=61500)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--each", type=int, default=8, help="of a marker at each strength of the ladder")
    parser.add_argument("--kept", action="store_true", help="read what lies in the folder alone, make nothing")
    parser.add_argument("--aloud", action="store_true", help="name each wrong answer")
    asked = parser.parse_args()
    many = scans(population(asked.first, asked.count), asked.folder, kept_only=asked.kept)
    counts, sides = tally(many, aloud=asked.aloud)
    print_table(counts)
    print(dict(sides))
    print_ladder(scans(ladder(asked.first + 10_000, asked.each, STRENGTHS), asked.folder, kept_only=asked.kept))


if __name__ == "__main__":
    main()
