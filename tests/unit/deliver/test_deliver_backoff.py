"""How long a delivery waits."""

from random import Random

import pytest

from ichnode.deliver.backoff import Backoff


def test_waits_double_up_to_the_limit():
    longest = [max(Backoff().delay_s(n, Random(seed)) for seed in range(300)) for n in range(8)]
    assert longest == pytest.approx([60, 120, 240, 480, 960, 1920, 3600, 3600], rel=0.02)


def test_waits_are_spread_over_the_whole_range():
    delays = [Backoff().delay_s(3, Random(seed)) for seed in range(300)]
    assert min(delays) < 10
    assert sum(delays) / len(delays) == pytest.approx(240, rel=0.1)


def test_the_same_random_numbers_give_the_same_wait():
    assert Backoff().delay_s(2, Random(7)) == Backoff().delay_s(2, Random(7))


def test_a_peer_may_be_away_for_months():
    assert Backoff().delay_s(5000, Random(1)) <= 3600


@pytest.mark.parametrize(("first_s", "max_s"), [(0, 10), (-1, 10), (20, 10)])
def test_a_backoff_that_would_not_wait_is_refused(first_s, max_s):
    with pytest.raises(ValueError, match="back-off"):
        Backoff(first_s=first_s, max_s=max_s)
