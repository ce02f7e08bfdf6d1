import gc
import socket
import time

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from ichnode.domain.outputs import Peer
from ichnode.receive.pacs import STUDY_ROOT_FIND, PacsCounts, study_counts

COUNTS = {"1.2.3.1": "28", "1.2.3.2": "140", "1.2.3.3": "", "1.2.3.4": None}


@pytest.fixture
def pacs():
    """A PACS on loopback that answers series queries from COUNTS. Yields a function that starts it."""
    entity = AE(ae_title="PACS")
    entity.add_supported_context(STUDY_ROOT_FIND)
    servers, asked = [], []

    def start(*, status=0x0000, answer=None, known=()) -> tuple[Peer, list[Dataset]]:
        def on_find(event):
            asked.append(event.identifier)
            if answer is not None:
                answer()
            for uid, count in COUNTS.items():
                found = Dataset()
                found.QueryRetrieveLevel = "SERIES"
                found.SeriesInstanceUID = uid
                if count is not None:
                    found.NumberOfSeriesRelatedInstances = count
                yield 0xFF00, found
            yield status, None

        entity.require_calling_aet = list(known)
        handlers = [(evt.EVT_C_FIND, on_find)]
        servers.append(entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers))
        port = servers[-1].server_address[1]
        return Peer(name="pacs", host="127.0.0.1", port=port, ae_title="PACS"), asked

    yield start
    for server in servers:
        server.shutdown()


def test_the_counts_of_a_study_come_a_series(pacs):
    peer, asked = pacs()

    assert study_counts(peer, "1.2.3", timeout_s=5) == {"1.2.3.1": 28, "1.2.3.2": 140}
    assert (asked[0].StudyInstanceUID, asked[0].QueryRetrieveLevel) == ("1.2.3", "SERIES")


def test_a_failure_half_way_gives_no_counts_at_all(pacs):
    peer, _ = pacs(status=0xA700)

    assert study_counts(peer, "1.2.3", timeout_s=5) == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_pacs_that_is_not_there_gives_no_counts():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    peer = Peer(name="pacs", host="127.0.0.1", port=port, ae_title="PACS")
    assert study_counts(peer, "1.2.3", timeout_s=2) == {}
    gc.collect()  # pynetdicom leaves the refused socket to the collector, which complains; not in some later test


def test_a_pacs_that_accepts_and_says_nothing_is_given_up():
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        peer = Peer(name="pacs", host="127.0.0.1", port=mute.getsockname()[1], ae_title="PACS")
        began = time.monotonic()

        assert study_counts(peer, "1.2.3", timeout_s=0.3) == {}
        assert time.monotonic() - began < 5


def test_a_pacs_that_never_answers_the_query_is_given_up(pacs):
    peer, _ = pacs(answer=lambda: time.sleep(1))

    assert study_counts(peer, "1.2.3", timeout_s=0.3) == {}


def test_a_pacs_that_does_not_know_our_title_gives_no_counts(pacs):
    peer, _ = pacs(known=["SOMEBODY"])

    assert study_counts(peer, "1.2.3", timeout_s=5) == {}


def test_one_study_is_asked_about_once_in_a_while_only(pacs):
    peer, asked = pacs()
    counts = PacsCounts(peer, every_s=30)

    assert counts.of_study("1.2.3", now=0) == counts.of_study("1.2.3", now=29)
    assert len(asked) == 1
    counts.of_study("1.2.3", now=31)
    assert len(asked) == 2
