import pytest

from ichnode.domain.errors import Rejected
from ichnode.domain.markers import Marker, MarkerName
from ichnode.findings.bat import bat_score


def marker(name, present):
    return Marker(name=name, present=present, reason="")


def bat(*, blend=False, hypodensity=False, onset_h=None):
    return bat_score(marker(MarkerName.BLEND, blend), marker(MarkerName.HYPODENSITY, hypodensity), onset_h)


@pytest.mark.parametrize(
    ("blend", "hypodensity", "onset_h", "score", "high_risk"),
    [
        (False, False, 3.0, 0, False),
        (True, False, 3.0, 1, False),
        (False, True, 3.0, 2, False),
        (False, False, 1.0, 2, False),
        (True, True, 3.0, 3, True),
        (True, False, 1.0, 3, True),
        (False, True, 0.0, 4, True),
        (True, True, 2.49, 5, True),
    ],
)
def test_with_a_known_onset_the_points_add_up(blend, hypodensity, onset_h, score, high_risk):
    seen = bat(blend=blend, hypodensity=hypodensity, onset_h=onset_h)

    assert (seen.score, seen.high_risk, seen.text) == (score, high_risk, str(score))


def test_two_and_a_half_hours_are_no_longer_early():
    assert bat(onset_h=2.5).score == 0


@pytest.mark.parametrize(
    ("blend", "hypodensity", "low", "high", "high_risk"),
    [(False, False, 0, 2, False), (True, False, 1, 3, None), (False, True, 2, 4, None), (True, True, 3, 5, True)],
)
def test_without_the_onset_there_is_an_interval_and_no_number(blend, hypodensity, low, high, high_risk):
    seen = bat(blend=blend, hypodensity=hypodensity)

    assert (seen.low, seen.high, seen.score, seen.high_risk) == (low, high, None, high_risk)
    assert seen.text == f"{low} to {high}, undetermined"


def test_a_marker_that_cannot_be_told_widens_the_interval():
    seen = bat(blend=None, hypodensity=True, onset_h=4.0)

    assert (seen.low, seen.high, seen.score, seen.high_risk) == (2, 3, None, None)


@pytest.mark.parametrize("onset_h", [-0.1, float("nan"), float("inf")])
def test_an_onset_that_cannot_be_is_refused(onset_h):
    with pytest.raises(Rejected, match="cannot be"):
        bat(onset_h=onset_h)
