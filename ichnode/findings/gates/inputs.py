"""What the network is shown, in a handful of named figures, and how far they lie from those of its training cases."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.spread import Spread
from ichnode.findings.gates.rules import RULES, GateRules

Brain = NDArray[np.bool_]
Hu = NDArray[np.float32]

NOISE: Final = "noise_hu"
MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "brain_ml": "volume within the skull, mL",
        "length_mm": "length of the brain, front to back, mm",
        "width_mm": "width of the brain, mm",
        "median_hu": "median of the brain, HU",
        "contrast_hu": "contrast of grey and white matter and liquor (interquartile range), HU",
        "dark_hu": "dark end of the brain (5th percentile), HU",
        "bright_hu": "bright end of the brain (99th percentile), HU",
        NOISE: "noise, HU",
        "step_hu": "change from slice to slice, HU",
    }
)
SD_OF_MEAN: Final = (np.pi / 2) ** 0.5  # of the absolute values of what is normally distributed
SD_OF_LAPLACE: Final = 6.0  # of the mask of _noise, for white noise. Source: Immerkaer, CVIU 1996;64:300


def figures(hu: Hu, brain: Brain, spacing_mm: tuple[float, float, float]) -> dict[str, float]:
    """The figures of one network input, by the names of MEANINGS.

    ``hu`` (Z, Y, X) within 0-100, zero outside ``brain`` (Z, Y, X) bool; ``spacing_mm`` of slices, rows, columns.
    """
    inside = hu[brain]
    # Ends as HU, not shares below or above some HU: those are skewed, and ordinary atrophy is many SD from their mean
    dark, low, middle, high, bright = np.percentile(inside, (5, 25, 50, 75, 99))
    widest = brain[brain.sum(axis=(1, 2)).argmax()]
    both = brain[1:] & brain[:-1]
    return {
        "brain_ml": float(brain.sum() * np.prod(spacing_mm) / 1000),
        "length_mm": float(widest.any(axis=1).sum() * spacing_mm[1]),
        "width_mm": float(widest.any(axis=0).sum() * spacing_mm[2]),
        "median_hu": float(middle),
        "contrast_hu": float(high - low),
        "dark_hu": float(dark),
        "bright_hu": float(bright),
        NOISE: _noise(hu, brain),
        "step_hu": float(np.abs(np.diff(hu, axis=0))[both].mean()) if both.any() else 0.0,
    }


def _noise(hu: Hu, brain: Brain) -> float:
    """Standard deviation of the noise in-plane, HU, from what neither planes nor slopes explain."""
    inner = brain[:, 1:-1, 1:-1] & brain[:, :-2, 1:-1] & brain[:, 2:, 1:-1] & brain[:, 1:-1, :-2] & brain[:, 1:-1, 2:]
    rows = hu[:, :-2] - 2 * hu[:, 1:-1] + hu[:, 2:]
    both = rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:]
    return float(np.abs(both[inner]).mean() * SD_OF_MEAN / SD_OF_LAPLACE) if inner.any() else 0.0


def spreads(cases: Sequence[Mapping[str, float]]) -> dict[str, Spread]:
    """Of each figure, how it spreads over ``cases`` (two at least)."""
    found = {}
    for name in MEANINGS:
        values = np.array([case[name] for case in cases])
        found[name] = Spread(
            mean=float(values.mean()),
            sd=float(values.std(ddof=1)),
            lowest=float(values.min()),
            highest=float(values.max()),
        )
    return found


def noisy(seen: Mapping[str, float], trained: Mapping[str, Spread]) -> Doubt | None:
    """QF_NOISE, where there is more noise than in any training case. A card without figures asks for nothing."""
    known = trained.get(NOISE)
    if known is None or seen[NOISE] <= known.highest:
        return None
    return Doubt(
        flag=Flag.QF_NOISE,
        evidence=f"{seen[NOISE]:.1f} HU on the network's grid, training cases up to {known.highest:.1f} HU",
    )


def unlike(seen: Mapping[str, float], trained: Mapping[str, Spread], rules: GateRules = RULES) -> Doubt | None:
    """QF_UNLIKE, where a figure other than the noise lies far from those of the training cases; the farthest is named.

    The distance is |z|, the figure less their mean over their SD. What one of them has reached is not far.
    """
    far = {
        name: abs(seen[name] - each.mean) / each.sd
        for name, each in trained.items()
        if name != NOISE and name in seen and not each.lowest <= seen[name] <= each.highest
    }
    worst = max(far, key=lambda name: far[name], default=None)
    if worst is None or far[worst] < rules.unlike_sd:
        return None
    each = trained[worst]
    return Doubt(
        flag=Flag.QF_UNLIKE,
        evidence=f"{MEANINGS[worst]}: {seen[worst]:.3g}; training cases {each.mean:.3g} +- {each.sd:.2g}, "
        f"{far[worst]:.0f} SD away",
    )
