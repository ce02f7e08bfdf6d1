import pytest
from statsmodels.stats.proportion import proportion_confint

from ichnode.evaluate.proportions import Confusion, confusion, diagnosis, proportion


@pytest.mark.parametrize(("hits", "of"), [(0, 1), (0, 13), (1, 13), (7, 13), (13, 13), (74, 266), (999, 1000)])
def test_the_interval_is_that_of_statsmodels(hits, of):
    low, high = proportion_confint(hits, of, alpha=0.05, method="wilson")

    seen = proportion(hits, of)

    assert (seen.value, seen.low, seen.high) == pytest.approx((hits / of, low, high), abs=1e-12)
    assert 0 <= seen.low <= seen.value <= seen.high <= 1


def test_the_interval_of_none_begins_at_0_and_that_of_all_ends_at_1_exactly():
    for of in range(1, 60):
        assert (proportion(0, of).low, proportion(of, of).high) == (0.0, 1.0)


def test_newcombes_published_wilson_interval_is_met():
    """81 of 263: 0.2553 to 0.3662, Newcombe, Stat Med 1998;17:857, table I."""
    seen = proportion(81, 263)

    assert (round(seen.low, 4), round(seen.high, 4)) == (0.2553, 0.3662)


def test_none_of_none_is_undefined():
    assert proportion(0, 0) is None


@pytest.mark.parametrize(("hits", "of"), [(2, 1), (-1, 3)])
def test_impossible_counts_are_refused(hits, of):
    with pytest.raises(ValueError, match="no proportion"):
        proportion(hits, of)


def test_the_four_cells_are_counted():
    outcomes = [True, True, True, False, False, False, False]
    positive = [True, True, False, True, False, False, False]

    assert confusion(outcomes, positive) == Confusion(tp=2, fp=1, fn=1, tn=3)


def test_likelihood_ratios_are_given_plain_and_weighted_by_prevalence():
    seen = diagnosis(Confusion(tp=50, fp=40, fn=24, tn=152))
    prevalence, sens, spec = 74 / 266, 50 / 74, 152 / 192

    assert seen.prevalence.value == pytest.approx(prevalence)
    assert (seen.sensitivity.value, seen.specificity.value) == pytest.approx((sens, spec))
    assert (seen.ppv.value, seen.npv.value) == pytest.approx((50 / 90, 152 / 176))
    assert (seen.lr_positive, seen.lr_negative) == pytest.approx((sens / (1 - spec), (1 - sens) / spec))
    assert seen.lr_positive_weighted == pytest.approx(prevalence * sens / ((1 - prevalence) * (1 - spec)))
    assert seen.lr_negative_weighted == pytest.approx(prevalence * (1 - sens) / ((1 - prevalence) * spec))


def test_without_false_positives_the_positive_ratios_are_undefined():
    seen = diagnosis(Confusion(tp=3, fp=0, fn=1, tn=4))

    assert (seen.lr_positive, seen.lr_positive_weighted) == (None, None)
    assert seen.lr_negative == pytest.approx(0.25)


def test_without_true_negatives_the_negative_ratios_are_undefined():
    seen = diagnosis(Confusion(tp=3, fp=4, fn=1, tn=0))

    assert (seen.lr_negative, seen.lr_negative_weighted) == (None, None)
    assert seen.lr_positive == pytest.approx(0.75)


def test_a_cohort_of_one_outcome_has_no_ratios_and_no_sensitivity():
    seen = diagnosis(Confusion(tp=0, fp=2, fn=0, tn=5))

    assert seen.sensitivity is None
    assert {seen.lr_positive, seen.lr_negative, seen.lr_positive_weighted, seen.lr_negative_weighted} == {None}


def test_no_cases_at_all_leave_everything_undefined():
    seen = diagnosis(Confusion(tp=0, fp=0, fn=0, tn=0))

    assert {seen.prevalence, seen.sensitivity, seen.specificity, seen.ppv, seen.npv, seen.lr_positive} == {None}


@pytest.mark.parametrize("outcomes", [[True, None], [0, 2], ["yes", "no"]])
def test_an_outcome_that_is_neither_yes_nor_no_is_refused(outcomes):
    with pytest.raises(ValueError, match="neither yes nor no"):
        confusion(outcomes, [True, False])
