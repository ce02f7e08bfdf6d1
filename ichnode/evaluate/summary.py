"""What measured cases say together about the segmentation, and about heads without a bleed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ichnode.evaluate.agreement import BlandAltman, Spread, VolumeClass, bland_altman, spread, spread_by_volume
from ichnode.evaluate.cases import Measured
from ichnode.evaluate.proportions import Proportion, proportion

SMALL_ML: Final = 1.0  # bleeds from here on must all be found; smaller ones lie within the slice distance's noise
FALSE_ML: Final = 0.5  # more than this found in a head without a bleed is a false alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """Dice and absolute volume error (mL) of the haematomas of one class; None where there is none."""

    volume_class: VolumeClass
    dice: Spread | None
    abs_error_ml: Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmentation:
    """How well the labelled bleeds were segmented; the distances are of those where anything was found."""

    dice: Spread
    dice_mean: float
    abs_error_ml: Spread
    agreement: BlandAltman | None
    hd95_mm: Spread | None
    assd_mm: Spread | None
    detected: Proportion | None
    detected_from_1ml: Proportion | None
    classes: tuple[ClassRow, ...]
    seconds: Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Bleedless:
    """What was found in heads without a bleed.

    ``clean``: nothing at all, in a brain that was seen; ``undetermined``: cases where it was not; ``alarms``: cases
    above FALSE_ML.
    """

    found_ml: Spread
    clean: Proportion | None
    undetermined: int
    alarms: int


def segmentation_of(cases: Sequence[Measured]) -> Segmentation | None:
    """Figures over the cases with a labelled bleed; None where there is none."""
    scored = [(case, case.dice) for case in cases if case.dice is not None]
    dices = [value for _, value in scored]
    labelled, found = [case.labelled_ml for case, _ in scored], [case.found_ml for case, _ in scored]
    errors = [abs(ours - theirs) for ours, theirs in zip(found, labelled, strict=True)]
    dice, abs_error_ml, seconds = spread(dices), spread(errors), spread([case.seconds for case, _ in scored])
    if dice is None or abs_error_ml is None or seconds is None:
        return None
    by_dice, by_error = spread_by_volume(dices, labelled), spread_by_volume(errors, labelled)
    return Segmentation(
        dice=dice,
        dice_mean=sum(dices) / len(dices),
        abs_error_ml=abs_error_ml,
        agreement=bland_altman(found, labelled),
        hd95_mm=spread([case.hd95_mm for case, _ in scored if case.hd95_mm is not None]),
        assd_mm=spread([case.assd_mm for case, _ in scored if case.assd_mm is not None]),
        detected=_detected(scored, from_ml=0.0),
        detected_from_1ml=_detected(scored, from_ml=SMALL_ML),
        classes=tuple(
            ClassRow(volume_class=part, dice=of_dice, abs_error_ml=of_error)
            for (part, of_dice), (_, of_error) in zip(by_dice, by_error, strict=True)
        ),
        seconds=seconds,
    )


def bleedless_of(cases: Sequence[Measured]) -> Bleedless | None:
    """Figures over the heads without a bleed; None where there is none."""
    heads = [case for case in cases if not case.bleeds]
    found_ml = spread([case.found_ml for case in heads])
    if found_ml is None:
        return None
    undetermined = sum(case.undetermined for case in heads)
    return Bleedless(
        found_ml=found_ml,
        clean=proportion(sum(case.found_ml == 0 for case in heads) - undetermined, len(heads)),
        undetermined=undetermined,
        alarms=sum(case.found_ml > FALSE_ML for case in heads),
    )


def _detected(scored: Sequence[tuple[Measured, float]], *, from_ml: float) -> Proportion | None:
    """Found means overlapping: a false lump elsewhere in the head finds nothing."""
    hits = [dice > 0 for case, dice in scored if case.labelled_ml >= from_ml]
    return proportion(sum(hits), len(hits))
