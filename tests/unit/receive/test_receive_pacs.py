from threading import Event

import pytest

from ichnode.domain.errors import Retryable
from ichnode.receive.pacs import PacsCounts


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def asked():
    return []


@pytest.fixture
def counts_of(clock, asked):
    """The memory of a PACS that does as ``answer`` does."""

    def _make(answer, **limits):
        def ask(study):
            asked.append(study)
            return answer(study)

        return PacsCounts("pacs", ask, clock=clock, **limits)

    return _make


def test_one_study_is_asked_about_once_in_a_while_only(counts_of, clock, asked):
    counts = counts_of(lambda _study: {"1.2.3.1": len(asked)}, every_s=30)

    assert counts.of_study("1.2.3") == {"1.2.3.1": 1}
    clock.now = 29
    assert counts.of_study("1.2.3") == {"1.2.3.1": 1}
    clock.now = 30
    assert counts.of_study("1.2.3") == {"1.2.3.1": 2}


def test_another_study_is_asked_about_at_once(counts_of, asked):
    counts = counts_of(lambda study: {f"{study}.1": 1})

    assert counts.of_study("1.2") == {"1.2.1": 1}
    assert counts.of_study("1.3") == {"1.3.1": 1}
    assert asked == ["1.2", "1.3"]


@pytest.mark.parametrize("error", [Retryable("no connection"), OSError(-2, "Doe^Jane"), KeyError("Doe^Jane")])
def test_after_a_failure_the_pacs_is_not_asked_for_any_study_for_a_while(counts_of, clock, asked, error, caplog):
    def fail(_study):
        raise error

    counts = counts_of(fail, rest_s=60)

    assert counts.of_study("1.2") == {}
    clock.now = 59
    assert counts.of_study("1.2") == counts.of_study("1.3") == {}
    assert asked == ["1.2"]
    clock.now = 60
    counts.of_study("1.3")
    assert asked == ["1.2", "1.3"]
    assert "Doe" not in caplog.text


def test_the_last_answer_stands_while_the_pacs_is_not_there(counts_of, clock, asked):
    def once(_study):
        if len(asked) > 1:
            raise Retryable("no connection")
        return {"1.2.3.1": 28}

    counts = counts_of(once, keep_s=900)
    counts.of_study("1.2.3")

    clock.now = 31
    assert counts.of_study("1.2.3") == {"1.2.3.1": 28}
    clock.now = 900
    assert counts.of_study("1.2.3") == {}


def test_a_pacs_that_never_answers_is_given_up_in_time_and_asked_again_only_when_it_let_go(counts_of, clock, asked):
    hang = Event()
    counts = counts_of(lambda _study: hang.wait(10) and {}, within_s=0.05, rest_s=60)

    assert counts.of_study("1.2") == counts.of_study("1.3") == {}
    clock.now = 61
    assert counts.of_study("1.3") == {}
    assert asked == ["1.2"]

    hang.set()
    counts._asking.join(10)
    clock.now = 122
    counts.of_study("1.3")
    assert asked == ["1.2", "1.3"]


def test_a_slow_pacs_takes_so_much_time_in_a_while_and_no_more(counts_of, clock, asked):
    def slowly(_study):
        clock.now += 3
        return {"1": 1}

    counts = counts_of(slowly, within_s=8, every_s=30)

    assert [bool(counts.of_study(f"1.{n}")) for n in range(6)] == [True, True, True, False, False, False]
    clock.now = 30
    assert counts.of_study("1.5") == {"1": 1}
    assert len(asked) == 4
