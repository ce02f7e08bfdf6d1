import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichnode.domain.facts import InstanceFacts
from ichnode.receive.complete import Arrival, Complete, Incomplete, Limits, Wait, judge, missing_slices, stated_count

LIMITS = Limits(quiet_s=60, give_up_s=900)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
GE_TILT = [0, *[4.0] * 13, 1.08, *[6.99] * 13]
GE_THICKNESS = [4.0] * 14 + [7.0] * 14


def stack(gaps_mm, *, thickness_mm=5.0, without=(), numbered=True, **changes) -> list[InstanceFacts]:
    """One slice after each gap (the first gap is where the first one lies), but for those at ``without``."""
    z, facts = 0.0, []
    for i, gap in enumerate(gaps_mm):
        z += gap
        thick = thickness_mm[i] if isinstance(thickness_mm, list) else thickness_mm
        values = {
            "orientation": AXIAL,
            "positions": ((0.0, 0.0, z),),
            "thickness_mm": thick,
            "instance_number": i + 1 if numbered else None,
        }
        if i not in without:
            facts.append(InstanceFacts(**(values | changes)))
    return facts


def even(count, spacing=5.0, **changes):
    return stack([spacing] * count, **changes)


def look(facts, *, quiet_s=100.0, **changes):
    values = {"instances": facts, "quiet_s": quiet_s, "is_open": False, "was_cut": False}
    return judge(Arrival(**(values | changes)), limits=LIMITS)


def test_a_quiet_contiguous_series_is_complete():
    assert isinstance(look(even(28)), Complete)


def test_a_series_is_not_complete_while_slices_come():
    assert isinstance(look(even(28), quiet_s=59), Wait)


def test_a_series_is_not_complete_while_its_association_is_open():
    assert isinstance(look(even(28), is_open=True), Wait)


def test_an_association_that_is_held_open_for_ever_does_not_hold_the_series():
    assert isinstance(look(even(28), is_open=True, quiet_s=900), Complete)


def test_a_hole_keeps_it_waiting_and_is_counted_when_given_up():
    facts = even(28, without=(10, 11, 20))

    assert isinstance(look(facts), Wait)
    given_up = look(facts, quiet_s=900)
    assert isinstance(given_up, Incomplete)
    assert given_up.missing == 3


def test_a_cut_association_is_not_taken_for_the_end():
    assert isinstance(look(even(28), was_cut=True), Wait)
    given_up = look(even(28), was_cut=True, quiet_s=901)
    assert isinstance(given_up, Incomplete)
    assert given_up.missing == 1


@pytest.mark.parametrize("known", ["counted", "stated"])
def test_a_known_count_decides_at_once(known):
    assert isinstance(look(even(28), quiet_s=0, is_open=True, **{known: 28}), Complete)
    assert isinstance(look(even(28), was_cut=True, **{known: 28}), Complete)


@pytest.mark.parametrize("known", ["counted", "stated"])
def test_a_known_count_that_is_not_reached_waits_though_all_is_contiguous(known):
    assert isinstance(look(even(70), **{known: 140}), Wait)
    given_up = look(even(70), quiet_s=900, **{known: 140})
    assert isinstance(given_up, Incomplete)
    assert given_up.missing == 70


def test_a_pacs_that_is_behind_proves_nothing():
    assert isinstance(look(even(28), quiet_s=10, counted=20), Wait)
    assert isinstance(look(even(28), counted=20), Complete)


def test_real_unequal_spacing_is_contiguous():
    assert missing_slices(stack(GE_TILT, thickness_mm=GE_THICKNESS)) == 0
    assert missing_slices(stack(GE_TILT, thickness_mm=GE_THICKNESS, numbered=False)) == 0


@pytest.mark.parametrize("i", range(1, 27))
def test_any_single_slice_missing_from_the_real_stack_is_seen(i):
    facts = stack(GE_TILT, thickness_mm=GE_THICKNESS, without=(i,))

    if i in (13, 14):  # beside the 1.08 mm gap: the slice's neighbour lies almost where it lay
        assert missing_slices(facts) <= 1
    else:
        assert missing_slices(facts) == 1


def test_every_second_slice_missing_is_seen_by_the_thickness():
    assert missing_slices(even(28, without=range(1, 28, 2))) == 13
    assert missing_slices(even(28, without=range(1, 28, 2), numbered=False)) == 13


def test_thin_overlapping_slices_with_two_missing_near_each_other_are_seen():
    assert missing_slices(even(100, spacing=0.5, thickness_mm=1.0, without=(40, 42))) == 2


def test_slices_that_were_scanned_apart_are_not_missing():
    assert missing_slices(even(14, spacing=10.0)) == 0


def test_one_step_in_the_spacing_is_no_hole():
    for low, high in ((2.5, 10.0), (10.0, 2.5), (1.0, 5.0)):
        thickness = [low] * 10 + [high] * 10
        assert missing_slices(stack([low] * 10 + [high] * 10, thickness_mm=thickness, numbered=False)) == 0


def test_the_second_or_the_last_but_one_missing_is_seen():
    assert missing_slices(even(28, without=(1,), thickness_mm=None)) == 1
    assert missing_slices(even(28, without=(26,), thickness_mm=None)) == 1


def test_the_first_half_of_a_series_has_no_hole():
    assert missing_slices(even(140, spacing=1.0, thickness_mm=1.0)[:70]) == 0


@pytest.mark.parametrize("facts", [[], [InstanceFacts()], [InstanceFacts()] * 6, even(1), even(2)])
def test_without_positions_nothing_is_missing(facts):
    assert missing_slices(facts) == 0


def test_two_slices_at_one_position_are_one_step():
    assert missing_slices([*even(20), *even(20)]) == 0


def test_a_multi_frame_image_is_contiguous_by_its_own_frames():
    frames = tuple((0.0, 0.0, float(z)) for z in range(100))
    whole = InstanceFacts(orientation=AXIAL, positions=frames, thickness_mm=1.0)
    holed = InstanceFacts(orientation=AXIAL, positions=frames[:40] + frames[45:], thickness_mm=1.0)

    assert missing_slices([whole]) == 0
    assert missing_slices([holed]) == 5


def test_a_stray_localizer_within_the_series_makes_no_hole():
    sagittal = InstanceFacts(orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0), positions=((500.0, 0.0, 900.0),))

    assert missing_slices([*even(28), sagittal]) == 0


@given(st.permutations(range(28)), st.sets(st.integers(1, 26), max_size=3))
def test_the_order_of_arrival_does_not_matter(order, without):
    facts = even(28, without=without)
    shuffled = [facts[i] for i in order if i < len(facts)]

    assert missing_slices(shuffled) == missing_slices(facts) == len(without)


def test_a_count_in_the_headers_is_believed_for_a_single_acquisition():
    assert stated_count(even(20, expected_count=28, acquisition_number=1), []) == 28


@pytest.mark.parametrize(
    ("facts", "claimed"),
    [
        (even(20), []),
        (even(20, expected_count=28, acquisition_number=1) + even(1, expected_count=28, acquisition_number=2), []),
        (even(20, expected_count=28) + even(1, expected_count=29), []),
        (even(29, expected_count=28, acquisition_number=1), []),
        (even(20, expected_count=168, acquisition_number=1), [1, 2]),
        (even(20, expected_count=168), [None]),
    ],
)
def test_a_count_that_may_mean_something_else_is_not_believed(facts, claimed):
    assert stated_count(facts, claimed) is None


def test_an_absurd_gap_is_counted_up_to_a_limit():
    assert missing_slices(stack([5.0] * 20 + [1e9], thickness_mm=1e-3, numbered=False)) == 100_000
