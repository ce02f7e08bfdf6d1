"""Measure a set of weights through the node's own code: `python weights/measure_first.py`.

Each case goes the way of a study: prepare, runtime, back to the native grid, largest components; Dice and volume are
taken on the native grid. The two heads without a bleed say how much is found where nothing is.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from phe_sich import case_names, load_case

from ichnode.analyse import Network, find
from ichnode.findings.measure import volume_ml
from ichnode.image.load import load_series, read_datasets
from ichnode.model.runtime import open_runtime
from ichnode.model.weights import read_card, save_card

BLEEDLESS = {"GE head": "ge-tilt", "Philips phantom": "philips-study/S2010"}  # folders under dicom/


def measure_cases(network: Network, data: Path, split: str) -> Iterator[tuple[float, float, float]]:
    """(Dice, found mL, true mL) of each case of ``split``; prints a line a case."""
    for name in case_names(data, split):
        volume, bleed = load_case(data, split, name)
        findings = find(volume, network)
        dice = 2 * float((findings.mask & bleed).sum()) / float(findings.mask.sum() + bleed.sum())
        true_ml = volume_ml(bleed, volume.geometry)
        flags = " ".join(sorted(flag.name for flag in findings.flags))
        print(
            f"{name}  Dice {dice:.3f}  found {findings.volume_ml:6.1f} mL  true {true_ml:6.1f} mL  {flags}", flush=True
        )
        yield dice, findings.volume_ml, true_ml


def measure_bleedless(network: Network, data: Path) -> dict[str, float]:
    """Volume found, mL, in each head without a bleed."""
    found = {}
    for name, folder in BLEEDLESS.items():
        paths = sorted(path for path in (data / "dicom" / folder).iterdir() if path.is_file())
        found[name] = find(load_series(read_datasets(paths)), network).volume_ml
        print(f"{name}, no bleed: found {found[name]:.1f} mL", flush=True)
    return found


def main() -> None:
    """Read the arguments, measure, print, and with --record write the figures into the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=Path("weights/ich-first"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--split", choices=["train", "val"], default="val")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda", "torch-cpu"], default="auto")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--record", action="store_true", help="write the figures into card.toml")
    args = parser.parse_args()
    card = read_card(args.weights)
    with tempfile.TemporaryDirectory() as cache:
        runtime = open_runtime(args.weights, device=args.device, cache=Path(cache), threads=args.threads)
        network = Network(runtime=runtime, card=card)
        dice, found, true = np.array(list(measure_cases(network, args.data, args.split))).T
        bleedless = measure_bleedless(network, args.data)
    metrics: dict[str, str | float] = {
        "data": f"PHE-SICH-CT-IDS, {args.split}, {len(dice)} cases, native grid",
        "command": f"python weights/measure_first.py --weights {args.weights} --split {args.split}",
        "dice_median": round(float(np.median(dice)), 3),
        "dice_mean": round(float(dice.mean()), 3),
        "dice_lowest": round(float(dice.min()), 3),
        "volume_difference_mean_ml": round(float((found - true).mean()), 2),
        "volume_difference_sd_ml": round(float((found - true).std(ddof=1)), 2),
        **{f"found_without_bleed_{name.split()[0].lower()}_ml": round(ml, 2) for name, ml in bleedless.items()},
    }
    print("\n".join(f"{key}: {value}" for key, value in metrics.items()))
    if args.record:
        save_card(args.weights, card.model_copy(update={"eval_metrics": metrics}))


if __name__ == "__main__":
    main()
