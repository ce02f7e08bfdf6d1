"""Lesions of phantoms: what they promise of volume, place, markers and follow-up, over a head of two ellipsoids."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from ichnode.domain.errors import ConfigError
from ichnode.domain.geometry import Geometry
from ichnode.findings.markers import blend, hypodensity
from ichnode.findings.sections import clot_of
from ichnode.phantom.bleed import make_lesions
from ichnode.phantom.describe import describe
from ichnode.phantom.distractors import DISTRACTORS
from ichnode.phantom.features import Cut
from ichnode.phantom.growth import grow
from ichnode.phantom.markers import MARKERS, MIN_VOLUME_ML, fitting
from ichnode.phantom.metaballs import quadrature
from ichnode.phantom.sites import SITES

BRAIN_HU, FLUID_HU = 30.0, 6.0


class EggHead:
    """A brain of one ellipsoid with two ventricles, and bone around it."""

    def brain_at(self, points):
        return ((points / np.float32([66, 82, 62])) ** 2).sum(axis=-1) < 1

    def ventricle_at(self, points):
        x, y, z = np.abs(points[..., 0]) - 10, points[..., 1], points[..., 2] - 12
        return (x / 6) ** 2 + (y / 40) ** 2 + (z / 10) ** 2 < 1

    def hu_at(self, points):
        inside = np.where(self.ventricle_at(points), FLUID_HU, BRAIN_HU)
        return np.where(self.brain_at(points), inside, 1000).astype(np.float32)


HEAD = EggHead()


def made(seed=1, volume_ml=20.0, markers=(), **options):
    rng = np.random.default_rng(seed)
    return make_lesions(rng, HEAD, volume_ml=volume_ml, markers=frozenset(markers), **options)


def grid(box_mm, step_mm):
    axes = [np.arange(low + step_mm / 2, high, step_mm, dtype=np.float32) for low, high in box_mm.T]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def around(lesions, margin_mm=3.0):
    blood = lesions.lesions[-1]
    reach = blood.scale_mm * blood.shape.reach + margin_mm
    box = np.array([blood.place.centre_mm - reach, blood.place.centre_mm + reach])
    for focus in blood.foci:
        box[0] = np.minimum(box[0], focus.centre_mm - focus.radius_mm - margin_mm)
        box[1] = np.maximum(box[1], focus.centre_mm + focus.radius_mm + margin_mm)
    return box


def counted_ml(lesions, step_mm=0.8):
    points = grid(around(lesions), step_mm)
    return float(lesions.lesions[-1].blood_at(points).sum() * step_mm**3 / 1000)


def scanned(lesions, seed=0, thickness_mm=5.0, pixel_mm=0.6, parts=3):
    """The clot as a scanner would show it: (mask, HU, geometry), with partial volume, blur and coloured noise."""
    blood, rng = lesions.lesions[-1], np.random.default_rng(seed)
    (x0, y0, z0), (x1, y1, z1) = around(lesions)
    columns, rows = np.arange(x0, x1, pixel_mm), np.arange(y0, y1, pixel_mm)
    levels = np.arange(z0 + rng.uniform(0, thickness_mm), z1, thickness_mm)
    offsets = ((np.arange(parts) + 0.5) / parts - 0.5) * thickness_mm
    z, y, x = np.meshgrid((levels[:, None] + offsets).ravel(), rows, columns, indexing="ij")
    points = np.stack([x, y, z], axis=-1).astype(np.float32)
    hu = blood.paint(points, HEAD.hu_at(blood.displace(points)))
    shape = (len(levels), parts, len(rows), len(columns))
    hu, share = hu.reshape(shape).mean(axis=1), blood.blood_at(points).reshape(shape).mean(axis=1)
    noise = ndimage.gaussian_filter(rng.normal(size=hu.shape), (0, 1, 1))
    hu = ndimage.gaussian_filter(hu, (0, 1, 1)) + 3.5 * noise / noise.std()
    origins = np.stack([np.full(len(levels), x0), np.full(len(levels), y0), levels], axis=1)
    geometry = Geometry(
        origins_mm=origins,
        row_cosine=np.array([1.0, 0, 0]),
        column_cosine=np.array([0, 1.0, 0]),
        row_spacing_mm=pixel_mm,
        column_spacing_mm=pixel_mm,
        rows=len(rows),
        columns=len(columns),
    )
    return share >= 0.5, np.round(hu).astype(np.int16), geometry


@pytest.mark.parametrize(
    ("volume_ml", "site", "markers"),
    [
        (0.5, "pons", ()),
        (3.0, "thalamus", ("satellite",)),
        (12.0, "cerebellum", ("irregular",)),
        (30.0, "putamen", ("blend", "island")),
        (90.0, "frontal", ()),
    ],
)
def test_the_volume_is_the_one_that_was_set(volume_ml, site, markers):
    lesions = made(2, volume_ml, markers, site=site)

    assert lesions.truth.volume_ml == pytest.approx(volume_ml, rel=0.002)
    assert counted_ml(lesions, 0.3 if volume_ml < 5 else 0.8) == pytest.approx(volume_ml, rel=0.006)


@pytest.mark.parametrize("site", sorted(SITES))
def test_a_large_bleed_fills_the_brain_up_to_the_skull_and_never_leaves_it(site):
    volume_ml = min(80.0, SITES[site].largest_ml)
    lesions = made(3, volume_ml, site=site)
    points = grid(around(lesions), 1.0)

    blood = lesions.lesions[-1].blood_at(points)

    assert lesions.truth.site == site
    assert HEAD.brain_at(points[blood]).all()
    assert (lesions.lesions[-1].paint(points, HEAD.hu_at(points))[~HEAD.brain_at(points)] == 1000).all()


def test_the_same_seed_makes_the_same_lesions_and_another_seed_others():
    options = {"markers": ("swirl", "satellite"), "distractors": frozenset(DISTRACTORS)}
    first, again, other = made(5, 25, **options), made(5, 25, **options), made(6, 25, **options)
    points = grid(around(first), 2.0)
    painted = [lesions.lesions[-1].paint(points, HEAD.hu_at(points)).tobytes() for lesions in (first, again, other)]

    assert first.truth.as_dict() == again.truth.as_dict() != other.truth.as_dict()
    assert painted[0] == painted[1] != painted[2]


def test_blood_is_as_dense_as_blood_and_its_surroundings_are_darker_than_brain():
    lesions = made(7, 30)
    blood = lesions.lesions[-1]
    points = grid(around(lesions, 10), 1.0)
    painted, distance = blood.paint(points, np.full(points.shape[:-1], BRAIN_HU, np.float32)), blood.distance_mm(points)
    inside, rim = HEAD.brain_at(points) & (distance < -4), (distance > 1) & (distance < 2)

    assert 55 < np.median(painted[inside]) < 77
    assert painted[inside].std() < 4
    assert np.median(painted[rim]) < BRAIN_HU - 1
    assert np.abs(painted[distance > 2 * blood.oedema_mm + 2] - BRAIN_HU).max() == 0


def test_the_brain_is_pushed_away_near_the_bleed_but_not_far_from_it_nor_outside():
    lesions = made(8, 40, site="putamen")
    blood = lesions.lesions[-1]
    points = grid(blood.box_mm + np.float32([[-5], [5]]), 3.0)
    way = np.linalg.norm(blood.displace(points) - points, axis=-1)
    distance, inside = blood.distance_mm(points), HEAD.brain_at(points)

    assert way[inside & (np.abs(distance) < 2)].min() > 0.8 * lesions.truth.push_mm > 2
    assert way.max() <= lesions.truth.push_mm + 1e-3
    assert not way[distance > 46].any()
    assert not way[~inside].any()


def test_outside_of_its_box_a_bleed_changes_nothing():
    lesions = made(9, 10, ("satellite",), distractors=frozenset(DISTRACTORS))
    points = grid(np.array([[-80, -95, -75], [80, 95, 75]]), 4.0)
    hu = HEAD.hu_at(points)
    for lesion in lesions.lesions:
        low, high = lesion.box_mm
        outside = ~((points >= low) & (points <= high)).all(axis=-1)
        assert np.array_equal(lesion.paint(points, hu)[outside], hu[outside])
        assert np.array_equal(lesion.displace(points)[outside], points[outside])
        assert not lesion.blood_at(points)[outside].any()


def test_a_bleed_without_markers_is_free_of_them():
    for seed in range(3):
        lesions = made(20 + seed, 18)
        mask, hu, geometry = scanned(lesions, seed)

        assert not any(marker.present for marker in lesions.truth.markers.values())
        assert max(lesions.truth.defects_mm) < 2
        assert ndimage.label(lesions.lesions[-1].blood_at(grid(around(lesions), 0.9)))[1] == 1
        assert hypodensity(clot_of(mask, hu, geometry)).present is False
        assert blend(clot_of(mask, hu, geometry)).present is False


@pytest.mark.parametrize("marker", MARKERS)
def test_a_planted_marker_is_in_the_truth_with_its_evidence(marker):
    lesions = made(31, 1.5 * MIN_VOLUME_ML[marker], (marker,), strength=1.5)

    told = lesions.truth.markers[marker]

    assert (told.planted, told.present, told.strength) == (True, True, 1.5)
    assert told.evidence
    json.dumps(lesions.truth.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("marker", "read"), [("hypodensity", hypodensity), ("black_hole", hypodensity), ("blend", blend)]
)
def test_the_findings_see_what_was_planted(marker, read):
    for seed in range(2):
        lesions = made(40 + seed, 22, (marker,), strength=2.0)
        mask, hu, geometry = scanned(lesions, seed)
        x, y, z = lesions.truth.markers[marker].evidence[0]["centre_mm"]

        seen = read(clot_of(mask, hu, geometry))

        assert seen.present, seen.reason
        assert min(np.hypot(focus.position_mm[0] - x, focus.position_mm[1] - y) for focus in seen.foci) < 3
        assert min(abs(focus.position_mm[2] - z) for focus in seen.foci) < 5


def test_a_pocket_is_darker_than_the_clot_by_its_strength():
    lesions = made(50, 30, ("black_hole",), strength=1.25)
    (told,) = lesions.truth.markers["black_hole"].evidence
    at = np.float32([told["centre_mm"]])
    blood = lesions.lesions[-1]

    painted = float(blood.paint(at, np.float32([BRAIN_HU]))[0])

    assert told["drop_hu"] == pytest.approx(35)
    assert painted == pytest.approx(blood.blood_hu - 35, abs=3 * blood.texture_hu)
    assert blood.blood_at(at).all()


def test_markers_bring_others_along_by_their_rules():
    truth = made(51, 30, ("black_hole", "island"), strength=1.4).truth

    assert truth.markers["hypodensity"].implied_by == ("black_hole",)
    assert truth.markers["satellite"].implied_by == ("island",)
    assert truth.markers["irregular"].present
    assert not truth.markers["blend"].present
    assert made(51, 30, ("fluid_level",)).truth.markers["blend"].implied_by == ("fluid_level",)


@pytest.mark.parametrize("strength", [1.0, 1.6])
def test_an_irregular_bleed_has_two_defects_of_the_set_depth(strength):
    truth = made(52, 25, ("irregular",), strength=strength).truth

    assert truth.defects_mm[1] == pytest.approx(3.0 * strength, rel=0.08)


def test_a_satellite_keeps_its_gap_and_islands_are_separate():
    lesions = made(53, 20, ("island", "satellite"), strength=2.0)
    labels, count = ndimage.label(lesions.lesions[-1].blood_at(grid(around(lesions), 0.6)), np.ones((3, 3, 3)))

    assert count == 1 + 6 + 1
    assert np.bincount(labels.ravel())[1:].max() * 0.6**3 / 1000 == pytest.approx(lesions.truth.main_ml, rel=0.02)
    for told in lesions.truth.markers["satellite"].evidence:
        assert told["gap_mm"] >= 2
        assert told["diameter_mm"] < 10


def test_a_fluid_level_is_horizontal_with_the_dark_above():
    lesions = made(54, 25, ("fluid_level",), strength=1.5)
    (told,) = lesions.truth.markers["fluid_level"].evidence
    mask, hu, geometry = scanned(lesions)
    middle = int(np.argmin(np.abs(geometry.positions_mm - lesions.truth.largest_slice_z_mm)))
    level, inside = hu[middle], ndimage.binary_erosion(mask[middle], iterations=5)
    rows = np.flatnonzero(inside.any(axis=1))
    by_row = np.array([level[row][inside[row]].mean() for row in rows])

    assert told["towards"] == (0.0, -1.0, 0.0)
    assert told["line_mm"] > 10
    assert by_row[-5:].mean() - by_row[:5].mean() > 15


@pytest.mark.parametrize(
    ("turned_deg", "bow", "share", "told_as"),
    [
        (0, 0.0, 0.5, {"blend", "fluid_level"}),
        (7, 0.0, 0.5, {"blend", "fluid_level"}),
        (14, 0.0, 0.5, {"blend"}),
        (180, 0.0, 0.5, {"blend"}),
        (0, 0.6, 0.5, {"blend"}),
        (0, 0.0, 0.03, {"fluid_level"}),
        (0, 0.0, 0.001, set()),
    ],
)
def test_a_cut_is_what_its_border_makes_it_whatever_it_was_planted_as(turned_deg, bow, share, told_as):
    lesions = made(54, 40)
    blood = lesions.lesions[-1]
    inside = quadrature(blood.shape)
    turn = np.radians(turned_deg)
    normal = np.float32([np.sin(turn), -np.cos(turn), 0])
    level = inside.points[(np.abs(inside.points[:, 2] - blood.largest_z) < 0.04) & (inside.share > 0.5)]
    along = level @ np.float32([normal[1], -normal[0], 0])
    offset = float(np.quantile(level @ normal - bow * along**2, 1 - share))
    cut = Cut(marker="fluid_level", lowering_hu=27.0, normal=normal, offset=offset, bow=bow)

    truth = describe(replace(blood, features=(cut,)), inside, {}, BRAIN_HU)

    assert {name for name in ("blend", "fluid_level") if truth.markers[name].present} == told_as


def test_a_short_level_is_one_when_its_line_is_long_enough_nevertheless():
    truth = made(54, 25, ("fluid_level",), strength=0.5).truth

    (told,) = truth.markers["fluid_level"].evidence
    assert told["line_mm"] >= 10
    assert truth.markers["fluid_level"].present


@pytest.mark.parametrize("growth_ml", [8.0, 2.0, -3.0])
def test_the_follow_up_is_larger_by_what_was_set_and_keeps_its_markers(growth_ml):
    before = made(60, 20, ("black_hole", "satellite"), site="putamen")
    after = grow(before, HEAD, growth_ml=growth_ml)

    assert after.truth.volume_ml - before.truth.volume_ml == pytest.approx(growth_ml, abs=0.05)
    assert counted_ml(after) == pytest.approx(20 + growth_ml, rel=0.006)
    assert {name for name, m in after.truth.markers.items() if m.present} == {
        name for name, m in before.truth.markers.items() if m.present
    }
    assert after.truth.site == before.truth.site


def test_a_grown_bleed_covers_where_it_was():
    before = made(61, 15, site="thalamus")
    after = grow(before, HEAD, growth_ml=8)
    points = grid(around(after), 1.0)

    was, is_now = (lesions.lesions[-1].blood_at(points) for lesions in (before, after))

    assert (is_now[was]).mean() > 0.995


@pytest.mark.parametrize("name", DISTRACTORS)
def test_a_distractor_is_seen_but_is_no_blood_of_the_brain(name):
    lesions = made(70, None, distractors=frozenset({name}))
    (lesion,) = lesions.lesions
    points = grid(lesion.box_mm, 1.5)
    hu = HEAD.hu_at(points)

    changed = lesion.paint(points, hu) - hu

    assert (np.abs(changed) > 10).sum() > 10
    assert not lesion.blood_at(points).any()
    assert lesions.truth.volume_ml == 0
    assert lesions.truth.distractors[name]
    assert not np.any(changed[~HEAD.brain_at(points)]) or name == "calcification"


def test_blood_in_the_ventricles_lies_behind_and_follows_the_pushed_ventricle():
    lesions = made(71, 40, site="putamen", distractors=frozenset({"intraventricular"}))
    inside, blood = lesions.lesions
    points = grid(inside.box_mm, 1.5)

    hu = HEAD.hu_at(blood.displace(points))
    filled = inside.paint(points, hu) > hu + 20

    assert filled.any()
    assert (hu[filled] == FLUID_HU).all()
    assert blood.displace(points)[filled][:, 1].min() > inside.level_mm


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"markers": ("whirl",)}, "whirl"),
        ({"distractors": frozenset({"tumour"})}, "tumour"),
        ({"site": "liver"}, "liver"),
        ({"volume_ml": None, "markers": ("blend",)}, "without a bleed"),
        ({"volume_ml": 900.0}, "900"),
        ({"volume_ml": 1.0, "markers": ("swirl",)}, "too small for swirl"),
        ({"markers": ("blend", "fluid_level")}, "exclude"),
        ({"volume_ml": 3.1, "markers": ("irregular",), "strength": 6.0}, "too small for two defects"),
        ({"volume_ml": 8.0, "markers": ("swirl", "black_hole", "hypodensity", "blend")}, "no room"),
    ],
)
def test_what_cannot_be_made_is_refused_with_a_hint(options, words):
    with pytest.raises(ConfigError, match=words) as refused:
        made(80, **options)

    assert refused.value.hint


def test_a_head_without_a_bleed_cannot_grow_one():
    with pytest.raises(ConfigError, match="no haematoma"):
        grow(made(81, None), HEAD, growth_ml=3)


def test_fitting_keeps_the_markers_that_share_the_clot():
    everything = frozenset(MARKERS)

    assert fitting(everything, 0.5) == frozenset()
    assert fitting(everything, 8) == {"hypodensity", "blend"}
    assert not fitting(everything, 150) >= {"blend", "fluid_level"}
    for seed, volume_ml in enumerate((9, 30)):
        markers = fitting(everything - {"heterogeneous"}, volume_ml)
        assert made(90 + seed, volume_ml, markers).truth.volume_ml == pytest.approx(volume_ml, rel=0.002)
