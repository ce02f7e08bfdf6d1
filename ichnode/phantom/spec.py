"""What a phantom shall be: one value that says everything, and a varied population of such values from seeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np

from ichnode.domain.errors import ConfigError
from ichnode.phantom.distractors import DISTRACTORS
from ichnode.phantom.markers import MARKERS, MIN_VOLUME_ML, fitting
from ichnode.phantom.vendors import VENDORS

VERSION: Final = "1"  # to be raised whenever the same specification yields other bytes
VOLUME_ML: Final = (0.6, 80.0)  # what is drawn; small and middling bleeds are the commonest
MARKER_SHARE: Final = 0.55  # of the bleeds, those with a marker
THICKNESS_MM: Final = (0.5, 10.0)
TILT_DEG: Final = (-30.0, 30.0)
MATRICES: Final = (128, 256, 512)
EARLY_H: Final = 2.5
LARGE_ML: Final = 30.0

# How a phantom's expansion depends on what can be seen in it: log-odds a feature adds. The rule is invented, in the
# order of the published strength of the markers; steep, so that a network which sees them can pass an AUC of 0.85.
EXPANSION_BASE: Final = -3.5
EXPANSION_ODDS: Final = (
    (("hypodensity", "black_hole"), 6.0),
    (("swirl",), 6.0),
    (("blend",), 5.5),
    (("irregular", "island", "satellite"), 5.5),
    (("heterogeneous", "fluid_level"), 5.0),
)
EXPANSION_EARLY: Final = 0.7
EXPANSION_LARGE: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSpec:
    """A phantom, in words and figures. Head and lesions are functions of the upper fields alone, the scan of the lower.

    ``volume_ml`` None: a head without a bleed. ``strength`` of the markers: multiple of the rule's threshold.
    ``growth_ml``: what the bleed gains until the follow-up, None: no follow-up. ``tilt_deg`` of the gantry.
    ``unequal``: slice distances that change within the stack. ``matrix``: pixels a side, one of MATRICES; the field of
    view is the same.

    Raises ConfigError for a value out of range or an unknown name.
    """

    seed: int
    volume_ml: float | None = None
    markers: frozenset[str] = frozenset()
    strength: float = 1.5
    distractors: frozenset[str] = frozenset()
    site: str | None = None
    craniotomy: bool = False
    onset_h: float | None = None
    expanded: bool | None = None
    growth_ml: float | None = None
    thickness_mm: float = 5.0
    tilt_deg: float = 0.0
    unequal: bool = False
    vendor: str = "GE"
    matrix: int = 512

    def __post_init__(self) -> None:
        _check_known("marker", self.markers, MARKERS)
        _check_known("distractor", self.distractors, DISTRACTORS)
        _check_known("vendor", {self.vendor}, VENDORS)
        for name, value, (low, high) in (
            ("thickness", self.thickness_mm, THICKNESS_MM),
            ("tilt", self.tilt_deg, TILT_DEG),
        ):
            if not low <= value <= high:
                raise ConfigError(f"A {name} of {value:g} is out of range.", hint=f"It lies in {low:g} to {high:g}.")
        if self.matrix not in MATRICES:
            raise ConfigError(
                f"A matrix of {self.matrix} is not offered.", hint=f"One of {', '.join(map(str, MATRICES))}."
            )
        if self.volume_ml is None and (self.markers or self.growth_ml is not None):
            raise ConfigError("A head without a bleed has neither markers nor growth.", hint="Set a volume.")

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; sets as sorted lists."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: sorted(value) if isinstance(value, frozenset) else value for key, value in values.items()}


def draw_spec(
    seed: int,
    *,
    bleed_share: float = 1.0,
    volume_ml: float | None = None,
    markers: frozenset[str] | None = None,
    thickness_mm: float = 5.0,
    tilt_deg: float = 0.0,
    unequal: bool = False,
    vendors: Sequence[str] = tuple(VENDORS),
    craniotomy_share: float = 0.0,
    followup: bool = False,
    matrix: int = 512,
) -> PhantomSpec:
    """A phantom of a varied population. What is None is drawn; the scan's options change nothing of head and bleed.

    Raises ConfigError as PhantomSpec does, for ``markers`` that the bleed has no room for, and for what is no share.
    """
    _check_known("marker", markers or (), MARKERS)
    _check_share("heads with a bleed", bleed_share)
    _check_share("heads that lack a bone flap", craniotomy_share)
    _check_known("vendor", vendors, VENDORS)
    if not vendors:
        raise ConfigError("No vendor is named.", hint=f"Known: {', '.join(VENDORS)}.")
    rng = np.random.default_rng([seed, 0])
    bleeds, small, marked, early, distracted = rng.random(5)
    drawn_ml = float(np.clip(np.exp(rng.normal(np.log(11), 0.95)), *VOLUME_ML))
    some = frozenset(str(name) for name in rng.choice(sorted(MARKERS), 1 + int(rng.random() < 0.35), replace=False))
    onset_h = round(float(rng.uniform(0.8, EARLY_H) if early < 0.4 else rng.uniform(EARLY_H, 12)), 1)
    strength = float(rng.uniform(1.3, 2.2))
    turn = int(rng.integers(len(VENDORS)))  # whatever is to be chosen from: what is drawn after it stays the same
    vendor, craniotomy = vendors[turn % len(vendors)], bool(rng.random() < craniotomy_share)
    chosen = frozenset([str(rng.choice(sorted(DISTRACTORS)))]) if distracted < 0.35 else frozenset()
    fate, amount = rng.random(2)
    scan = PhantomSpec(
        seed=seed,
        distractors=chosen,
        craniotomy=craniotomy,
        thickness_mm=thickness_mm,
        tilt_deg=tilt_deg,
        unequal=unequal,
        vendor=vendor,
        matrix=matrix,
    )
    if bleeds >= bleed_share:
        return scan
    if markers is not None:
        wanted_ml = _room_for(markers, drawn_ml, small, together=True) if volume_ml is None else volume_ml
        _check_room(markers, wanted_ml)
    else:
        drawn = some if marked < MARKER_SHARE else frozenset()
        wanted_ml = _room_for(drawn, drawn_ml, small, together=False) if volume_ml is None else volume_ml
        markers = fitting(drawn, wanted_ml)
    expanded = bool(fate < expansion_probability(markers, wanted_ml, onset_h))
    return replace(
        scan,
        volume_ml=wanted_ml,
        markers=markers,
        strength=strength,
        onset_h=onset_h,
        expanded=expanded,
        growth_ml=growth_ml(wanted_ml, expanded, float(amount)) if followup else None,
    )


def _check_known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    if unknown := sorted(set(names) - set(known)):
        raise ConfigError(f"There is no {what} {unknown[0]!r}.", hint=f"Known: {', '.join(sorted(known))}.")


def _check_share(of_what: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ConfigError(f"A share of {share:g} of {of_what} cannot be.", hint="It lies in 0 to 1.")


def _check_room(markers: frozenset[str], volume_ml: float) -> None:
    if left_out := sorted(markers - fitting(markers, volume_ml)):
        raise ConfigError(
            f"A bleed of {volume_ml:g} mL cannot show {', '.join(sorted(markers))}: no room for {left_out[0]}.",
            hint="Ask for a larger volume or for fewer markers; blend and fluid_level exclude each other.",
        )


def _room_for(markers: frozenset[str], drawn_ml: float, share: float, *, together: bool) -> float:
    """A volume that the ``markers`` fit in: all ``together``, or each alone."""
    needed = [MIN_VOLUME_ML[name] for name in markers]
    least = sum(needed) if together else max(needed, default=0.0)
    return round(max(drawn_ml, least * (1.1 + share)), 2)


def expansion_probability(markers: frozenset[str], volume_ml: float, onset_h: float) -> float:
    """Probability in [0, 1] that a phantom's bleed expands: logistic in what EXPANSION_ODDS names."""
    odds = EXPANSION_BASE + sum(add for names, add in EXPANSION_ODDS if markers & set(names))
    odds += EXPANSION_EARLY * (onset_h < EARLY_H) + EXPANSION_LARGE * (volume_ml >= LARGE_ML)
    return float(1 / (1 + np.exp(-odds)))


def growth_ml(volume_ml: float, expanded: bool, amount: float) -> float:
    """mL that a bleed gains: clearly past 6 mL or 33 % when ``expanded``, clearly short of both else.

    ``amount`` in [0, 1]: how much within what is possible.
    """
    limit = min(6.0, 0.33 * volume_ml)
    return round(limit * (1.4 + 1.2 * amount if expanded else 0.05 + 0.45 * amount), 3)
