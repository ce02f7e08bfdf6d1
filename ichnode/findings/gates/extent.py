"""Where a segmentation lies: at the border of the images, along the skull, in liquor."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ichnode.domain.flags import Doubt, Flag
from ichnode.findings.gates.rules import RULES, GateRules
from ichnode.findings.gates.sight import IN_PLANE, Mask, Sight

BORDERS: Final = (
    ("first slice", "last slice"),
    ("first row of the picture", "last row of the picture"),
    ("first column of the picture", "last column of the picture"),
)
RING_MM: Final = (2.0, 6.0)  # from the mask outwards, past its own blurred edge


def touches_border(mask: Mask) -> Doubt | None:
    """QF_TOUCH, where ``mask`` (Z, Y, X) reaches its first or last slice, or an edge of the picture: more may lie
    outside."""
    reached = [
        name
        for axis, names in enumerate(BORDERS)
        for name, edge in zip(names, (0, -1), strict=True)
        if mask.take(edge, axis).any()
    ]
    return Doubt(flag=Flag.QF_TOUCH, evidence="reaches the " + " and the ".join(reached)) if reached else None


def along_skull(sight: Sight, mask: Mask, rules: GateRules = RULES) -> Doubt | None:
    """QF_EXTRAAXIAL, where most of ``mask`` lies right under the skull, and long and thin: the network was not made
    for blood outside the brain. ``mask`` as Sight.coarse gives it."""
    if not mask.any():
        return None
    depth = depth_mm(sight, mask)
    share = float((depth[mask] <= rules.rim_mm).mean())
    thick_mm = float(np.percentile(depth[mask], 90))
    area_mm2 = float(mask.sum(axis=(1, 2)).max()) * sight.pixel_cm2 * 100
    longer = area_mm2 / thick_mm**2
    if share < rules.rim_share or longer < rules.rim_longer:
        return None
    said = f"{share:.0%} of it within {rules.rim_mm:.0f} mm of the skull, {longer:.0f} times as long as thick"
    return Doubt(flag=Flag.QF_EXTRAAXIAL, evidence=said)


def in_liquor(sight: Sight, mask: Mask, rules: GateRules = RULES) -> Doubt | None:
    """QF_LIQUOR, where ``mask`` lies deep and much of its surface at liquor: choroid plexus, or blood in a ventricle or
    a cistern. Blood that fills a ventricle, or has sunk in it, is not told from blood in the brain: too little liquor
    is left at its surface. ``mask`` as Sight.coarse gives it."""
    if not mask.any():
        return None
    deep_mm = float(np.median(depth_mm(sight, mask)[mask]))
    share = liquor_share(sight, mask, float(np.median(sight.hu[sight.cavity])) - rules.liquor_hu)
    if deep_mm < rules.deep_mm or share < rules.liquor_share:
        return None
    said = f"{share:.0%} of its surface lies at liquor, it lies {deep_mm:.0f} mm below the skull"
    return Doubt(flag=Flag.QF_LIQUOR, evidence=said)


def depth_mm(sight: Sight, mask: Mask) -> NDArray[np.float64]:
    """(Z, Y, X): in the slices of ``mask``, how far within the skull a voxel lies, in its plane."""
    out = np.zeros(mask.shape)
    for k in np.flatnonzero(mask.any(axis=(1, 2))):
        inside = ndimage.binary_fill_holes(sight.hull[k] | mask[k])
        out[k] = ndimage.distance_transform_edt(inside, sampling=sight.pixel_mm)
    return out


def liquor_share(sight: Sight, mask: Mask, liquor_hu: float) -> float:
    """Share of what lies round ``mask``, in its planes and within the skull, that is as dark as liquor."""
    near, far = (max(1, round(mm / min(sight.pixel_mm))) for mm in RING_MM)
    around = ndimage.binary_dilation(mask, IN_PLANE, iterations=far) & sight.hull
    ring = around & ~ndimage.binary_dilation(mask, IN_PLANE, iterations=near)
    return float((sight.hu[ring] < liquor_hu).mean()) if ring.any() else 0.0
