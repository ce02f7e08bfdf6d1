"""What is too dense or too dark for a plain head: metal, its streaks, and vessels filled with contrast medium."""

from typing import Final

import numpy as np
from scipy import ndimage

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.values import Volume
from ichnode.findings.gates.rules import RULES, GateRules
from ichnode.findings.gates.sight import BONE_HU, IN_PLANE, Mask, Sight, slices_in_words

INNER_MM: Final = 8.0  # from the skull inwards, where no bone mixes in
BETWEEN_HU: Final = (150.0, 900.0)  # values that a skull has in every series whose HU were not cut off
AIR_WITHIN_HU: Final = -300.0  # darker than a streak: air let in by an operation or a fracture
LEAST_CM2: Final = 20.0
WIDE: Final = 0.6  # of the largest area


def metal(volume: Volume, sight: Sight, rules: GateRules = RULES) -> Doubt | None:
    """QF_METAL, where metal lies in the slices that show the brain, or streaks cross it."""
    said = [each for each in (_metal(volume, sight, rules), _streaks(sight, rules)) if each]
    return Doubt(flag=Flag.QF_METAL, evidence="; ".join(said)) if said else None


def _metal(volume: Volume, sight: Sight, rules: GateRules) -> str:
    brain = sight.areas_cm2 >= LEAST_CM2
    found = []
    for first, last in sight.slabs[brain]:
        for k in range(first, last + 1):
            ml = np.count_nonzero(volume.hu[k] > rules.metal_hu) * volume.geometry.voxel_volumes_ml[k]
            if ml >= rules.metal_ml:
                found.append((k, ml))
    if not found:
        return ""
    total = sum(ml for _, ml in found)
    where = slices_in_words(np.array([k for k, _ in found]))
    return f"{total:.2g} mL above {rules.metal_hu:.0f} HU, {where}"


def _streaks(sight: Sight, rules: GateRules) -> str:
    inner = _inner(sight)
    sizes = inner.sum(axis=(1, 2))
    hu = sight.hu
    odd = inner & (
        ((hu < rules.streak_dark_hu) & (hu > AIR_WITHIN_HU)) | ((hu > rules.streak_bright_hu) & (hu < BONE_HU))
    )
    shares = np.where(sizes * sight.pixel_cm2 >= LEAST_CM2, odd.sum(axis=(1, 2)) / np.maximum(sizes, 1), 0)
    worst = int(shares.argmax())
    if shares[worst] < rules.streak_share:
        return ""
    where = sight.slices(np.array([worst]))
    return (
        f"streaks: {shares[worst]:.0%} of the brain lies outside "
        f"{rules.streak_dark_hu:.0f} to {rules.streak_bright_hu:.0f} HU, {where}"
    )


def _inner(sight: Sight) -> Mask:
    """(Z, Y, X): the inside of the skull, some way off bone, where it is wide: no face, and no sinus of the front.

    What streaks cross is no soft tissue any more: there the sections below and above say what lies within.
    """
    inner = np.zeros(sight.hu.shape, np.bool_)
    wide = np.flatnonzero(sight.areas_cm2 > WIDE * sight.areas_cm2.max())
    if not len(wide):
        return inner
    for k in range(wide[0], wide[-1] + 1):
        below, above = wide[wide < k][-1:], wide[wide > k][:1]
        around = sight.hull[np.concatenate([below, above])].all(axis=0)
        inner[k] = sight.hull[k] | around if k in wide else around
    return np.asarray(ndimage.binary_erosion(inner, IN_PLANE, iterations=round(INNER_MM / min(sight.pixel_mm))))


def contrast_named(agent: str) -> Doubt | None:
    """QF_CONTRAST, where the header names an agent; what it calls it is not repeated. ``agent`` "": none."""
    if not agent:
        return None
    return Doubt(flag=Flag.QF_CONTRAST, evidence="the header names a contrast agent")


def dense_vessels(volume: Volume, sight: Sight, rules: GateRules = RULES) -> Doubt | None:
    """QF_VESSELS, where something as dense as contrast medium spreads from side to side within the brain.

    Calcified choroid plexus and falx do not: they are compact, or lie in the middle. Where HU were cut off before they
    came here, nothing can be told, and None is the answer.
    """
    if not is_whole_scale(volume):
        return None
    inner = ndimage.binary_erosion(sight.hull, IN_PLANE, iterations=round(INNER_MM / 2 / min(sight.pixel_mm)))
    labels, _ = ndimage.label(inner & (sight.hu >= rules.vessel_hu), np.ones((3, 3, 3)))
    widest_mm, widest_ml = 0.0, 0.0
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        width_mm = (box[2].stop - box[2].start) * sight.pixel_mm[1]
        voxels = (labels[box] == number).sum(axis=(1, 2))
        ml = float(voxels @ sight.depth_mm[box[0]]) * sight.pixel_cm2 / 10
        if ml >= rules.vessel_ml and width_mm > widest_mm:
            widest_mm, widest_ml = width_mm, ml
    if widest_mm < rules.vessel_wide_mm:
        return None
    said = f"{widest_ml:.1f} mL above {rules.vessel_hu:.0f} HU, connected over {widest_mm:.0f} mm from side to side"
    return Doubt(flag=Flag.QF_VESSELS, evidence=said)


def is_whole_scale(volume: Volume) -> bool:
    """Whether the HU of bone are there: not where pictures of a narrow window were turned into HU again."""
    middle = volume.hu[len(volume.hu) // 2]
    low, high = BETWEEN_HU
    bone = np.count_nonzero(middle > low)
    return bool(np.count_nonzero((middle > low) & (middle < high)) > 0.05 * bone)
