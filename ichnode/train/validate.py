"""How the network does on the cases that it is chosen by: on its own grid, after each epoch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from ichnode.cohort.prepared import read_case
from ichnode.image.prepare import PRESETS
from ichnode.train.augment import plain
from ichnode.train.samples import Source

MIN_COMPONENT_ML: Final = 0.3  # what the node drops, the choice of weights must not count either

Forward = Callable[[Tensor], tuple[Tensor, Tensor]]  # network input (1, D, H, W) -> logits (1, D, H, W) and (1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """``dice``: of each case with a bleed; ``false_ml``: found in each without; ``bce``: of the known outcomes.

    Where only outcomes were looked at, the first two are empty.
    """

    dice: tuple[float, ...]
    false_ml: tuple[float, ...]
    bce: float | None

    @property
    def score(self) -> float:
        """Mean Dice, where a head without a bleed counts 1 when nothing is found in it, else 0; or minus ``bce``."""
        if not self.dice and not self.false_ml and self.bce is not None:
            return -self.bce
        return float(np.mean([*self.dice, *(float(ml == 0) for ml in self.false_ml)]))

    def row(self) -> dict[str, float]:
        """The figures for the curve."""
        figures = {"val_score": self.score}
        if self.dice:
            figures |= {
                "val_dice_mean": float(np.mean(self.dice)),
                "val_dice_median": float(np.median(self.dice)),
                "val_dice_lowest": min(self.dice),
            }
        if self.false_ml:
            figures["val_false_ml_largest"] = max(self.false_ml)
        if self.bce is not None:
            figures["val_expansion_bce"] = self.bce
        return figures


@torch.no_grad()
def validate(forward: Forward, cases: Sequence[Source]) -> Validation:
    """Runs all ``cases`` through the network as it stands."""
    dice, false_ml, entropies = [], [], []
    for case in cases:
        entry = case.entry
        values, bleed = plain(read_case(case.folder, entry))
        logits, expansion = forward(values)
        voxel_ml = float(np.prod(PRESETS[entry.preset].spacing_mm)) / 1000
        found = _without_specks(logits[0].cpu().numpy() > 0, voxel_ml)
        true = bleed[0].numpy() > 0
        if true.any():
            dice.append(2 * float((found & true).sum()) / float(found.sum() + true.sum()))
        else:
            false_ml.append(float(found.sum()) * voxel_ml)
        if entry.expanded is not None:
            entropies.append(_entropy(expansion, entry.expanded))
    return Validation(dice=tuple(dice), false_ml=tuple(false_ml), bce=float(np.mean(entropies)) if entropies else None)


@torch.no_grad()
def validate_outcomes(expansion: Callable[[Tensor], Tensor], cases: Sequence[Source]) -> Validation:
    """Asks ``expansion``, network input (1, D, H, W) -> logit (1,), about each of ``cases`` whose outcome is known."""
    known = [(case, case.entry.expanded) for case in cases if case.entry.expanded is not None]
    entropies = [
        _entropy(expansion(plain(read_case(case.folder, case.entry))[0]), expanded) for case, expanded in known
    ]
    return Validation(dice=(), false_ml=(), bce=float(np.mean(entropies)))


def _entropy(logit: Tensor, expanded: bool) -> float:
    wanted = torch.full((1,), float(expanded))
    return float(functional.binary_cross_entropy_with_logits(logit.cpu(), wanted))


def _without_specks(mask: NDArray[np.bool_], voxel_ml: float) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    kept = np.bincount(labels.ravel(), minlength=count + 1) * voxel_ml >= MIN_COMPONENT_ML
    kept[0] = False
    return np.asarray(kept[labels])
