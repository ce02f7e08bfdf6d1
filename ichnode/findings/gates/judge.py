"""All gates together, and what they refuse: in the order of the walk, images, network input, segmentation."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from ichnode.domain.errors import Refused
from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.spread import Spread
from ichnode.domain.values import Volume
from ichnode.findings.gates import dense, extent, head, inputs, motion, skull, stack
from ichnode.findings.gates.headers import Stated
from ichnode.findings.gates.sight import Mask, Sight

OTHER_SERIES: Final = "Send another series of the study"
ADVICE: Final[Mapping[Flag, str]] = MappingProxyType(
    {
        Flag.QF_HEAD: "Send a head",
        Flag.QF_COVERAGE: "Send a series that covers the head from foramen magnum to vertex",
        Flag.QF_CONTRAST: "Send the series without contrast medium",
        Flag.QF_VESSELS: "Send the series without contrast medium",
        Flag.QF_METAL: "Read the images yourself, or send a series with metal artefact reduction",
        Flag.QF_MOTION: "Repeat the scan, or send the series that was repeated",
        Flag.QF_MISSING: "Send the series again, whole",
        Flag.QF_THICK: "Send the series in slices of 0.5 to 6 mm",
    }
)


def doubts_of_images(volume: Volume, sight: Sight, stated: Stated) -> tuple[Doubt, ...]:
    """What the headers and the images themselves give to doubt, before a network has seen them."""
    rays = skull.rays_of(sight)
    found = _those_of(
        stack.thick(volume.flags, volume.geometry, stated.thickness_mm),
        stack.unequal(volume.geometry),
        stack.tilted(volume.geometry),
        stack.missing(volume.geometry, stated.missing),
        head.not_a_head(sight),
        head.cut_off(sight),
        dense.contrast_named(stated.contrast_agent),
        dense.dense_vessels(volume, sight),
        dense.metal(volume, sight),
        motion.motion(sight, rays),
        skull.bone_gap(sight, rays),
    )
    told = {doubt.flag for doubt in found}
    return (*found, *(Doubt(flag=flag) for flag in sorted(volume.flags - told)))


def doubts_of_stripping(sight: Sight, flags: Iterable[Flag]) -> tuple[Doubt, ...]:
    """``flags`` that stripping and resampling raised, with what can be said of them."""
    inside_ml = float(sight.areas_cm2 @ sight.depth_mm) / 10
    said = {Flag.QF_STRIP: f"about {inside_ml:.0f} mL of soft tissue lie within bone"}
    return tuple(Doubt(flag=flag, evidence=said.get(flag, "")) for flag in sorted(flags))


def doubts_of_input(
    hu: inputs.Hu, brain: inputs.Brain, spacing_mm: tuple[float, float, float], trained: Mapping[str, Spread]
) -> tuple[Doubt, ...]:
    """What the network's input gives to doubt; arguments as inputs.figures has them, ``trained`` from the card."""
    seen = inputs.figures(hu, brain, spacing_mm) if trained else {}
    return _those_of(inputs.noisy(seen, trained), inputs.unlike(seen, trained))


def doubts_of_mask(sight: Sight, mask: Mask) -> tuple[Doubt, ...]:
    """What the segmentation gives to doubt; ``mask`` (Z, Y, X) bool on the volume's own grid."""
    coarse = sight.coarse(mask)
    return _those_of(extent.touches_border(mask), extent.along_skull(sight, coarse), extent.in_liquor(sight, coarse))


def refuse(doubts: Iterable[Doubt], refused: frozenset[Flag]) -> None:
    """Raises Refused, with why, where and what to do, when any of ``doubts`` is ``refused`` by the site."""
    reasons = [doubt for doubt in doubts if doubt.flag in refused]
    if not reasons:
        return
    why = "; ".join(f"{each.flag.value} ({each.evidence})" if each.evidence else each.flag.value for each in reasons)
    todo = ADVICE.get(reasons[0].flag, OTHER_SERIES)
    names = ", ".join(each.flag.name for each in reasons)
    message = f"{why}. {todo}. The configuration of this node refuses {names}."
    raise Refused(message, flags=frozenset(each.flag for each in reasons))


def _those_of(*doubts: Doubt | None) -> tuple[Doubt, ...]:
    return tuple(doubt for doubt in doubts if doubt is not None)
