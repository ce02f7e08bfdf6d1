"""Counts of images a series, against a real peer on the loopback."""

import itertools
import time

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Find

from ichnode.deliver.association import Timeouts
from ichnode.deliver.pull import MOST_SERIES, series_counts
from ichnode.domain.errors import Retryable
from ichnode.domain.outputs import Peer

PATIENT = Timeouts(connect_s=10, acse_s=10, dimse_s=10, network_s=10)
HASTY = Timeouts(connect_s=0.5, acse_s=0.5, dimse_s=0.5, network_s=0.5)


@pytest.fixture
def start_pacs(start_scp):
    """A peer that answers C-FIND as ``on_find`` does."""

    def start(on_find):
        return start_scp(classes={Find: [ExplicitVRLittleEndian]}, handlers=[(evt.EVT_C_FIND, on_find)]).peer

    return start


def _series(uid, count=None):
    found = Dataset()
    found.QueryRetrieveLevel = "SERIES"
    found.SeriesInstanceUID = uid
    if count is not None:
        found.NumberOfSeriesRelatedInstances = count
    return 0xFF00, found


def test_the_counts_of_a_study_come_a_series(start_pacs):
    asked = []

    def on_find(event):
        asked.append(event.identifier)
        yield from (_series("1.2.1", "28"), _series("1.2.2", "140"), _series("1.2.3", ""), _series("1.2.4"))

    assert series_counts(start_pacs(on_find), "1.2", PATIENT) == {"1.2.1": 28, "1.2.2": 140}
    assert (asked[0].StudyInstanceUID, asked[0].QueryRetrieveLevel) == ("1.2", "SERIES")


def test_a_failure_half_way_gives_no_counts_at_all(start_pacs):
    def on_find(_):
        yield _series("1.2.1", "28")
        yield 0xA700, None

    with pytest.raises(Retryable, match="0xA700"):
        series_counts(start_pacs(on_find), "1.2", PATIENT)


def test_a_host_that_has_no_address_gives_no_counts():
    with pytest.raises(Retryable, match="host name"):
        series_counts(Peer(name="pacs", host="no-such-host.invalid", port=104, ae_title="PACS"), "1.2", PATIENT)


def test_a_pacs_that_says_nothing_is_given_up(silent_peer):
    with pytest.raises(Retryable):
        series_counts(silent_peer, "1.2", HASTY)


def test_a_pacs_whose_answers_have_no_end_is_given_up_in_time(start_pacs):
    def on_find(event):
        for n in itertools.count():
            if event.is_cancelled or not event.assoc.is_established:
                return
            time.sleep(0.01)
            yield _series(f"1.2.{n}", "5")

    began = time.monotonic()
    with pytest.raises(Retryable, match="does not come to an end"):
        series_counts(start_pacs(on_find), "1.2", HASTY)
    assert time.monotonic() - began < 5


def test_a_pacs_that_lists_more_series_than_a_study_has_is_given_up(start_pacs):
    def on_find(event):
        for n in range(MOST_SERIES + 100):
            if not event.assoc.is_established:
                return
            yield _series(f"1.2.{n}", "5")

    with pytest.raises(Retryable, match="does not come to an end"):
        series_counts(start_pacs(on_find), "1.2", Timeouts(dimse_s=60))
