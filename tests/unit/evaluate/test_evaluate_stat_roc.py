import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_curve

from ichnode.evaluate.roc import auc, compare_aucs, roc_curve, youden

# 43 patients of DeLong et al. 1988 as SAS prints them: albumin, total protein, K-G score, surgery was of use (SAS/STAT
# User's Guide, PROC LOGISTIC, "Comparing Receiver Operating Characteristic Curves").
DELONG = np.fromstring(
    """3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1
    3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0
    2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1
    3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0
    3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1
    3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1""",
    sep=" ",
).reshape(43, 4)
ALBUMIN, PROTEIN, KG, USEFUL = DELONG[:, 0], DELONG[:, 1], 10 - DELONG[:, 2], DELONG[:, 3] > 0

# Ratings 1 to 5 of 58 normal and 51 abnormal CTs, Hanley and McNeil, Radiology 1982;143:29, table I.
NORMAL, ABNORMAL = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)


def sample(seed, n=60, *, steps=None):
    rng = np.random.default_rng(seed)
    outcomes = rng.random(n) < 0.4
    scores = rng.normal(outcomes * 0.8, 1)
    return outcomes, np.round(scores * steps) if steps else scores


def placements(outcomes, scores):
    """Every pair of a positive and a negative, one by one: 1 for the right order, one half for a tie."""
    pairs = scores[outcomes][:, None] - scores[~outcomes][None, :]
    won = (pairs > 0) + 0.5 * (pairs == 0)
    return won.mean(axis=1), won.mean(axis=0)


@pytest.mark.parametrize("steps", [None, 2])
@pytest.mark.parametrize("seed", range(5))
def test_the_curve_and_its_area_are_those_of_scikit_learn(seed, steps):
    outcomes, scores = sample(seed, steps=steps)
    fpr, tpr, thresholds = sklearn_curve(outcomes, scores, drop_intermediate=False)

    curve = roc_curve(outcomes, scores)

    assert curve.false_positive_rate == pytest.approx(fpr)
    assert curve.sensitivity == pytest.approx(tpr)
    assert curve.threshold == pytest.approx(thresholds)
    assert auc(outcomes, scores).value == pytest.approx(roc_auc_score(outcomes, scores), abs=1e-12)
    assert np.trapezoid(curve.sensitivity, curve.false_positive_rate) == pytest.approx(auc(outcomes, scores).value)


@pytest.mark.parametrize(
    ("scores", "area", "error", "low", "high"),
    [
        (ALBUMIN, 0.7366, 0.0927, 0.5549, 0.9182),
        (KG, 0.7258, 0.1028, 0.5243, 0.9273),
        (PROTEIN, 0.6478, 0.1000, 0.4518, 0.8439),
    ],
)
def test_delongs_own_data_give_the_areas_and_intervals_that_sas_prints(scores, area, error, low, high):
    seen = auc(USEFUL, scores)

    printed = tuple(round(figure, 4) for figure in (seen.value, np.sqrt(seen.variance), seen.low, seen.high))
    assert printed == (area, error, low, high)
    assert (seen.positives, seen.negatives) == (31, 12)


@pytest.mark.parametrize(
    ("scores", "difference", "chi2", "p"), [(ALBUMIN, 0.0108, 0.0127, 0.9102), (PROTEIN, -0.0780, 0.5554, 0.4561)]
)
def test_delongs_own_data_give_the_paired_tests_that_sas_prints(scores, difference, chi2, p):
    seen = compare_aucs(USEFUL, scores, KG)

    assert (round(seen.value, 4), round(seen.z**2, 4), round(seen.p, 4)) == (difference, chi2, p)


def test_hanley_and_mcneils_ratings_give_the_area_and_interval_that_stata_prints():
    outcomes = np.repeat([False, True], [sum(NORMAL), sum(ABNORMAL)])
    ratings = np.concatenate([np.repeat(range(1, 6), NORMAL), np.repeat(range(1, 6), ABNORMAL)])

    seen = auc(outcomes, ratings)

    assert (round(seen.value, 4), round(np.sqrt(seen.variance), 4)) == (0.8932, 0.0307)
    assert (round(seen.low, 5), round(seen.high, 5)) == (0.83295, 0.95339)


@pytest.mark.parametrize("steps", [None, 1])
@pytest.mark.parametrize("seed", range(5))
def test_variance_and_paired_test_are_those_of_all_pairs_counted_one_by_one(seed, steps):
    outcomes, first = sample(seed, steps=steps)
    second = np.round(first + np.random.default_rng(seed + 99).normal(0, 1, len(first)), 0 if steps else 9)
    of_positives, of_negatives = zip(placements(outcomes, first), placements(outcomes, second), strict=True)
    covariance = np.cov(of_positives) / len(of_positives[0]) + np.cov(of_negatives) / len(of_negatives[0])
    difference = of_positives[0].mean() - of_positives[1].mean()
    z = difference / np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])

    seen = compare_aucs(outcomes, first, second)

    assert auc(outcomes, first).variance == pytest.approx(covariance[0, 0])
    assert (seen.value, seen.z) == pytest.approx((difference, z))
    assert seen.p == pytest.approx(2 * stats.norm.cdf(-abs(z)))


def test_scores_that_rank_alike_do_not_differ():
    outcomes, scores = sample(3)

    seen = compare_aucs(outcomes, scores, np.exp(scores))

    assert (seen.value, seen.z, seen.p) == (0.0, 0.0, 1.0)


def test_a_difference_without_variance_has_no_test():
    outcomes = np.array([False] * 4 + [True] * 4)

    seen = compare_aucs(outcomes, outcomes * 1.0, np.zeros(8))

    assert seen.value == 0.5
    assert (seen.low, seen.high, seen.z, seen.p) == (None, None, None, None)


def test_perfect_scores_have_an_area_of_one_and_no_interval():
    seen = auc([False, False, True, True], [1, 2, 3, 4])

    assert (seen.value, seen.variance, seen.low, seen.high) == (1.0, 0.0, None, None)


def test_one_positive_case_has_an_area_and_no_interval():
    seen = auc([False, False, True], [1, 3, 2])

    assert (seen.value, seen.variance, seen.low) == (0.5, None, None)


def test_the_interval_stays_below_one():
    seen = auc([False, False, False, True, True, True], [1, 2, 4, 3, 5, 6])

    assert seen.high == 1.0
    assert 0 < seen.low < seen.value


def test_scores_that_are_all_equal_are_a_coin():
    outcomes = [False, True, True, False]

    assert auc(outcomes, [7, 7, 7, 7]).value == 0.5
    assert roc_curve(outcomes, [7, 7, 7, 7]).sensitivity.tolist() == [0, 1]


@pytest.mark.parametrize("outcomes", [[True, True], [False, False], []])
def test_one_outcome_alone_has_no_curve(outcomes):
    scores = np.arange(len(outcomes))

    assert roc_curve(outcomes, scores) is None
    assert auc(outcomes, scores) is None
    assert compare_aucs(outcomes, scores, scores) is None


def test_youden_takes_the_point_farthest_above_the_diagonal():
    curve = roc_curve([False, False, False, False, True, True, True], [1, 2, 3, 6, 4, 5, 7])

    best = youden(curve)

    assert (best.threshold, best.sensitivity, best.specificity, best.index) == pytest.approx((4, 1, 0.75, 0.75))


def test_of_two_equally_good_points_youden_takes_the_more_specific():
    curve = roc_curve([True, False, True, False], [4, 3, 2, 1])

    assert (youden(curve).threshold, youden(curve).specificity) == (4, 1)


@pytest.mark.parametrize("scores", [[1, 2], [1, 2, float("nan")], [[1, 2, 3]]])
def test_scores_that_do_not_fit_are_refused(scores):
    with pytest.raises(ValueError, match=r"fit|finite"):
        auc([True, False, True], scores)
