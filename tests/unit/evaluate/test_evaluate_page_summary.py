"""What measured cases say together: segmentation, heads without a bleed, predictors of expansion, two sets compared."""

import pytest

from ichnode.domain.markers import Bat
from ichnode.evaluate.cases import Baseline, Excluded
from ichnode.evaluate.compare import compare
from ichnode.evaluate.predictors import expansion_of
from ichnode.evaluate.summary import bleedless_of, segmentation_of

TRAIN = [Baseline(labelled_ml=float(ml), outcome=ml % 3 == 0 or ml > 20) for ml in range(1, 31)]


def test_a_lump_beside_the_bleed_finds_nothing(measured):
    seen = segmentation_of([measured("hit", dice=0.4), measured("beside", dice=0.0, found_ml=20.0)])

    assert (seen.detected.hits, seen.detected.of) == (1, 2)


def test_a_bleed_below_one_ml_may_be_missed(measured):
    seen = segmentation_of([measured("large"), measured("small", labelled_ml=0.9, found_ml=0.0, dice=0.0)])

    assert (seen.detected_from_1ml.hits, seen.detected_from_1ml.of) == (1, 1)
    assert (seen.detected.hits, seen.detected.of) == (1, 2)


def test_volume_errors_are_absolute_and_their_bias_is_not(measured):
    seen = segmentation_of([measured("over", found_ml=22.0), measured("under", found_ml=18.0)])

    assert seen.abs_error_ml.median == pytest.approx(2)
    assert seen.agreement.bias.value == pytest.approx(0)


def test_nothing_found_where_no_brain_was_seen_is_no_clean_head(measured):
    cases = [measured(str(ml), labelled_ml=0, found_ml=ml, flags=("QF_STRIP",)) for ml in (0.0, 0.2)]

    seen = bleedless_of([*cases, measured("clean", labelled_ml=0, found_ml=0.0)])

    assert (seen.clean.hits, seen.clean.of, seen.undetermined) == (1, 3, 1)


def test_heads_without_a_bleed_count_apart(measured):
    cases = [measured("bleeds"), *(measured(str(ml), labelled_ml=0, found_ml=ml) for ml in (0.0, 0.5, 0.6))]

    seen = bleedless_of(cases)

    assert (seen.found_ml.n, seen.clean.hits, seen.alarms) == (3, 1, 1)
    assert segmentation_of(cases).dice.n == 1


def test_without_cases_of_a_kind_there_are_no_figures(measured):
    assert segmentation_of([measured(labelled_ml=0)]) is None
    assert bleedless_of([measured()]) is None
    assert expansion_of([measured()], TRAIN, 0.5) is None


def known(measured):
    """Ten cases; the network is right in all but one, BAT in half."""
    rows = [
        (0.9, True, 4),
        (0.8, True, 1),
        (0.7, True, 4),
        (0.2, True, 1),
        *[(0.1 + i / 50, False, i % 5) for i in range(6)],
    ]
    return [
        measured(f"c{i}", expansion=p, outcome=outcome, labelled_ml=5.0 + i, bat=Bat(low=bat, high=bat))
        for i, (p, outcome, bat) in enumerate(rows)
    ]


def test_network_volume_model_and_bat_stand_side_by_side_and_are_compared_in_pairs(measured):
    seen = expansion_of(known(measured), TRAIN, 0.5)

    assert (seen.known, seen.expanded) == (10, 4)
    assert [one.label for one in seen.predictors] == ["Network", "Volume model", "BAT score"]
    network, volume, bat = seen.predictors
    assert (network.diagnosis.sensitivity.hits, network.diagnosis.specificity.hits) == (3, 6)
    assert network.auc.value == pytest.approx((3 * 6 + 5.5) / 24)
    assert (volume.calibration is None, bat.calibration is None) == (False, True)
    assert [(one.first, one.second, one.n) for one in seen.comparisons] == [
        ("Network", "Volume model", 10),
        ("Network", "BAT score", 10),
        ("Volume model", "BAT score", 10),
    ]


def test_a_case_without_a_score_is_left_out_of_that_predictor_alone_and_it_is_said(measured):
    seen = expansion_of([*known(measured), measured("late", outcome=False, bat=Bat(low=1, high=3))], TRAIN, 0.5)

    assert [one.n for one in seen.predictors] == [11, 11, 10]
    assert [one.n for one in seen.comparisons] == [11, 10, 10]
    assert any("BAT score: 1 of 11 left out, their score is an interval" in note for note in seen.notes)


def test_a_missed_bleed_scores_0_and_counts_against_the_network_but_is_no_probability(measured):
    cases = [*known(measured), measured("missed", outcome=True, expansion=None, found_ml=0.0, dice=0.0)]

    network = expansion_of(cases, TRAIN, 0.5).predictors[0]

    assert (network.n, network.diagnosis.sensitivity.hits, network.diagnosis.sensitivity.of) == (11, 3, 5)
    assert network.auc.value == pytest.approx((3 * 6 + 5.5) / 30)
    assert network.calibration.n == sum(part.observed.of for part in network.bins) == 10
    assert any("nothing was found in 1 of 11; they score 0" in note for note in expansion_of(cases, TRAIN, 0.5).notes)


HAIR = zip([0.06, 2.367, 2.3670000001, 14.652, 26.105, 59.019, 65.35, 80.048, 23255.9, 90.0], "0101111111", strict=True)


@pytest.mark.parametrize(
    ("train", "why"),
    [
        ([], "too few"),
        ([Baseline(labelled_ml=9.0 + i, outcome=True) for i in range(20)], "same outcome"),
        ([Baseline(labelled_ml=ml, outcome=had == "1") for ml, had in HAIR], "but for a hair"),
    ],
)
def test_a_volume_model_that_cannot_be_fitted_is_missing_with_its_reason(measured, train, why):
    seen = expansion_of(known(measured), train, 0.5)

    assert [one.label for one in seen.predictors] == ["Network", "BAT score"]
    assert any("No volume model" in note and why in note for note in seen.notes)


def test_one_outcome_alone_leaves_areas_undefined(measured):
    seen = expansion_of([measured(outcome=True, expansion=0.9)], TRAIN, 0.5)

    assert [one.auc for one in seen.predictors] == [None, None, None]
    assert seen.comparisons == ()
    assert seen.predictors[0].diagnosis.specificity is None


def test_two_sets_are_compared_on_the_cases_that_both_measured(measured):
    first = [measured(str(i), dice=0.8, found_ml=21.0) for i in range(8)] + [Excluded(name="x", reason="")]
    second = [measured(str(i), dice=0.85, found_ml=24.0) for i in range(7)] + [measured("x"), measured("7", dice=0.8)]

    rows = {row.label: row for row in compare(first, second)}

    assert set(rows) == {"Dice", "volume error", "HD95"}
    assert (rows["Dice"].n, rows["Dice"].first_wins, rows["Dice"].second_wins) == (8, 0, 7)
    assert rows["Dice"].difference == pytest.approx(0.05)
    assert rows["Dice"].p == pytest.approx(0.0156, abs=2e-3)  # 7 of one sign: 2 / 2^7
    assert (rows["volume error"].first_wins, rows["volume error"].second_wins) == (7, 0)
    assert rows["HD95"].p is None  # no case differs
