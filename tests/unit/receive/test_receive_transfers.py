import pytest

from ichnode.domain.states import Transfer
from ichnode.receive.transfers import Transfers


def test_a_series_is_open_from_its_first_instance_to_the_end_of_its_association():
    transfers = Transfers()
    assert not transfers.is_open("1.2")

    transfers.sends("a", "1.2")
    transfers.sends("a", "1.2")
    assert transfers.is_open("1.2")

    assert transfers.ends("a", in_order=True) == {"1.2": Transfer.CLOSED}
    assert not transfers.is_open("1.2")


def test_two_associations_hold_a_series_open_until_both_have_ended():
    transfers = Transfers()
    transfers.sends("a", "1.2")
    transfers.sends("b", "1.2")
    transfers.sends("b", "1.3")

    assert transfers.ends("a", in_order=True) == {}
    assert transfers.is_open("1.2")
    assert transfers.ends("b", in_order=True) == {"1.2": Transfer.CLOSED, "1.3": Transfer.CLOSED}


def test_a_series_is_cut_when_any_of_its_senders_broke_off():
    transfers = Transfers()
    transfers.sends("a", "1.2")
    transfers.sends("b", "1.2")

    transfers.ends("a", in_order=False)

    assert transfers.ends("b", in_order=True) == {"1.2": Transfer.CUT}


def test_a_new_attempt_after_a_cut_may_end_well():
    transfers = Transfers()
    transfers.sends("a", "1.2")
    assert transfers.ends("a", in_order=False) == {"1.2": Transfer.CUT}
    transfers.sends("b", "1.2")

    assert transfers.ends("b", in_order=True) == {"1.2": Transfer.CLOSED}


@pytest.mark.parametrize("is_over", [False, True])
def test_a_new_attempt_that_began_after_the_line_was_gone_may_end_well_though_the_cut_is_noticed_late(is_over):
    transfers = Transfers()
    transfers.begins("a", "CT1")
    transfers.breaks("a")
    transfers.begins("b", "CT1")
    transfers.sends("b", "1.2")
    transfers.sends("a", "1.2")  # was in hand until now

    first, second = [("b", True), ("a", False)] if is_over else [("a", False), ("b", True)]

    assert transfers.ends(first[0], in_order=first[1]) == {}
    assert transfers.ends(second[0], in_order=second[1]) == {"1.2": Transfer.CLOSED}


def test_a_cut_counts_where_the_other_sender_was_there_before_it():
    transfers = Transfers()
    transfers.begins("a", "CT1")
    transfers.begins("b", "CT1")
    transfers.sends("a", "1.2")
    transfers.breaks("a")
    transfers.sends("b", "1.2")

    transfers.ends("a", in_order=False)

    assert transfers.ends("b", in_order=True) == {"1.2": Transfer.CUT}


def test_a_new_attempt_that_breaks_off_too_is_a_cut():
    transfers = Transfers()
    transfers.begins("a", "CT1")
    transfers.sends("a", "1.2")
    transfers.breaks("a")
    transfers.begins("b", "CT1")
    transfers.sends("b", "1.2")
    transfers.breaks("b")

    transfers.ends("b", in_order=False)

    assert transfers.ends("a", in_order=False) == {"1.2": Transfer.CUT}


def test_the_cut_of_one_caller_is_not_healed_by_another_that_began_after_it():
    transfers = Transfers()
    transfers.begins("a", "CT1")
    transfers.sends("a", "1.2")
    transfers.breaks("a")
    transfers.begins("b", "WORKSTATION")
    transfers.sends("b", "1.2")
    assert transfers.ends("b", in_order=True) == {}

    assert transfers.ends("a", in_order=False) == {"1.2": Transfer.CUT}


def test_what_an_association_sends_after_its_line_is_gone_is_no_new_attempt():
    transfers = Transfers()
    transfers.begins("a", "CT1")
    transfers.sends("a", "1.2")
    transfers.breaks("a")
    transfers.begins("b", "CT1")
    transfers.breaks("b")
    transfers.sends("b", "1.2")  # was in hand until now

    transfers.ends("a", in_order=False)

    assert transfers.ends("b", in_order=True) == {"1.2": Transfer.CUT}


def test_only_the_series_that_lacks_an_image_waits_for_it():
    transfers = Transfers()
    transfers.begins("a", "CT1")
    transfers.sends("a", "1.2")
    transfers.sends("a", "1.3")

    assert transfers.ends("a", in_order=True, awaited={"1.3"}) == {"1.2": Transfer.CLOSED, "1.3": Transfer.CUT}


def test_an_association_that_sent_nothing_ends_nothing():
    assert Transfers().ends("a", in_order=False) == {}


def test_an_association_that_died_without_a_word_sends_no_more():
    alive = {"a"}
    transfers = Transfers(is_alive=lambda association: association in alive)
    transfers.sends("a", "1.2")
    assert transfers.is_open("1.2")

    alive.clear()

    assert not transfers.is_open("1.2")
