"""The same haematoma some hours later."""

from dataclasses import replace
from typing import Final

import numpy as np

from ichnode.domain.errors import ConfigError
from ichnode.phantom.bleed import HeadLike, Lesions, brain_reference_hu
from ichnode.phantom.describe import describe
from ichnode.phantom.distractors import Intraventricular
from ichnode.phantom.foci import put
from ichnode.phantom.haematoma import Focus, Haematoma
from ichnode.phantom.metaballs import Quadrature, quadrature, scale_for

LATER: Final = 1.3  # oedema is wider a day later, beyond what the growth makes


def grow(lesions: Lesions, head: HeadLike, *, growth_ml: float) -> Lesions:
    """``lesions`` with the haematoma larger by ``growth_ml`` (negative: smaller), the same in shape and markers.

    Dark features grow with the clot; foci keep their size and their gap to it, and one that has no room left has
    merged. Distractors stay. Raises ConfigError where there is no haematoma, or none is left, or it finds no room.
    """
    bloods = [lesion for lesion in lesions.lesions if isinstance(lesion, Haematoma)]
    target_ml = lesions.truth.volume_ml + growth_ml
    if not bloods or target_ml <= 0:
        raise ConfigError("There is no haematoma that could change so.", hint="Set a volume, or a smaller change.")
    before = bloods[0]
    inside = quadrature(before.shape)
    after = _grown(before, inside, target_ml)
    planted = {name: m.strength for name, m in lesions.truth.markers.items() if m.strength is not None}
    truth = describe(after, inside, planted, brain_reference_hu(head, after, inside))
    followed = [
        after
        if lesion is before
        else replace(lesion, pushed_by=after)
        if isinstance(lesion, Intraventricular)
        else lesion
        for lesion in lesions.lesions
    ]
    return Lesions(lesions=tuple(followed), truth=replace(truth, distractors=lesions.truth.distractors))


def _grown(before: Haematoma, inside: Quadrature, target_ml: float) -> Haematoma:
    """``before`` at ``target_ml``; foci that cannot be kept are left out and their volume is the main one's."""
    radius_mm = (target_ml * 750 / np.pi) ** (1 / 3)
    oedema_mm = before.oedema_mm * LATER * radius_mm / before.radius_mm
    foci = list(before.foci)
    while True:
        main_ml = target_ml - sum(focus.volume_ml for focus in foci)
        scale_mm = scale_for(inside, main_ml, before.place.room_around) if main_ml > 0 else None
        if scale_mm is None:
            raise ConfigError(f"A haematoma of {target_ml:g} mL finds no room.", hint="Set less growth.")
        after = replace(before, scale_mm=scale_mm, foci=(), radius_mm=radius_mm, oedema_mm=oedema_mm)
        moved: list[Focus | None] = [put(after, focus) for focus in foci]
        if None not in moved:
            return replace(after, foci=tuple(focus for focus in moved if focus))
        foci = [focus for focus, new in zip(foci, moved, strict=True) if new]
