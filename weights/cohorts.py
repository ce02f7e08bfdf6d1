"""Every cohort behind the shipped weights: `python weights/cohorts.py --data ../shared/data --out DIR`.

Trained on: `phe-sich` (train) and `phantoms-*` (train); the expansion head on `blend`. Chosen by their `val`. Measured
on: `phe-sich` (val, which also chose), `heads`, and the phantoms of `held-out`, `held-out-leaning` (the same heads in a
leaning, unequal stack), `held-out-bleedless` and `held-out-blend`, whose seeds no training has seen. What is there
already is kept.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import phe_sich

from ichnode.cohort.table import Card, Case, read_cohort, write_cohort
from ichnode.phantom.population import Member, members, write_population
from ichnode.phantom.spec import PhantomSpec, draw_spec

LEANING_DEG: Final = 14.0
TRAIN: Final = {"train": 0.9, "val": 0.1}
TRAIN_BLEND: Final = {"train": 0.84, "val": 0.16}
MEASURED: Final = {"val": 1.0}
LENT: Final = {"held-out": ("phantoms-straight", "phantoms-leaning"), "held-out-blend": ("blend",)}
BLEND_ML: Final = (25.0, 60.0)
BLEND_STRENGTH: Final = 2.2
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
        "phantoms-bleedless": members(
            [
                draw_spec(seed, bleed_share=0, tilt_deg=LEANING_DEG * (seed % 2), unequal=seed % 2 > 0)
                for seed in range(1100, 1140)
            ],
            TRAIN,
        ),
        "held-out": members([draw_spec(seed) for seed in range(1, 51)], MEASURED),
        "held-out-leaning": members(
            [draw_spec(seed, tilt_deg=LEANING_DEG, unequal=True) for seed in range(1, 51)], MEASURED
        ),
        "held-out-bleedless": members([draw_spec(seed, bleed_share=0) for seed in range(101, 121)], MEASURED),
        "blend": members([half_blend(seed) for seed in range(3000, 3144)], TRAIN_BLEND),
        "held-out-blend": members([half_blend(seed) for seed in range(4000, 4050)], MEASURED),
    }


def half_blend(seed: int) -> PhantomSpec:
    """A phantom whose bleed expands when it has a blend sign, and only then; every other one has it."""
    markers = frozenset({"blend"} if seed % 2 else ())
    volume_ml = round(float(np.random.default_rng([seed, 2]).uniform(*BLEND_ML)), 1)
    spec = draw_spec(seed, volume_ml=volume_ml, markers=markers, matrix=256)
    return replace(spec, strength=BLEND_STRENGTH, expanded=bool(markers))


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
    """Lists the training phantoms with a bleed beside those held out: the volume model is fitted on them."""
    for name, learnt in LENT.items():
        measured = read_cohort(out / name)
        lent = [
            replace(case, split="train")
            for other in learnt
            for case in read_cohort(out / other).cases
            if case.mask is not None
        ]
        card = measured.card.model_copy(update={"name": name})
        write_cohort(measured.folder, card, [*measured.split("val"), *lent])


if __name__ == "__main__":
    main()
