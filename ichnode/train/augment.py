"""How one showing of a case differs from the next. All randomness comes from the generator that is handed in."""

from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ichnode.cohort.prepared import Prepared
from ichnode.image.prepare import PRESETS, WINDOW_HU, normalise
from ichnode.train.recipe import Augmentation, Recipe

HEAL_REACH: Final = (1, 8, 8)  # slices, rows, columns around the bleed that are painted over with it: its oedema


def show(case: Prepared, recipe: Recipe, rng: np.random.Generator) -> tuple[Tensor, Tensor, bool]:
    """One showing of ``case``: network input and bleed, both (1, D, H, W) float32, and whether it was healed."""
    wanted = recipe.augmentation
    hu, brain, bleed = (torch.from_numpy(part.astype(np.float32)) for part in (case.hu, case.brain, case.bleed))
    healed = bool(rng.uniform() < wanted.heal) and bool(bleed.any())
    if healed:
        hu, bleed, healed = _healed(hu, brain, bleed)
    moved = _moved(torch.stack([hu * brain, brain, bleed]), wanted, PRESETS[recipe.preset].spacing_mm, rng)
    inside = moved[1] > 0.5
    seen = torch.where(inside, moved[0] / moved[1].clamp(min=0.5), 0.0)
    seen = _other_densities(seen, inside, wanted, rng)
    values = normalise(seen.numpy(), inside.numpy())
    return torch.from_numpy(values)[None], ((moved[2] > 0.5) & inside).float()[None], healed


def plain(case: Prepared) -> tuple[Tensor, Tensor]:
    """The case as it is: network input and bleed, both (1, D, H, W) float32."""
    return torch.from_numpy(normalise(case.hu, case.brain))[None], torch.from_numpy(case.bleed.astype(np.float32))[None]


def _healed(hu: Tensor, brain: Tensor, bleed: Tensor) -> tuple[Tensor, Tensor, bool]:
    """The bleed and its surroundings taken from the other hemisphere; as it was where that bleeds or is not there."""
    grown = bleed[None]
    for axis, reach in enumerate(HEAL_REACH):  # one axis after the other: the same box, much faster
        around = [reach if axis == k else 0 for k in range(3)]
        grown = functional.max_pool3d(grown, [2 * n + 1 for n in around], stride=1, padding=around)
    columns = torch.nonzero(brain.any(dim=0).any(dim=0)).flatten()
    twice_middle = int(columns[0] + columns[-1])
    width = hu.shape[-1]
    mirrored = (twice_middle - torch.arange(width)).clamp(0, width - 1)
    near, usable = grown[0] > 0, brain[..., mirrored] > 0
    if (near & near[..., mirrored]).any() or (bleed > 0)[~usable].any():
        return hu, bleed, False
    return torch.where(near & usable, hu[..., mirrored], hu), torch.zeros_like(bleed), True


def _moved(
    parts: Tensor, wanted: Augmentation, spacing_mm: tuple[float, float, float], rng: np.random.Generator
) -> Tensor:
    """``parts`` (C, D, H, W) scaled, shifted, turned, mirrored; interpolated linearly, zero beyond."""
    scale = 1 + rng.uniform(-wanted.scale, wanted.scale)
    shift = rng.uniform(-wanted.shift, wanted.shift, 3)  # z, y, x as shares of the size
    turn = np.radians(rng.uniform(-wanted.turn_deg, wanted.turn_deg, 3))
    mirror = -1.0 if wanted.mirror and rng.uniform() < 0.5 else 1.0
    if wanted.plane_only:
        parts = _slid(parts, round(float(shift[0]) * parts.shape[1]))
        cos, sin = np.cos(turn[0]) / scale, np.sin(turn[0]) / scale
        plane = [[cos * mirror, -sin, 2 * shift[2]], [sin * mirror, cos, 2 * shift[1]]]
        slices = parts.reshape(1, -1, *parts.shape[2:])  # the same turn for all: slices travel as channels
        grid = functional.affine_grid(torch.tensor([plane], dtype=torch.float32), [1, 1, *parts.shape[2:]], False)
        return functional.grid_sample(slices, grid, align_corners=False).reshape(parts.shape)
    size_mm = np.array([mm * n for mm, n in zip(spacing_mm, parts.shape[1:], strict=True)])[::-1]  # x, y, z
    mm = _rotation(turn) @ np.diag([mirror, 1.0, 1.0]) / scale
    matrix = mm * size_mm[None, :] / size_mm[:, None]  # in units of the half size, as the grid counts
    affine = torch.tensor(np.column_stack([matrix, 2 * shift[::-1]])[None], dtype=torch.float32)
    return functional.grid_sample(
        parts[None], functional.affine_grid(affine, [1, 1, *parts.shape[1:]], False), align_corners=False
    )[0]


def _slid(parts: Tensor, slices: int) -> Tensor:
    """``parts`` (C, D, H, W) moved by whole slices; what leaves is lost, what enters is empty."""
    out = torch.zeros_like(parts)
    depth = parts.shape[1]
    out[:, max(slices, 0) : depth + min(slices, 0)] = parts[:, max(-slices, 0) : depth - max(slices, 0)]
    return out


def _rotation(turn: np.ndarray) -> np.ndarray:
    """(3, 3) for x, y, z: turns about z, y, x one after the other, radians."""
    out = np.eye(3)
    for (a, b), angle in zip(((0, 1), (0, 2), (1, 2)), turn, strict=True):
        one = np.eye(3)
        one[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        out = one @ out
    return out


def _other_densities(hu: Tensor, brain: Tensor, wanted: Augmentation, rng: np.random.Generator) -> Tensor:
    """``hu`` (D, H, W) blurred, spread, moved and made noisier within the brain; clipped to the window again."""
    blur = rng.uniform(0, wanted.blur_pixels)
    if blur > 0.2:
        hu = _blurred(hu, blur) / _blurred(brain.float(), blur).clamp(min=0.1)
    middle = float(np.mean(hu[brain].numpy()))  # torch's sum depends on how many threads share it
    hu = (hu - middle) * (1 + rng.uniform(-wanted.gain, wanted.gain)) + middle
    hu = hu + rng.uniform(-wanted.offset_hu, wanted.offset_hu)
    noise = rng.uniform(0, wanted.noise_hu)
    if noise > 0:
        hu = hu + noise * torch.from_numpy(rng.standard_normal(hu.shape, dtype=np.float32))
    return torch.where(brain, hu.clamp(*WINDOW_HU), 0.0)


def _blurred(planes: Tensor, sigma: float) -> Tensor:
    taps = torch.exp(-((torch.arange(-4, 5) / sigma) ** 2) / 2)
    taps = (taps / taps.sum()).to(planes.dtype)
    rows = functional.conv2d(planes[:, None], taps.reshape(1, 1, -1, 1), padding=(4, 0))
    return functional.conv2d(rows, taps.reshape(1, 1, 1, -1), padding=(0, 4))[:, 0]
