"""Every cohort behind the shipped weights: `python weights/cohorts.py --data ../shared/data --out DIR`.

Trained on: `phe-sich` (train), `phantoms-straight` and `phantoms-leaning` (train). Chosen by their `val`. Measured on:
`phe-sich` (val, which also chose), `heads`, and the phantoms of `held-out`, `held-out-leaning` (the same heads in a
leaning, unequal stack) and `held-out-bleedless`, whose seeds no training has seen. What is there already is kept.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import phe_sich

from ichnode.cohort.table import Card, Case, read_cohort, write_cohort
from ichnode.phantom.population import Member, members, write_population
from ichnode.phantom.spec import draw_spec

LEANING_DEG: Final = 14.0
TRAIN: Final = {"train": 0.9, "val": 0.1}
MEASURED: Final = {"val": 1.0}
HEADS: Final = Card(
    name="heads",
    description="A patient's head without a bleed (GE, gantry tilt, unequal gaps), and a plastic skull (Philips).",
    source="Aliza Medical Imaging, in neurolabusc/dcm_qa_ct",
    licence="BSD-2-Clause",
)


def populations() -> dict[str, Sequence[Member]]:
    """The phantoms of each cohort."""
    return {
        "phantoms-straight": members([draw_spec(seed, bleed_share=0.7) for seed in range(1000, 1040)], TRAIN),
        "phantoms-leaning": members(
            [
                draw_spec(seed, bleed_share=0.6, tilt_deg=LEANING_DEG, unequal=True, craniotomy_share=0.15)
                for seed in range(1060, 1080)
            ],
            TRAIN,
        ),
        "held-out": members([draw_spec(seed) for seed in range(1, 51)], MEASURED),
        "held-out-leaning": members(
            [draw_spec(seed, tilt_deg=LEANING_DEG, unequal=True) for seed in range(1, 51)], MEASURED
        ),
        "held-out-bleedless": members([draw_spec(seed, bleed_share=0) for seed in range(101, 121)], MEASURED),
    }


def main() -> None:
    """Read the arguments, write the cohorts, make the phantoms that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds phe-sich and dicom")
    parser.add_argument("--out", type=Path, required=True, help="a folder; one more for each cohort is made in it")
    parser.add_argument("--jobs", type=int, default=2, help="phantoms made at a time")
    args = parser.parse_args()
    write_cohort(args.out / "phe-sich", phe_sich.CARD, list(phe_sich.cases_of(args.data / "phe-sich")))
    write_cohort(args.out / "heads", HEADS, heads(args.data / "dicom"))
    for name, group in populations().items():
        made = sum(is_new for _, is_new in write_population(group, args.out / name, jobs=args.jobs))
        print(f"{name}: {len(group)} phantoms, {made} of them new", flush=True)
    lend_training_outcomes(args.out)


def heads(folder: Path) -> list[Case]:
    """The two heads without a bleed in ``folder`` (.../dicom)."""
    places = {"ge": folder / "ge-tilt", "philips": folder / "philips-study" / "S2010"}
    return [Case(name=name, patient=name, split="val", ct=ct, mask=None) for name, ct in places.items()]


def lend_training_outcomes(out: Path) -> None:
    """Lists the training phantoms with a bleed in `held-out` as its train split: the volume model is fitted on them."""
    held_out = read_cohort(out / "held-out")
    lent = [
        replace(case, split="train")
        for name in ("phantoms-straight", "phantoms-leaning")
        for case in read_cohort(out / name).cases
        if case.mask is not None
    ]
    write_cohort(held_out.folder, held_out.card, [*held_out.split("val"), *lent])


if __name__ == "__main__":
    main()
