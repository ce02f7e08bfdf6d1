"""The truth about a haematoma: which markers it has by their rules, planted or brought along, and the evidence."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from ichnode.phantom.features import Band, Cut, Pocket
from ichnode.phantom.haematoma import Array, Feature, Focus, Haematoma
from ichnode.phantom.markers import (
    BLACK_HOLE_HU,
    BLEND_HU,
    BLEND_SHARE,
    FOCI,
    HYPODENSITY_HU,
    LEVEL_DEG,
    LEVEL_MM,
    LEVEL_RMS_MM,
    MARKERS,
    MIN_AREA_MM2,
    SATELLITE_GAP_MM,
    SWIRL_HU,
)
from ichnode.phantom.metaballs import STEP, Quadrature
from ichnode.phantom.shapes import DEFECT_MM, defects_mm
from ichnode.phantom.truth import Evidence, LesionTruth, MarkerTruth

BOWED: Final = 2 / (3 * 5**0.5)  # root mean square off a line of a parabola, of its height
TOLD: Final = 5  # convexity defects that are told, deepest first
SIDES: Final = {1: "left", -1: "right", 0: "middle"}


def describe(blood: Haematoma, inside: Quadrature, planted: Mapping[str, float], brain_hu: float) -> LesionTruth:
    """The truth about ``blood``; ``planted`` says each planted marker's strength, ``inside`` is its shape's inside."""
    main_ml = inside.volume(blood.scale_mm, blood.place.room_around)
    free_ml = inside.volume(blood.scale_mm, lambda points: np.ones(len(points), bool))
    defects = [round(depth, 2) for depth in defects_mm(blood.shape, inside, free_ml)[:TOLD] if np.isfinite(depth)]
    evidence: dict[str, list[Evidence]] = {name: [] for name in MARKERS}
    implied: dict[str, set[str]] = {name: set() for name in MARKERS}
    for feature in blood.features:
        told = _evidence(blood, inside, feature)
        for name in _rules(feature, told, brain_hu, blood):
            evidence[name].append(told)
            if name != feature.marker or (name == "fluid_level" and planted.get(name, 1.0) < 1):
                implied[name].add(feature.marker)  # a level's strength is the length wished, its line may be longer
    enclosed = [told for told in evidence["hypodensity"] if told["area_mm2"] >= MIN_AREA_MM2]
    if len(enclosed) >= FOCI:
        evidence["heterogeneous"] = enclosed
        implied["heterogeneous"] |= {feature.marker for feature in blood.features} - {"heterogeneous"}
    for focus in blood.foci:
        told = _focus(blood, focus)
        if focus.gap_mm >= SATELLITE_GAP_MM:
            evidence["satellite"].append(told)
        if len(blood.foci) >= FOCI:
            evidence["island"].append(told)
        if len(blood.foci) > 1:
            evidence["irregular"].append(told)
    if evidence["satellite"]:
        implied["satellite"] |= {focus.marker for focus in blood.foci} - {"satellite"}
    if evidence["irregular"]:
        implied["irregular"] |= {focus.marker for focus in blood.foci}
    deep = [{"kind": "defect", "depth_mm": depth} for depth in defects if depth >= DEFECT_MM]
    if len(deep) + len(evidence["irregular"]) > 1:
        evidence["irregular"] += deep
    return LesionTruth(
        volume_ml=main_ml + sum(focus.volume_ml for focus in blood.foci),
        main_ml=main_ml,
        site=blood.place.site,
        side=SIDES[blood.place.side],
        centre_mm=_rounded(blood.place.centre_mm),
        largest_slice_z_mm=round(float(blood.place.centre_mm[2] + blood.scale_mm * blood.largest_z), 2),
        blood_hu=round(blood.blood_hu, 2),
        brain_hu=round(brain_hu, 2),
        oedema_mm=round(blood.oedema_mm, 2),
        push_mm=round(blood.push_mm, 2),
        defects_mm=tuple(defects),
        markers={
            name: MarkerTruth(
                present=(bool(evidence[name]) and planted.get(name, 1.0) >= 1.0) or bool(implied[name]),
                planted=name in planted,
                strength=planted.get(name),
                implied_by=tuple(sorted(implied[name])),
                evidence=tuple(evidence[name]),
            )
            for name in MARKERS
        },
    )


def _rules(feature: Feature, told: Evidence, brain_hu: float, blood: Haematoma) -> list[str]:
    """The markers that a feature makes by the rules of design/model.md: always its own, and what it brings along."""
    met = {feature.marker}
    drop = feature.lowering_hu
    if told["enclosed"] and drop >= HYPODENSITY_HU:
        met.add("hypodensity")
    if told["enclosed"] and drop > BLACK_HOLE_HU:
        met.add("black_hole")
    if isinstance(feature, Cut):
        met -= {"fluid_level"}  # its line may be too short
        met |= _of_cut(feature, told, blood.scale_mm)
    if blood.blood_hu - drop <= brain_hu + SWIRL_HU:
        met.add("swirl")
    return sorted(met)


def _of_cut(cut: Cut, told: Evidence, scale_mm: float) -> set[str]:
    """Whether a cut is a blend, and whether it is level: a blend with a straight horizontal border is both."""
    met = set()
    if cut.lowering_hu > BLEND_HU and BLEND_SHARE <= told["share"] <= 1 - BLEND_SHARE:
        met.add("blend")
    bowed_mm = BOWED * abs(cut.bow) * (told["line_mm"] / 2) ** 2 / scale_mm
    flat = cut.normal[1] <= -np.cos(np.radians(LEVEL_DEG)) and bowed_mm <= LEVEL_RMS_MM
    if flat and cut.lowering_hu > HYPODENSITY_HU and told["line_mm"] >= LEVEL_MM:
        met.add("fluid_level")
    return met


def _evidence(blood: Haematoma, inside: Quadrature, feature: Feature) -> Evidence:
    told: Evidence = {
        "kind": type(feature).__name__.lower(),
        "planted_as": feature.marker,
        "drop_hu": round(feature.lowering_hu, 2),
        "hu": round(blood.blood_hu - feature.lowering_hu, 2),
        "enclosed": True,
    }
    level = inside.points[(np.abs(inside.points[:, 2] - inside.largest_z) < STEP / 2) & (inside.share > 0.5)]
    within = level[feature.outside(level) < 0]
    told["area_mm2"] = round(len(within) * (STEP * blood.scale_mm) ** 2, 1)
    told["centre_mm"] = _rounded(blood.place.centre_mm + within.mean(axis=0) * blood.scale_mm) if len(within) else None
    match feature:
        case Pocket():
            told["area_mm2"] = round(np.pi * (feature.radius * blood.scale_mm) ** 2, 1)
            told["radius_mm"] = round(feature.radius * blood.scale_mm, 2)
        case Band():
            told["width_mm"] = round(2 * feature.half_width * blood.scale_mm, 2)
            told["enclosed"] = bool(blood.shape.distance(feature.spine(15)).max() * blood.scale_mm < 0)
        case Cut():
            told["enclosed"] = False
            told["share"] = round(len(within) / len(level), 3)
            edge = level[np.abs(feature.outside(level)) < 0.75 * STEP]  # a row of the grid at least
            across = edge @ np.array([-feature.normal[1], feature.normal[0], 0])
            told["line_mm"] = round(float(np.ptp(across)) * blood.scale_mm, 1) if len(edge) else 0.0
            told["towards"] = _rounded(feature.normal)
    return told


def _focus(blood: Haematoma, focus: Focus) -> Evidence:
    return {
        "kind": "focus",
        "centre_mm": _rounded(focus.centre_mm),
        "diameter_mm": round(2 * focus.radius_mm, 2),
        "gap_mm": round(focus.gap_mm, 2),
        "hu": round(blood.blood_hu, 2),
    }


def _rounded(vector: Array) -> tuple[float, float, float]:
    x, y, z = (round(float(value), 2) for value in vector)
    return x, y, z
