from itertools import pairwise

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss

from ichnode.evaluate.calibration import calibration, calibration_bins
from ichnode.evaluate.logistic import NoFit, fit_level, fit_logistic


def cohort(seed, n=120, *, slope=0.04):
    rng = np.random.default_rng(seed)
    volumes_ml = rng.lognormal(2.5, 0.9, n)
    return rng.random(n) < expit(-1.5 + slope * volumes_ml), volumes_ml


@pytest.mark.parametrize(("seed", "slope"), [(0, 0.04), (1, 0.0), (2, -0.1), (3, 0.4)])
def test_the_volume_model_is_that_of_statsmodels(seed, slope):
    outcomes, volumes_ml = cohort(seed, slope=slope)
    design = sm.add_constant(volumes_ml)
    theirs = sm.Logit(outcomes.astype(float), design).fit(disp=False, tol=1e-12, method="newton", maxiter=100)

    ours = fit_logistic(outcomes, volumes_ml)

    assert (ours.intercept, ours.slope) == pytest.approx(tuple(theirs.params), rel=1e-6)
    assert (ours.intercept_se, ours.slope_se) == pytest.approx(tuple(theirs.bse), rel=1e-5)
    assert (ours.slope_low, ours.slope_high) == pytest.approx(tuple(theirs.conf_int()[1]), rel=1e-5)
    assert ours.log_likelihood == pytest.approx(theirs.llf)
    assert ours.probability(volumes_ml) == pytest.approx(theirs.predict(design))
    assert (ours.n, ours.events) == (120, outcomes.sum())


def test_a_steep_but_overlapping_cohort_still_has_its_maximum():
    volumes_ml = np.array([1, 2, 3, 4, 5, 6, 400, 401.0])
    outcomes = np.array([0, 0, 0, 1, 0, 1, 1, 1])

    fit = fit_logistic(outcomes, volumes_ml)

    score = outcomes - fit.probability(volumes_ml)
    assert (score.sum(), score @ volumes_ml) == pytest.approx((0, 0), abs=1e-6)


@pytest.mark.parametrize(
    ("outcomes", "volumes_ml", "why"),
    [
        ([0, 0, 1, 1], [1, 2, 3, 4], NoFit.SEPARATED),
        ([1, 1, 0, 0], [1, 2, 3, 4], NoFit.SEPARATED),
        ([0, 0, 1, 1], [1, 2, 2, 4], NoFit.SEPARATED),
        ([0, 0, 0, 0], [1, 2, 3, 4], NoFit.ONE_OUTCOME),
        ([], [], NoFit.ONE_OUTCOME),
        ([0, 1, 0, 1], [5, 5, 5, 5], NoFit.CONSTANT),
    ],
)
def test_a_cohort_without_a_maximum_says_why(outcomes, volumes_ml, why):
    assert fit_logistic(outcomes, volumes_ml) is why


@pytest.mark.parametrize(
    ("outcomes", "volumes_ml"),
    [
        ("010111111111", [0.8, 1.0, 1.000000001, 2.4, 5.2, 22.6, 24.4, 90.4, 144.3, 309.7, 1016.4, 22049.9]),
        ("010111111", [0.06, 2.367, 2.3670000001, 14.652, 26.105, 59.019, 65.35, 80.048, 23255.914]),
    ],
)
def test_a_cohort_that_overlaps_by_less_than_can_be_computed_says_so(outcomes, volumes_ml):
    assert fit_logistic([one == "1" for one in outcomes], volumes_ml) is NoFit.UNSTABLE


def test_cases_that_overlap_by_one_pair_are_not_separated():
    assert not isinstance(fit_logistic([0, 1, 0, 1], [1, 2, 3, 4]), NoFit)


def test_slope_and_level_are_those_of_statsmodels():
    outcomes, volumes_ml = cohort(7)
    chances = expit(-1 + 0.08 * volumes_ml)
    log_odds = logit(chances)
    free = sm.GLM(outcomes.astype(float), sm.add_constant(log_odds), family=sm.families.Binomial()).fit()
    held = sm.GLM(
        outcomes.astype(float), np.ones((len(outcomes), 1)), family=sm.families.Binomial(), offset=log_odds
    ).fit()

    seen = calibration(outcomes, chances)

    assert (seen.slope.value, seen.slope.low, seen.slope.high) == pytest.approx(
        (free.params[1], *free.conf_int()[1]), rel=1e-4
    )
    assert (seen.level.value, seen.level.low, seen.level.high) == pytest.approx(
        (held.params[0], *held.conf_int()[0]), rel=1e-4
    )
    assert seen.brier == pytest.approx(brier_score_loss(outcomes, chances))
    assert seen.expected_over_observed == pytest.approx(chances.sum() / outcomes.sum())


def test_intervals_of_chances_that_the_outcomes_were_drawn_from_hold_the_truth_95_times_in_100():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(300):
        chances = rng.uniform(0.05, 0.95, 300)
        seen = calibration(rng.random(300) < chances, chances)
        held.append((seen.slope.low < 1 < seen.slope.high, seen.level.low < 0 < seen.level.high))

    assert np.mean(held, axis=0) == pytest.approx(0.95, abs=0.035)


def test_bins_of_such_chances_lie_on_the_diagonal():
    rng = np.random.default_rng(2)
    chances = rng.uniform(0, 1, 20000)

    for part in calibration_bins(rng.random(20000) < chances, chances):
        assert part.observed.value == pytest.approx(part.predicted, abs=0.025)


def test_chances_that_are_too_extreme_have_a_slope_below_one():
    rng = np.random.default_rng(2)
    truth = rng.normal(0, 1, 2000)

    seen = calibration(rng.random(2000) < expit(truth), expit(2.5 * truth))

    assert seen.slope.value == pytest.approx(0.4, abs=0.06)


def test_certain_chances_count_as_nearly_certain():
    seen = calibration([False, True, True, False, False], [0.0, 1.0, 0.4, 0.6, 0.0])

    assert seen.slope is not None
    assert np.isfinite(seen.slope.value)


def test_what_cannot_be_calibrated_is_undefined_and_the_rest_is_told():
    constant = calibration([False, True, True, True], [0.5] * 4)
    nothing = calibration([False, False], [0.1, 0.3])

    assert constant.slope is None
    assert constant.level.value == pytest.approx(logit(0.75))
    assert (nothing.slope, nothing.level, nothing.expected_over_observed) == (None, None, None)
    assert nothing.brier == pytest.approx((0.01 + 0.09) / 2)
    assert calibration([], []) is None
    assert fit_level([True], [0.0]) is NoFit.ONE_OUTCOME


def test_the_level_of_chances_that_are_wildly_wrong_is_found():
    shift, _ = fit_level([False, True, False, True], [13.0] * 4)

    assert shift == pytest.approx(-13, abs=1e-6)


def test_the_level_of_chances_that_are_all_but_certain_is_found():
    log_odds = np.array([12.9, 13.8, -13.8, -13.8, -13.1, -13.8, 13.8, -13.8, 9.9])
    outcomes = np.arange(9) > 0

    shift, error = fit_level(outcomes, log_odds)

    assert expit(log_odds + shift).sum() == pytest.approx(8)
    assert np.isfinite(error)


def test_bins_hold_every_case_once_and_equal_chances_stay_together():
    chances = np.array([0.1] * 7 + [0.2, 0.3, 0.4, 0.5, 0.9])
    outcomes = np.arange(12) % 3 == 0

    bins = calibration_bins(outcomes, chances, 4)

    assert sum(part.observed.of for part in bins) == 12
    assert sum(part.observed.hits for part in bins) == 4
    assert (bins[0].low, bins[0].high, bins[0].observed.of) == (0.1, 0.1, 7)
    assert all(one.high < other.low for one, other in pairwise(bins))
    assert calibration_bins([], []) == ()


@pytest.mark.parametrize("chance", [-0.1, 1.1])
def test_a_chance_outside_0_to_1_is_refused(chance):
    with pytest.raises(ValueError, match="outside"):
        calibration([True, False], [0.5, chance])
