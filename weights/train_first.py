"""Train the first small set of weights: `python weights/train_first.py --out DIR`.

Plain on purpose. Segmentation only: the expansion head keeps its random start, since no public set has outcomes. First
crops centred on bleeds (cheap), then whole volumes, because the statistics of InstanceNorm differ between the two and
the node runs whole volumes. Every tenth training case is held out to look at; the validation cases are not touched.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from phe_sich import case_names, load_case
from torch import Tensor
from torch.nn import functional

from ichnode.image.prepare import PRESETS, prepare
from ichnode.image.resample import resample
from ichnode.model.network import ExpansionNet
from ichnode.model.weights import Card, load_network, save_weights

Case = tuple[NDArray[np.float32], NDArray[np.bool_]]  # network input and bleed, both (32, 256, 256)

PRESET = "fov224"
CROP = (16, 128, 128)
WARM_UP_STEPS = 20  # Adam's first steps are as long as its rate, whatever the slope: they would undo a --start
FIRST_BIAS = -4.0  # starts near the share of bleed voxels; from 0.5 everywhere the Dice loss hardly has a slope
SMOOTH_VOXELS = 100.0  # in the Dice loss
SMOOTH_EMPTY_VOXELS = 5000.0  # 19 mL, where there is no bleed: with fewer, the loss of a large false lump has no slope
HELD_OUT_EVERY = 10

CARD = Card(
    name="ich-first",
    version="0.1.0",
    changelog={"0.1.0": "First small set: crops, then whole volumes, of 72 public cases."},
    task="Segmentation of spontaneous intracerebral haemorrhage in non-contrast head CT",
    data_source="PHE-SICH-CT-IDS (Ma et al. 2024, doi 10.1016/j.compbiomed.2024.108342; "
    "data doi 10.6084/m9.figshare.23957937), bleed masks by threshold inside the experts' boxes",
    data_licence="CC BY 4.0 as recorded, non-commercial by its abstract: research use with attribution",
    preset=PRESET,
    min_component_ml=0.3,
    threshold=0.5,
    expansion="untrained on patients",
    expansion_threshold=0.5,
    eval_metrics={},
    intended_use="Research and tests of the node only. Not for diagnosis.",
    sha256="",
)


def read_case(data: Path, name: str, cache: Path) -> Case:
    """One training case as the node would present it to the network, kept in ``cache``."""
    kept = cache / f"{name}.npz"
    if not kept.exists():
        volume, bleed = load_case(data, "train", name)
        seen = prepare(volume, PRESETS[PRESET])
        label = resample(bleed.astype(np.float32), volume.geometry, seen.geometry, fill=0.0) > 0.5
        np.savez_compressed(kept, values=seen.values, bleed=label)
    with np.load(kept) as arrays:
        return arrays["values"], arrays["bleed"]


def paint_over(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The head without its bleed: its surroundings come from the other hemisphere. As it was where both sides bleed."""
    grown = y[None]
    for reach in ((1, 0, 0), (0, 8, 0), (0, 0, 8)):  # one axis after the other: the same box, 50 times as fast
        grown = functional.max_pool3d(grown, [2 * n + 1 for n in reach], stride=1, padding=reach)
    near = grown[0] > 0
    if (near & near.flip(-1)).any():
        return x, y
    return torch.where(near, x.flip(-1), x), torch.zeros_like(y)


def augment(x: Tensor, y: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Flip, turn by up to 8°, scale and shift by up to 10 %, brighten: ``x``, ``y`` (D, H, W) to the same."""
    turn, scale = np.radians(rng.uniform(-8, 8)), rng.uniform(0.9, 1.1)
    mirror = rng.choice([-1, 1])
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    theta = [[cos * mirror, -sin, rng.uniform(-0.1, 0.1)], [sin * mirror, cos, rng.uniform(-0.1, 0.1)]]
    grid = functional.affine_grid(torch.tensor([theta], dtype=torch.float32), [1, 1, *x.shape[1:]], align_corners=False)
    moved = functional.grid_sample(torch.cat([x, y])[None], grid, align_corners=False)[0]
    x, y = moved.chunk(2)
    brain = x > 0.02
    x = x * rng.uniform(0.85, 1.15) + rng.uniform(-0.15, 0.15) + 0.1 * rng.uniform() * torch.randn(x.shape)
    return torch.where(brain, x.clamp(min=0), 0.0), (y > 0.5).float()


def crop(x: Tensor, y: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A CROP around a voxel of the bleed (two of three times) or of the brain."""
    seeds = torch.nonzero(y if y.any() and rng.uniform() < 0.67 else x)
    centre = seeds[rng.integers(len(seeds))].numpy() + rng.integers(-1, 2, 3) * (2, 16, 16)
    start = np.clip(centre - np.array(CROP) // 2, 0, np.array(x.shape) - CROP)
    window = tuple(slice(a, a + n) for a, n in zip(start, CROP, strict=True))
    return x[window], y[window]


def loss_of(logits: Tensor, y: Tensor) -> Tensor:
    """9 × (1 − Dice) + 1 × binary cross-entropy."""
    p = logits.sigmoid()
    smooth = SMOOTH_VOXELS if y.any() else SMOOTH_EMPTY_VOXELS
    dice = (2 * (p * y).sum() + smooth) / (p.sum() + y.sum() + smooth)
    return 9 * (1 - dice) + functional.binary_cross_entropy_with_logits(logits, y)


def forward(net: ExpansionNet, x: Tensor) -> Tensor:
    """Segmentation logits (D, H, W) of one volume (D, H, W)."""
    volume = x[None, None].contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, _ = net(volume)
    return logits[0, 0].float()


@torch.no_grad()
def held_out_dice(net: ExpansionNet, cases: list[Case]) -> list[float]:
    """Dice of each whole case on the network's grid."""
    scores = []
    for values, bleed in cases:
        found = forward(net, torch.from_numpy(values)).numpy() > 0
        scores.append(2 * float((found & bleed).sum()) / float(max(found.sum() + bleed.sum(), 1)))
    return scores


def first_network() -> ExpansionNet:
    """Random weights whose first answer is close to "no bleed anywhere"."""
    net = ExpansionNet()
    torch.nn.init.constant_(net.out.bias, FIRST_BIAS)
    return net


def fit(net: ExpansionNet, cases: list[Case], held_out: list[Case], args: argparse.Namespace) -> None:
    """``crop_steps`` on crops, then ``full_steps`` on whole volumes; the learning rate falls along a cosine."""
    rng = np.random.default_rng(args.seed)
    steps = args.crop_steps + args.full_steps
    optimizer = torch.optim.Adam(net.parameters(), lr=args.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda done: min((done + 1) / WARM_UP_STEPS, 0.01 + 0.99 * np.cos(np.pi / 2 * done / steps) ** 2)
    )
    began, losses = time.monotonic(), []
    for step in range(1, steps + 1):
        x, y = (torch.from_numpy(a.astype(np.float32)) for a in cases[rng.integers(len(cases))])
        if rng.uniform() < args.bleedless:
            x, y = paint_over(x, y)
        x, y = augment(x, y, rng)
        if step <= args.crop_steps:
            x, y = crop(x, y, rng)
        loss = loss_of(forward(net, x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % args.every == 0 or step == steps:
            scores = np.round(held_out_dice(net, held_out), 2)
            print(f"{step}/{steps} {time.monotonic() - began:.0f} s loss {np.mean(losses):.3f}", end=" ")
            print(f"held-out Dice median {np.median(scores):.3f} {scores.tolist()}", flush=True)
            save_weights(net, args.out / "ich-first", CARD)
            losses.clear()


def main() -> None:
    """Read the arguments, read the cases, fit, and leave a folder of weights in --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="a folder of weights to go on from")
    parser.add_argument("--crop-steps", type=int, default=700)
    parser.add_argument("--full-steps", type=int, default=130)
    parser.add_argument("--bleedless", type=float, default=0.25, help="share of volumes whose bleed is painted over")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--every", type=int, default=100, help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    cache = args.out / "cases"
    cache.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    cases = [read_case(args.data, name, cache) for name in case_names(args.data, "train")]
    held_out = cases[::HELD_OUT_EVERY]
    fitted = [case for k, case in enumerate(cases) if k % HELD_OUT_EVERY]
    print(f"{len(fitted)} cases to fit, {len(held_out)} held out", flush=True)
    net = first_network() if args.start is None else load_network(args.start).train()
    net = net.to(memory_format=torch.channels_last_3d)
    fit(net, fitted, held_out, args)


if __name__ == "__main__":
    main()
