"""Which case is shown when follows from the recipe's seed and the showing's number alone."""

import signal
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from ichnode.domain.errors import ConfigError
from ichnode.train import samples
from ichnode.train.samples import UNKNOWN, Showings, sources, stream

COPIES = 3


@pytest.fixture
def moving(recipe):
    return recipe(epochs=2, augmentation={"copies": COPIES, "scale": 0.1, "turn_deg": 5, "noise_hu": 2, "gain": 0.1})


@pytest.fixture
def showings(source_of, case, moving):
    few = [source_of("a", case(1), expanded=True), source_of("b", case(2), expanded=False), source_of("c", case(3))]
    return Showings(few, moving)


def bits(showing):
    values, bleed, outcome = showing
    return values.numpy().tobytes(), bleed.numpy().tobytes(), outcome


@pytest.fixture
def names_shown(showings, monkeypatch):
    read = []
    real = samples.read_case
    monkeypatch.setattr(samples, "read_case", lambda folder, entry: read.append(entry.name) or real(folder, entry))
    for number in range(len(showings)):
        showings[number]
    return read


def test_each_case_is_shown_as_often_as_the_recipe_says_in_every_epoch(names_shown):
    an_epoch = 3 * COPIES
    assert len(names_shown) == 2 * an_epoch
    for epoch in (names_shown[:an_epoch], names_shown[an_epoch:]):
        assert Counter(epoch) == {"a": COPIES, "b": COPIES, "c": COPIES}
    assert names_shown[:an_epoch] != names_shown[an_epoch:]


def test_no_two_showings_are_the_same(showings):
    assert len({bits(showings[number])[0] for number in range(len(showings))}) == len(showings)


def test_another_seed_shows_others(showings, moving):
    other = Showings(showings.cases, moving.model_copy(update={"seed": 2}))
    assert all(bits(showings[number])[0] != bits(other[number])[0] for number in range(4))


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("start", [0, 7])
def test_a_showing_is_the_same_whoever_makes_it_and_wherever_the_run_began(showings, workers, start):
    made = list(islice(stream(showings, start, workers, pin=False), 4))

    assert [bits(one) for one in made] == [bits(showings[number]) for number in range(start, start + 4)]


def test_the_stream_ends_with_the_last_epoch(showings):
    assert len(list(stream(showings, len(showings) - 2, 1, pin=False))) == 2
    assert list(stream(showings, len(showings), 1, pin=False)) == []


def test_an_outcome_travels_with_its_case_unless_it_is_unknown(showings):
    outcomes = Counter(showings[number][2] for number in range(showings.an_epoch))
    assert outcomes == {1.0: COPIES, 0.0: COPIES, UNKNOWN: COPIES}


def test_the_outcome_of_a_healed_bleed_is_unknown(source_of, case, recipe):
    healing = recipe(augmentation={"heal": 1})
    _, bleed, outcome = Showings([source_of("a", case(3, shape=(4, 96, 96)), expanded=True)], healing)[0]

    assert not bleed.any()
    assert outcome == UNKNOWN


@pytest.mark.parametrize("workers", [0, 1])
def test_a_case_that_cannot_be_read_is_told_without_the_words_of_a_traceback(showings, workers):
    folder = showings.cases[1].folder
    (folder / "b.npz").write_bytes(b"no archive")

    with pytest.raises(ConfigError) as told:
        list(stream(showings, 0, workers, pin=False))

    assert str(told.value).startswith(f"The prepared case {folder / 'b.npz'} cannot be read")
    assert "Traceback" not in str(told.value)
    assert told.value.hint == "Run `ichnode cohort prepare` again."


def test_a_worker_does_not_hear_what_the_run_is_asked():
    """Ctrl-C in a terminal reaches every process of the group: the run must still get the showings it waits for."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        samples._deaf(0)
        assert {signal.getsignal(number) for number in before} == {signal.SIG_IGN}
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_sources_of_a_split_come_from_all_folders(prepared):
    one = prepared("one", a={}, b={"split": "val"}, c={"split": "test"})
    two = prepared("two", d={})

    assert [(item.folder, item.entry.name) for item in sources([one, two], "train", "fov224")] == [
        (one, "a"),
        (two, "d"),
    ]
    assert [item.entry.name for item in sources([one, two], "val", "fov224")] == ["b"]


def test_cases_of_another_preset_are_refused(prepared):
    folder = prepared("small", a={"preset": "fov112"})
    with pytest.raises(ConfigError, match=f"{folder} was prepared for fov112; the recipe trains on fov224") as told:
        sources([folder], "train", "fov224")
    assert "--preset fov224" in told.value.hint


def test_a_name_in_two_cohorts_is_refused(prepared):
    folders = [prepared("one", a={}, b={}), prepared("two", b={})]
    with pytest.raises(ConfigError, match="Case b is in two of the cohorts"):
        sources(folders, "train", "fov224")


def test_showings_are_drawn_from_numpy_alone(showings):
    """What else draws from global generators must not matter."""
    first = bits(showings[5])
    np.random.seed(7)

    assert bits(showings[5]) == first
