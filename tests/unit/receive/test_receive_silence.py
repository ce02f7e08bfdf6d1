"""Quiet is measured, not computed from two readings of a clock that may have been set in between."""

import pytest

from ichnode.receive.silence import Silence

DAY_S = 86400.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def silence(clock):
    return Silence(clock)


@pytest.mark.parametrize("jump_s", [0.0, DAY_S, -DAY_S])
def test_a_clock_that_is_set_changes_nothing_of_how_long_it_was_quiet(silence, clock, jump_s):
    silence.begin_sweep()
    assert silence.quiet_s("1.2.3", 500.0, now=500.0) == 0

    clock.now += 25
    silence.begin_sweep()

    assert silence.quiet_s("1.2.3", 500.0, now=525 + jump_s) == 25


def test_a_slice_that_no_sweep_has_seen_came_after_the_last_sweep_whatever_the_clock_says(silence, clock):
    clock.now += 3600
    silence.begin_sweep()
    clock.now += 5
    silence.begin_sweep()

    assert silence.quiet_s("behind", 1.0, now=1.0 + DAY_S) == 5
    assert silence.quiet_s("ahead", 1.0 + DAY_S, now=1.0) == 0
    assert silence.quiet_s("in time", 1.0, now=3.0) == 2


def test_the_time_in_which_the_node_was_down_is_not_quiet(clock):
    silence = Silence(clock)
    clock.now += 5
    silence.begin_sweep()

    assert silence.quiet_s("1.2.3", 0.0, now=3600.0) == 5


def test_each_new_slice_begins_it_anew(silence, clock):
    for last_at in (10.0, 20.0, 30.0):
        clock.now += 10
        silence.begin_sweep()
        assert silence.quiet_s("1.2.3", last_at, now=last_at + 4) == 4


def test_what_no_sweep_asks_for_is_forgotten(silence):
    for number in range(3):
        silence.begin_sweep()
        silence.quiet_s(number, 0.0, now=0.0)

    silence.begin_sweep()
    assert silence.quiet_s(2, 0.0, now=0.0) == 0
    assert set(silence._since) == {2}
