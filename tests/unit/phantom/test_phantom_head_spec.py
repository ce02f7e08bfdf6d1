"""Specifications: what may be asked for, and a population in which expansion follows what can be seen."""

from dataclasses import replace

import numpy as np
import pytest

from ichnode.domain.errors import ConfigError
from ichnode.findings.expansion import expanded
from ichnode.phantom.distractors import DISTRACTORS
from ichnode.phantom.markers import MARKERS
from ichnode.phantom.population import members
from ichnode.phantom.spec import PhantomSpec, draw_spec, expansion_probability, growth_ml
from ichnode.phantom.vendors import VENDORS


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"markers": frozenset({"spot"}), "volume_ml": 9.0}, "marker 'spot'"),
        ({"distractors": frozenset({"tumour"})}, "distractor 'tumour'"),
        ({"vendor": "Acme"}, "vendor 'Acme'"),
        ({"thickness_mm": 0.1}, "thickness of 0.1"),
        ({"tilt_deg": 45.0}, "tilt of 45"),
        ({"markers": frozenset({"blend"})}, "without a bleed"),
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(wrong, why):
    with pytest.raises(ConfigError, match=why) as caught:
        PhantomSpec(seed=1, **wrong)
    assert caught.value.hint


def test_options_of_the_scan_change_nothing_of_head_and_bleed():
    for seed in range(40):
        straight = draw_spec(seed, followup=True)
        tilted = draw_spec(seed, followup=True, tilt_deg=18, unequal=True, thickness_mm=2.5)

        assert replace(tilted, tilt_deg=0.0, unequal=False, thickness_mm=5.0) == straight


def test_fewer_vendors_change_nothing_but_the_vendor():
    for seed in range(50):
        drawn = draw_spec(seed, followup=True, craniotomy_share=0.3)
        chosen = draw_spec(seed, followup=True, craniotomy_share=0.3, vendors=("Philips",))

        assert chosen == replace(drawn, vendor="Philips")


def test_no_vendor_at_all_is_refused():
    with pytest.raises(ConfigError, match="No vendor") as caught:
        draw_spec(1, vendors=())
    assert "Philips" in caught.value.hint


def test_a_vendor_that_is_not_known_is_refused_even_if_another_is_drawn():
    for seed in range(8):
        with pytest.raises(ConfigError, match="vendor 'Acme'"):
            draw_spec(seed, vendors=("GE", "Acme"))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["bleed_share", "craniotomy_share"])
def test_what_is_no_share_is_refused(name, share):
    with pytest.raises(ConfigError, match="share"):
        draw_spec(1, **{name: share})


def test_the_population_is_varied():
    specs = [draw_spec(seed, bleed_share=0.8) for seed in range(400)]
    bleeds = [spec for spec in specs if spec.volume_ml is not None]

    assert 0.72 < len(bleeds) / len(specs) < 0.88
    assert {marker for spec in bleeds for marker in spec.markers} == set(MARKERS)
    assert {name for spec in specs for name in spec.distractors} == set(DISTRACTORS)
    assert {spec.vendor for spec in specs} == set(VENDORS)
    assert 5 < np.median([spec.volume_ml for spec in bleeds]) < 25
    assert 0.25 < np.mean([spec.expanded for spec in bleeds]) < 0.65


def test_expansion_can_be_told_from_what_a_phantom_shows():
    """The best that any network can reach is the AUC of the rule itself: it leaves room far above 0.85."""
    bleeds = [draw_spec(seed) for seed in range(800)]
    chance = np.array([expansion_probability(spec.markers, spec.volume_ml, spec.onset_h) for spec in bleeds])
    grown = np.array([spec.expanded for spec in bleeds])

    above = chance[grown][:, None] - chance[~grown][None, :]
    auc = np.mean((above > 0) + 0.5 * (above == 0))

    assert auc > 0.93
    assert np.mean(grown) == pytest.approx(chance.mean(), abs=0.05)


@pytest.mark.parametrize("volume_ml", [1.0, 6.0, 18.0, 40.0, 80.0])
@pytest.mark.parametrize("amount", [0.0, 1.0])
def test_growth_lies_well_on_its_side_of_the_definition(volume_ml, amount):
    assert expanded(volume_ml, volume_ml + 0.8 * growth_ml(volume_ml, True, amount))
    assert not expanded(volume_ml, volume_ml + 1.5 * growth_ml(volume_ml, False, amount))


def test_splits_get_their_shares_of_any_stretch_of_seeds():
    group = members([PhantomSpec(seed=seed) for seed in range(20)], {"train": 0.75, "val": 0.25})

    assert [one.split for one in group].count("val") == 5
    assert [one.split for one in group[:8]].count("val") == 2
    assert len({one.name for one in group}) == 20
    with pytest.raises(ConfigError, match="no split 'dev'"):
        members([], {"dev": 1.0})


@pytest.mark.parametrize("share", [0.0, -0.5, float("nan"), float("inf"), float("-inf")])
def test_shares_that_are_none_are_refused(share):
    with pytest.raises(ConfigError, match="positive numbers"):
        members([], {"train": share})
    if share:
        with pytest.raises(ConfigError, match="positive numbers"):
            members([], {"val": 1.0, "train": share})


def test_markers_that_the_bleed_has_no_room_for_are_refused_not_left_out():
    with pytest.raises(ConfigError, match="no room for swirl"):
        draw_spec(3, markers=frozenset({"swirl"}), volume_ml=2.0)


def test_without_a_volume_one_is_taken_that_all_wanted_markers_fit_in():
    for seed in range(20):
        spec = draw_spec(seed, markers=frozenset({"swirl", "heterogeneous", "satellite"}))
        assert spec.markers == {"swirl", "heterogeneous", "satellite"}
