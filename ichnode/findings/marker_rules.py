"""The one table of thresholds by which markers are read, each with its source."""

from dataclasses import dataclass, field, fields

PROPOSAL = "proposal: no source gives it (design/model.md)"


def _rule(value: float, source: str) -> float:
    made: float = field(default=value, metadata={"source": source})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerRules:
    """Thresholds of the markers of haematoma expansion; ``sources_of_rules`` says where each comes from.

    ``close_mm``: radius by which a mask is closed before its holes are filled, since a segmenter drops dark pockets.
    ``smooth_sd_mm``: in-plane Gaussian. ``slab_mm``: thin slices are averaged to slabs of about this thickness.
    ``dark_hu``: a hypodensity lies this far below the clot's median. ``dark_area_mm2``: and is at least this large.
    ``blend_hu``: the two parts of a blend differ by more. ``blend_share``: of the slice's area that each part has at
    least. ``blend_transition_mm``: within which one passes into the other. ``blend_slice_mm2``: smaller cross-sections
    are not split. ``rim_mm``: edge that partial volume darkens, left out of the split; a dark part narrower than twice
    this is a rim.
    """

    close_mm: float = _rule(3.0, PROPOSAL)
    smooth_sd_mm: float = _rule(1.0, PROPOSAL)
    slab_mm: float = _rule(5.0, "Morotti et al., Stroke 2019;50:e50: the markers were defined on slices of about 5 mm")
    dark_hu: float = _rule(10.0, PROPOSAL)
    dark_area_mm2: float = _rule(9.0, PROPOSAL)
    blend_hu: float = _rule(18.0, "Li et al., Stroke 2015;46:2119: at least 18 HU; Morotti 2019: more than 18 HU")
    blend_share: float = _rule(0.1, PROPOSAL)
    blend_transition_mm: float = _rule(3.0, PROPOSAL)
    blend_slice_mm2: float = _rule(100.0, "proposal: below it a tenth of the area is a dozen voxels")
    rim_mm: float = _rule(2.0, "proposal: half the width of a CT edge in slices of 5 mm")


def sources_of_rules() -> dict[str, str]:
    """Where each threshold of MarkerRules comes from, by its name."""
    return {each.name: each.metadata["source"] for each in fields(MarkerRules)}
