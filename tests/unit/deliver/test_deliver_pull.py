"""C-FIND, C-MOVE and C-GET against a real peer on the loopback."""

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import build_context, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind as Find,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelGet as Get,
)
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelMove as Move,
)

from ichnode.deliver.pull import FoundStudy, StudyQuery, find_series, find_studies, get, move
from ichnode.domain.errors import ConfigError, Retryable
from ichnode.domain.outputs import Peer

SYNTAX = [ExplicitVRLittleEndian]
SC = SecondaryCaptureImageStorage
STORAGE = [build_context(SC, ExplicitVRLittleEndian)]


@pytest.fixture
def start_archive(start_scp):
    """A peer that answers queries and retrievals with the given handlers."""

    def start(*handlers):
        def setup(ae):
            ae.add_supported_context(SC, SYNTAX, scu_role=True, scp_role=True)

        return start_scp(classes=dict.fromkeys([Find, Get, Move], SYNTAX), setup=setup, handlers=list(handlers))

    return start


def _match(**values):
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return 0xFF00, dataset


def test_studies_are_found_by_what_was_asked_for(start_archive):
    asked = []

    def on_find(event):
        asked.append(event.identifier)
        yield _match(
            StudyInstanceUID="1.2",
            StudyDate="20240131",
            ModalitiesInStudy=["CT", "SR"],
            NumberOfStudyRelatedSeries=2,
            NumberOfStudyRelatedInstances=33,
        )
        yield _match(StudyInstanceUID="1.3", ModalitiesInStudy="CT")

    scp = start_archive((evt.EVT_C_FIND, on_find))

    found = find_studies(scp.peer, StudyQuery(date_from="20240101", date_to="20240131"))

    assert found == [
        FoundStudy(study_instance_uid="1.2", study_date="20240131", modalities=("CT", "SR"), series=2, instances=33),
        FoundStudy(study_instance_uid="1.3", study_date="", modalities=("CT",), series=None, instances=None),
    ]
    assert asked[0].StudyDate == "20240101-20240131"
    assert (asked[0].QueryRetrieveLevel, asked[0].ModalitiesInStudy, asked[0].AccessionNumber) == ("STUDY", "CT", "")


def test_only_series_of_the_modality_are_listed_even_where_the_pacs_does_not_match_by_it(start_archive):
    def on_find(event):
        assert (event.identifier.QueryRetrieveLevel, event.identifier.StudyInstanceUID) == ("SERIES", "1.2")
        yield _match(SeriesInstanceUID="1.2.1", Modality="CT")
        yield _match(SeriesInstanceUID="1.2.2", Modality="SR")
        yield _match(SeriesInstanceUID="1.2.3")

    assert find_series(start_archive((evt.EVT_C_FIND, on_find)).peer, "1.2") == ["1.2.1", "1.2.3"]


@pytest.mark.parametrize("words", [{}, {"modality": "CT"}, {"accession_number": "*"}, {"study_instance_uid": "1.?"}])
def test_a_query_that_asks_for_everything_is_refused(words):
    with pytest.raises(ConfigError):
        StudyQuery(**words)


def test_a_query_that_fails_half_way_is_not_taken_as_the_whole_list(start_archive):
    def on_find(_):
        yield _match(StudyInstanceUID="1.2")
        yield 0xA700, None

    with pytest.raises(Retryable, match="pacs answered C-FIND with 0xA700"):
        find_studies(start_archive((evt.EVT_C_FIND, on_find)).peer, StudyQuery(accession_number="A1"))


def test_a_query_whose_peer_aborts_is_not_taken_as_the_whole_list(start_archive):
    def on_find(event):
        yield _match(StudyInstanceUID="1.2")
        event.assoc.abort(block=False)

    with pytest.raises(Retryable, match="aborted"):
        find_studies(start_archive((evt.EVT_C_FIND, on_find)).peer, StudyQuery(accession_number="A1"))


def test_a_peer_that_cannot_be_queried_says_so(start_scp, free_port):
    query = StudyQuery(accession_number="A1")
    with pytest.raises(Retryable, match="pacs does not offer C-FIND"):
        find_studies(start_scp().peer, query)
    with pytest.raises(Retryable, match="no connection"):
        find_studies(Peer(name="pacs", host="127.0.0.1", port=free_port, ae_title="PACS"), query)


def test_a_study_is_moved_to_the_node(start_archive, start_scp, make_file):
    node = start_scp(name="node")
    files = [dcmread(make_file("1.2.1")), dcmread(make_file("1.2.2"))]
    asked = []

    def on_move(event):
        asked.append((event.move_destination, event.identifier.StudyInstanceUID))
        yield "127.0.0.1", node.peer.port, {"contexts": STORAGE, "ae_title": "PACS"}
        yield len(files)
        for file in files:
            yield 0xFF00, file

    result = move(start_archive((evt.EVT_C_MOVE, on_move)).peer, "1.2", "ICHNODE")

    assert (result.ok, result.completed, result.failed, result.warning, result.reason) == (True, 2, 0, 0, "")
    assert asked == [("ICHNODE", "1.2")]
    assert node.uids == ["1.2.1", "1.2.2"]


def test_a_move_to_an_ae_title_that_the_pacs_does_not_know(start_archive):
    def on_move(_):
        yield None, None

    result = move(start_archive((evt.EVT_C_MOVE, on_move)).peer, "1.2", "ICHNODE")
    assert not result.ok
    assert result.reason == "pacs answered C-MOVE with 0xA801: it does not know the destination's AE title"


def test_a_move_of_which_some_failed_is_not_ok(start_archive, start_scp, make_file):
    node = start_scp(lambda event: 0xA700 if event.request.AffectedSOPInstanceUID == "1.2.2" else 0)
    files = [dcmread(make_file("1.2.1")), dcmread(make_file("1.2.2"))]

    def on_move(_):
        yield "127.0.0.1", node.peer.port, {"contexts": STORAGE, "ae_title": "PACS"}
        yield len(files)
        for file in files:
            yield 0xFF00, file

    result = move(start_archive((evt.EVT_C_MOVE, on_move)).peer, "1.2", "ICHNODE")
    assert (result.ok, result.completed, result.failed) == (False, 1, 1)
    assert result.reason == "pacs answered C-MOVE with 0xB000 and 1 failed instances"


def test_a_study_is_fetched_over_one_association(start_archive, make_file):
    files = [dcmread(make_file("1.2.1")), dcmread(make_file("1.2.2"))]

    def on_get(_):
        yield len(files)
        for file in files:
            yield 0xFF00, file

    stored = []

    def on_store(event):
        stored.append(str(event.request.AffectedSOPInstanceUID))
        return 0x0000

    result = get(start_archive((evt.EVT_C_GET, on_get)).peer, "1.2", on_store, STORAGE)

    assert (result.ok, result.completed) == (True, 2)
    assert stored == ["1.2.1", "1.2.2"]


def test_a_get_that_breaks_off_says_how_far_it_came(start_archive, make_file):
    def on_get(event):
        yield 2
        yield 0xFF00, dcmread(make_file("1.2.1"))
        event.assoc.abort(block=False)

    peer = start_archive((evt.EVT_C_GET, on_get)).peer
    result = get(peer, "1.2", lambda _: 0x0000, STORAGE)
    assert (result.ok, result.completed) == (False, 1)
    assert "during C-GET" in result.reason
