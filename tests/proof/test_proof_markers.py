"""The proof of the markers in small: a phantom for each, and some without any. In full: ``tests.proof.markers``."""

from dataclasses import replace

import pytest

from ichnode.phantom.markers import MARKERS
from ichnode.phantom.spec import draw_spec
from tests.proof.markers import PHANTOM_NAMES, SIDES, read
from tests.proof.scans import population, scans
from tests.proof.truths import blood_of, gaps_in_slice_mm, lesions_of, places_apart

SEED = 50900  # of those that the rules were tuned on


def scanned(folder, seed, marker=None, tilt_deg=0.0):
    spec = draw_spec(seed, markers=frozenset({marker} - {None}), tilt_deg=tilt_deg, matrix=256)
    (one,) = scans([replace(spec, strength=1.5, distractors=frozenset())], folder)
    return one


@pytest.mark.parametrize("marker", MARKERS)
def test_a_planted_marker_is_read_and_the_side_of_the_bleed(marker, tmp_path):
    one = scanned(tmp_path, SEED + MARKERS.index(marker), marker)

    told, side = read(one)

    assert next(told[name].present for name, other in PHANTOM_NAMES.items() if other == marker) is True
    assert side is SIDES[one.side]


@pytest.mark.parametrize("tilt_deg", [0.0, 15.0, -12.0])
def test_a_plain_bleed_shows_no_marker_whatever_the_gantry_tilt(tilt_deg, tmp_path):
    told, _ = read(scanned(tmp_path, SEED + 20 + int(tilt_deg), tilt_deg=tilt_deg))

    assert [name for name, marker in told.items() if marker.present is not False] == []


def test_pockets_that_were_planted_into_each_other_are_one_place():
    (spec,) = population(50023, 1)
    _, lesions = lesions_of(spec)

    assert len(lesions.truth.markers["heterogeneous"].evidence) == 4
    assert places_apart(blood_of(lesions)) == 2


def test_the_gap_of_a_satellite_is_that_in_its_slice_not_the_one_that_was_planted():
    (spec,) = population(50159, 1)
    head, lesions = lesions_of(spec)
    blood = blood_of(lesions)

    assert [focus.gap_mm for focus in blood.foci] == [1.5]
    assert gaps_in_slice_mm(spec, head, blood) == pytest.approx([1.1], abs=0.1)
