"""What a status, and a refused context, mean for the object."""

import pytest
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS, code_to_category

from ichnode.deliver.classify import DUPLICATE_SOP_INSTANCE, Outcome, classify, classify_refused_context


@pytest.mark.parametrize("status", [0x0000, 0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007, 0xB123, 0xBFFF])
def test_success_and_every_warning_mean_that_the_peer_has_it(status):
    assert classify(status).outcome == Outcome.SENT


def test_a_duplicate_is_the_object_of_an_attempt_whose_answer_was_lost():
    assert classify(DUPLICATE_SOP_INSTANCE).outcome == Outcome.SENT


@pytest.mark.parametrize("status", [0xA700, 0xA7FF, 0x0110, 0x0124, 0x0210, 0x0213])
def test_what_may_pass_is_tried_again(status):
    assert classify(status).outcome == Outcome.AGAIN


@pytest.mark.parametrize("status", [0xA800, 0xA900, 0xA9FF, 0xC000, 0xCFFF, 0x0117, 0x0118, 0x0119, 0x0122, 0x0211])
def test_a_refusal_of_these_bytes_is_final(status):
    assert classify(status).outcome == Outcome.DEAD


@pytest.mark.parametrize("status", [0x0002, 0x7777, 0xD000, 0xFE00, 0xFF00, 0xFFFF])
def test_a_status_of_no_standard_is_tried_again(status):
    assert classify(status).outcome == Outcome.AGAIN


def test_no_failure_counts_as_sent_and_no_warning_as_failure():
    """Against pynetdicom's table, which others wrote."""
    for status in STORAGE_SERVICE_CLASS_STATUS:
        stored = classify(status).outcome == Outcome.SENT
        assert stored == (code_to_category(status) in ("Success", "Warning") or status == DUPLICATE_SOP_INSTANCE)


@pytest.mark.parametrize(
    ("result", "outcome"), [(1, Outcome.AGAIN), (2, Outcome.AGAIN), (3, Outcome.DEAD), (4, Outcome.DEAD)]
)
def test_a_context_that_is_not_supported_is_final_and_one_refused_without_reason_is_not(result, outcome):
    assert classify_refused_context(result).outcome == outcome
