"""The one table of thresholds by which markers are read, each with its source."""

from dataclasses import dataclass, field, fields

PROPOSAL = "proposal: no source gives it (design/model.md)"
MOROTTI = "Morotti et al., Stroke 2019;50:e50"


def _rule(value: float, source: str) -> float:
    made: float = field(default=value, metadata={"source": source})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerRules:
    """Thresholds of the markers of haematoma expansion; ``sources_of_rules`` says where each comes from.

    ``close_mm``: radius by which a mask is closed before its holes are filled, since a segmenter drops dark pockets.
    ``smooth_sd_mm``: in-plane Gaussian. ``slab_mm``: thin slices are averaged to slabs of about this thickness.
    ``rim_mm``: edge that partial volume darkens.

    ``dark_hu``: a hypodensity is darker than the clot around it by so much. ``dark_area_mm2``: and is at least this
    large, measured half-way down. ``wall_hu``: a wall between two of them, or one and the edge, is brighter by so much.
    ``ring_mm``: width of the ring of clot that a dark place is compared with. ``black_hole_hu``: a black hole is darker
    than its ring by more. ``swirl_hu``: a swirl is not denser than brain by more. ``foci``: so many hypodensities on
    one slice are heterogeneous density. ``large_share``: a slice with this share of the largest area is as large.

    ``blend_hu``: the two parts of a blend differ by more. ``blend_share``: of the slice's area that each part has at
    least. ``blend_width_mm``: a narrower dark part is none. ``blend_transition_mm``: within which one passes into the
    other. ``blend_slice_mm2``: smaller cross-sections are not split.

    ``level_hu``: blood above and below a fluid level differ by more. ``level_width_mm``: a thinner dark part is none.
    ``level_deg``: off the horizontal at most. ``level_mm``: length at least. ``level_rms_mm``: the border lies off a
    straight line by no more, root mean square.

    ``defect_mm``: depth from which a bay of the outline counts. ``irregularities``: bays and separate foci of an
    irregular shape. ``small_mm``: largest diameter of a satellite is less. ``near_mm``, ``far_mm``: its distance.
    ``speck_mm2``: a smaller separate place is no haematoma. ``islands``, ``joined_islands``: of an island sign.
    ``island_mm``: largest diameter of a small haematoma of an island sign. ``bud_mm``: half the width of the neck or
    sprout that a joined one has at most.
    """

    close_mm: float = _rule(3.0, PROPOSAL)
    smooth_sd_mm: float = _rule(1.0, PROPOSAL)
    slab_mm: float = _rule(5.0, f"{MOROTTI}: the markers were defined on slices of about 5 mm")
    rim_mm: float = _rule(2.0, "proposal: half the width of a CT edge in slices of 5 mm")
    dark_hu: float = _rule(10.0, PROPOSAL)
    dark_area_mm2: float = _rule(9.0, PROPOSAL)
    wall_hu: float = _rule(5.0, "proposal: half of what makes a hypodensity, and twice the noise of a smoothed slice")
    ring_mm: float = _rule(3.0, PROPOSAL)
    black_hole_hu: float = _rule(28.0, "Li et al., Stroke 2016;47:1777: at least 28 HU; Morotti 2019: more than 28 HU")
    swirl_hu: float = _rule(3.0, f"{PROPOSAL}; Selariu et al., Acta Neurol Scand 2012: iso- or hypodense")
    foci: float = _rule(3, "Barras et al., Stroke 2009;40:1325, category 3; Morotti 2019")
    large_share: float = _rule(0.9, "proposal: which of two nearly equal slices is the largest, noise decides")
    blend_hu: float = _rule(18.0, "Li et al., Stroke 2015;46:2119: at least 18 HU; Morotti 2019: more than 18 HU")
    blend_share: float = _rule(0.1, PROPOSAL)
    blend_width_mm: float = _rule(5.0, "proposal: a narrower dark part is a streak, which is a swirl")
    blend_transition_mm: float = _rule(3.0, PROPOSAL)
    blend_slice_mm2: float = _rule(100.0, "proposal: below it a tenth of the area is a dozen voxels")
    level_hu: float = _rule(10.0, "proposal: as a hypodensity differs from the clot")
    level_width_mm: float = _rule(3.0, "proposal: wider than the rim that partial volume darkens")
    level_deg: float = _rule(10.0, PROPOSAL)
    level_mm: float = _rule(10.0, PROPOSAL)
    level_rms_mm: float = _rule(0.7, "proposal: 1.5 pixels of 0.47 mm")
    defect_mm: float = _rule(3.0, PROPOSAL)
    irregularities: float = _rule(2, "Barras et al., Stroke 2009;40:1325, category 3; Morotti 2019")
    small_mm: float = _rule(10.0, "Shimoda et al., Stroke 2017: largest diameter below 10 mm")
    near_mm: float = _rule(1.0, "Shimoda et al., Stroke 2017: 1 to 20 mm from the main haematoma")
    far_mm: float = _rule(20.0, "Shimoda et al., Stroke 2017: 1 to 20 mm from the main haematoma")
    speck_mm2: float = _rule(4.0, "proposal: a fleck of label of 2 mm a side")
    islands: float = _rule(3, "Li et al., Stroke 2017;48:3019: 3 or more, all separate")
    joined_islands: float = _rule(4, "Li et al., Stroke 2017;48:3019: 4 or more, some or all joined")
    island_mm: float = _rule(20.0, "proposal: small beside a haematoma; no source gives a size")
    bud_mm: float = _rule(3.0, "proposal: as deep as a bay of the outline that counts")


def sources_of_rules() -> dict[str, str]:
    """Where each threshold of MarkerRules comes from, by its name."""
    return {each.name: each.metadata["source"] for each in fields(MarkerRules)}
