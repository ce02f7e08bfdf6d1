"""The one table of thresholds by which images are doubted, each with its source."""

from dataclasses import dataclass, field, fields
from typing import Final

PROPOSAL: Final = "proposal: no source gives it"
ANATOMY: Final = "proposal, from the size of adult heads"
TRAINING: Final = "proposal: beyond all 80 patients that the shipped weights were trained on"


def _rule(value: float, source: str) -> float:
    made: float = field(default=value, metadata={"source": source})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """Thresholds of the gates; ``sources_of_gate_rules`` says where each comes from.

    A head: ``skull_mm`` of height with an area of at least ``skull_cm2`` of soft tissue that bone surrounds;
    ``brain_hu_low`` to ``brain_hu_high``: where the median of that lies; ``widest_mm``: no head is wider.

    Coverage: ``missing_mm`` of the head above or below the images are told. ``edge_mm``: along the edge of the picture
    that the head lies at.

    Vessels: ``vessel_hu`` and more, far from bone, ``vessel_wide_mm`` from side to side, ``vessel_ml`` large.

    Metal: ``metal_hu`` and more, ``metal_ml`` large. Streaks: ``streak_share`` of the brain in a slice lies below
    ``streak_dark_hu`` or above ``streak_bright_hu``.

    Motion: a slice lies ``jump_mm`` off, or is turned by ``turn_deg``, against its neighbours; ``double_share`` of the
    vault's outline is seen twice.

    Bone gap: ``open_mm`` of the vault's outline without bone, over ``open_height_mm``.

    Network input: a figure lies ``unlike_sd`` standard deviations from the mean of the training cases, and beyond all
    of them.

    Segmentation: ``rim_share`` of it lies within ``rim_mm`` of the inside of the skull and it is ``rim_longer`` times
    as long as thick there; ``liquor_share`` of its surface lies at liquor, ``liquor_hu`` and more below the median
    of the brain, and it lies deeper than
    ``deep_mm``.
    """

    skull_mm: float = _rule(40.0, ANATOMY)
    skull_cm2: float = _rule(40.0, ANATOMY)
    brain_hu_low: float = _rule(15.0, "proposal: between liquor (0 to 15 HU) and brain (20 to 45 HU)")
    brain_hu_high: float = _rule(60.0, "proposal: brain with clot or contrast stays below, plastic lies above")
    widest_mm: float = _rule(260.0, ANATOMY)
    missing_mm: float = _rule(12.0, "proposal: more than two slices of 5 mm")
    edge_mm: float = _rule(30.0, PROPOSAL)
    vessel_hu: float = _rule(110.0, "proposal: above clot (95 HU at most) and blood of any haematocrit")
    vessel_wide_mm: float = _rule(30.0, ANATOMY)
    vessel_ml: float = _rule(0.5, PROPOSAL)
    metal_hu: float = _rule(2500.0, "proposal: above petrous bone; 12-bit scanners end at 3071 HU")
    metal_ml: float = _rule(0.02, PROPOSAL)
    streak_dark_hu: float = _rule(-30.0, "proposal: below liquor and its noise")
    streak_bright_hu: float = _rule(110.0, "proposal: above clot")
    streak_share: float = _rule(0.05, TRAINING)
    jump_mm: float = _rule(4.0, TRAINING)
    turn_deg: float = _rule(5.0, TRAINING)
    double_share: float = _rule(0.2, TRAINING)
    open_mm: float = _rule(16.0, "proposal: a burr hole has 14 mm")
    open_height_mm: float = _rule(10.0, PROPOSAL)
    unlike_sd: float = _rule(4.0, PROPOSAL)
    rim_mm: float = _rule(8.0, PROPOSAL)
    rim_share: float = _rule(0.7, PROPOSAL)
    rim_longer: float = _rule(3.0, PROPOSAL)
    liquor_hu: float = _rule(11.0, "proposal: liquor lies 15 to 30 HU below the median of the brain")
    liquor_share: float = _rule(0.4, PROPOSAL)
    deep_mm: float = _rule(25.0, ANATOMY)


RULES: Final = GateRules()


def sources_of_gate_rules() -> dict[str, str]:
    """Where each threshold of GateRules comes from, by its name."""
    return {each.name: each.metadata["source"] for each in fields(GateRules)}
