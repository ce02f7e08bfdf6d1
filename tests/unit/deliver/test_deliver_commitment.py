"""Storage commitment asked of peers that answer in every way that a peer may."""

import threading
import time
from random import Random
from threading import Event

import pytest
from pydicom import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind
from sqlalchemy import select

from ichnode.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, read_request, report_data
from ichnode.deliver.association import Timeouts
from ichnode.deliver.closing import close_due, settle_closings
from ichnode.deliver.loop import Deliverer, deliver_due
from ichnode.deliver.reports import report_due
from ichnode.domain.commitment import Commitment, Named, Report, Request
from ichnode.domain.facts import InstanceFacts
from ichnode.domain.outputs import Peer
from ichnode.domain.states import Closing
from ichnode.queue import outbox, views
from ichnode.queue.abilities import FRESH_S, ability
from ichnode.queue.commitments import MOST_ASKS, next_owed_at, owed
from ichnode.queue.intake import NewInstance, record
from ichnode.queue.promises import due_promise, promise
from ichnode.queue.tables import COMMITMENTS, DELIVERIES
from ichnode.store.layout import Store

QUICK = Timeouts(connect_s=2, acse_s=2, dimse_s=1, network_s=2)


class Committer:
    """A peer with storage commitment: what it was asked, and what it answers and reports."""

    def __init__(self, *, status=0x0000, report=True, refuse=(), after=None):
        self.asked = []
        self.status, self.report, self.refuse, self.after = status, report, dict(refuse), after
        self.answers = []

    def setup(self, ae):
        ae.add_supported_context(PUSH_MODEL)

    @property
    def handlers(self):
        return [(evt.EVT_N_ACTION, self.on_action)]

    def on_action(self, event):
        request = read_request(event.action_information)
        self.asked.append(request)
        if self.report and self.status == 0x0000:
            threading.Thread(target=self._report, args=(event.assoc, request), daemon=True).start()
        return self.status, None

    def _report(self, association, request):
        time.sleep(0.05)
        failed = tuple(
            (each, self.refuse[each.sop_instance_uid])
            for each in request.objects
            if each.sop_instance_uid in self.refuse
        )
        committed = tuple(each for each in request.objects if each.sop_instance_uid not in self.refuse)
        report = Report(transaction_uid=request.transaction_uid, committed=committed, failed=failed)
        event_type, data = report_data(report)
        status, _ = association.send_n_event_report(data, event_type, UID(PUSH_MODEL), UID(PUSH_MODEL_INSTANCE))
        self.answers.append(status.get("Status"))


@pytest.fixture
def deliver(db, outputs):
    """A round at a destination: what is due goes out, what is owed is asked for."""

    def _deliver(destination, now=0.0):
        clock = lambda: now  # noqa: E731
        deliver_due(db, destination, outputs, clock=clock, rng=Random(1), stop=Event())
        return close_due(db, destination, clock=clock, rng=Random(1), stop=Event())

    return _deliver


def _states(db, destination="pacs"):
    query = select(DELIVERIES.c.state).where(DELIVERIES.c.destination == destination).order_by(DELIVERIES.c.id)
    with db.read() as connection:
        return list(connection.execute(query).scalars())


def _requests(db):
    with db.read() as connection:
        return list(connection.execute(select(COMMITMENTS.c.state).order_by(COMMITMENTS.c.id)).scalars())


def test_the_report_may_come_over_the_association_of_the_request(db, add_result, start_scp, destination, deliver):
    pacs = Committer()
    scp = start_scp(handlers=pacs.handlers, setup=pacs.setup)
    to = destination(scp.peer)
    uids = add_result("1.2", to)

    started = time.monotonic()
    deliver(to)

    assert _states(db) == ["committed"] * 3
    assert time.monotonic() - started < 2, "it did not stay on the line after the report"
    (request,) = pacs.asked
    assert {each.sop_instance_uid for each in request.objects} == set(uids)
    assert len(scp.associations) == 2, "the request has an association of its own"
    _until(lambda: pacs.answers == [0x0000])


def test_the_request_is_written_down_before_it_is_sent(db, add_result, start_scp, destination, deliver):
    seen = []
    pacs = Committer()
    handlers = [(evt.EVT_N_ACTION, lambda event: seen.append(_requests(db)) or pacs.on_action(event))]
    to = destination(start_scp(handlers=handlers, setup=pacs.setup).peer)
    add_result("1.2", to)
    deliver(to)
    assert seen == [["open"]]
    assert _requests(db) == ["reported"]


def test_what_was_stored_with_a_warning_is_asked_for_too(db, add_result, start_scp, destination, deliver):
    pacs = Committer()
    to = destination(start_scp(lambda _: 0xB000, handlers=pacs.handlers, setup=pacs.setup).peer)
    add_result("1.2", to)
    deliver(to)
    assert _states(db) == ["committed"] * 3


def test_one_that_it_has_not_got_is_sent_again_alone(db, add_result, start_scp, destination, deliver):
    pacs = Committer(refuse={"1.2.9.1": 0x0112})
    scp = start_scp(handlers=pacs.handlers, setup=pacs.setup)
    to = destination(scp.peer)
    uids = add_result("1.2", to)
    deliver(to)
    assert sorted(_states(db)) == ["committed", "committed", "pending"]
    pacs.refuse = {}
    deliver(to, now=1)
    assert _states(db) == ["committed"] * 3
    assert scp.uids == [*uids, "1.2.9.1"]


def test_a_destination_without_commitment_is_learnt_and_not_asked_again_for_a_week(
    db, add_result, start_scp, destination, deliver
):
    scp = start_scp()
    to = destination(scp.peer)
    add_result("1.2", to)
    deliver(to)
    assert _states(db) == ["sent"] * 3
    assert next_owed_at(db, "pacs") is None
    known = ability(db, "pacs", to.place)
    assert (known.commits, known.reason) == (False, "it does not accept the presentation context (result 3)")
    assert len(scp.associations) == 2

    add_result("1.3", to)
    deliver(to, now=FRESH_S - 1)
    assert len(scp.associations) == 3, "it was sent to, and not asked"
    add_result("1.4", to)
    deliver(to, now=FRESH_S + 1)
    assert len(scp.associations) == 5
    assert views.status(db, since=0).uncommitted == []


def test_a_destination_that_moved_is_asked_anew(db, add_result, start_scp, destination, deliver):
    to = destination(start_scp().peer)
    add_result("1.2", to)
    deliver(to)
    pacs = Committer()
    moved = destination(start_scp(handlers=pacs.handlers, setup=pacs.setup).peer)
    add_result("1.3", moved)
    deliver(moved, now=1)
    assert _states(db)[3:] == ["committed"] * 3


def test_where_commitment_is_wanted_a_destination_without_it_is_an_alarm(
    db, add_result, start_scp, destination, deliver
):
    to = destination(start_scp().peer, commitment=Commitment.ASK)
    add_result("1.2", to)
    now = 0.0
    for _ in range(MOST_ASKS):
        assert "uncommitted" not in _states(db)
        deliver(to, now=now)
        now = next_owed_at(db, "pacs")
    assert _states(db) == ["uncommitted"] * 3
    assert "does not accept the presentation context" in views.status(db, since=0).uncommitted[0]["reason"]


def test_a_destination_that_never_reports_is_found_to_have_no_commitment(
    db, add_result, start_scp, destination, deliver, monkeypatch
):
    monkeypatch.setattr("ichnode.deliver.closing.STAY_S", 0.1)
    pacs = Committer(report=False)
    to = destination(start_scp(handlers=pacs.handlers, setup=pacs.setup).peer, commitment_wait_s=10)
    add_result("1.2", to)
    now, waits = 0.0, []
    for _ in range(MOST_ASKS + 1):
        deliver(to, now=now)
        after = next_owed_at(db, "pacs")
        waits.append(None if after is None else after - now)
        now = after
    assert waits == [10, 20, 40, 80, None]
    assert len({request.transaction_uid for request in pacs.asked}) == MOST_ASKS, "each with a UID of its own"
    assert _states(db) == ["sent"] * 3
    assert ability(db, "pacs", to.place).reason == "it took 4 requests and reported none: does it know our address?"


def test_a_destination_that_once_reported_and_does_so_no_more_is_an_alarm(
    db, add_result, start_scp, destination, deliver, monkeypatch
):
    monkeypatch.setattr("ichnode.deliver.closing.STAY_S", 1)
    pacs = Committer()
    to = destination(start_scp(handlers=pacs.handlers, setup=pacs.setup).peer, commitment_wait_s=10)
    add_result("1.2", to)
    deliver(to)
    monkeypatch.setattr("ichnode.deliver.closing.STAY_S", 0.1)
    pacs.report = False
    add_result("1.3", to)
    now = 0.0
    for _ in range(MOST_ASKS + 1):
        deliver(to, now=now)
        now = next_owed_at(db, "pacs")
    assert _states(db) == ["committed"] * 3 + ["uncommitted"] * 3


def test_a_destination_that_breaks_off_each_request_and_never_reported_has_no_commitment(
    db, add_result, start_scp, destination, deliver
):
    """So does an Orthanc that does not know us."""
    to = destination(start_scp(handlers=[(evt.EVT_N_ACTION, _break_off)], setup=Committer().setup).peer)
    add_result("1.2", to)
    now, waits = 0.0, []
    for _ in range(MOST_ASKS):
        deliver(to, now=now)
        after = next_owed_at(db, "pacs")
        waits.append(None if after is None else after - now)
        now = after
    assert waits == [900, 3600, 21600, None]
    assert (_states(db), ability(db, "pacs", to.place).commits) == (["sent"] * 3, False)
    assert views.status(db, since=0).uncommitted == []


def _break_off(event):
    event.assoc.abort(block=False)
    return 0x0110, None


def test_a_request_that_is_refused_for_now_is_asked_again(db, add_result, start_scp, destination, deliver):
    pacs = Committer(status=0x0213)
    to = destination(start_scp(handlers=pacs.handlers, setup=pacs.setup).peer)
    add_result("1.2", to)
    deliver(to)
    assert (_states(db), _requests(db)) == (["sent"] * 3, ["refused"])
    assert next_owed_at(db, "pacs") == 900
    pacs.status = 0x0000
    deliver(to, now=900)
    assert _states(db) == ["committed"] * 3


def test_an_unreachable_destination_says_nothing_and_costs_no_attempt(db, add_result, start_scp, destination, deliver):
    pacs = Committer()
    to = destination(start_scp(handlers=pacs.handlers, setup=pacs.setup).peer, timeouts=QUICK)
    add_result("1.2", to)
    gone = destination(Peer(name="pacs", host="127.0.0.1", port=1, ae_title="PACS"), timeouts=QUICK)
    _send_only(db)
    deliver(gone)
    assert _requests(db) == []
    assert 0 < next_owed_at(db, "pacs") <= 300
    assert [each.asks for each in owed(db, "pacs", Closing.COMMIT, now=1e6)] == [0] * 3


def _send_only(db):
    for due in outbox.due(db, "pacs", now=0):
        outbox.sent(db, due.delivery_id, status=0, now=0, closing=Closing.COMMIT, ask_at=0)


def test_what_is_configured_off_is_waived_at_the_start(db, add_result, start_scp, destination):
    to = destination(start_scp().peer)
    add_result("1.2", to)
    _send_only(db)
    off = destination(to.peer, commitment=Commitment.NO)
    settle_closings(db, off, now=1)
    assert (_states(db), next_owed_at(db, "pacs")) == (["sent"] * 3, None)


def test_a_slow_committer_delays_no_other_destination(db, add_result, outputs, start_scp, destination):
    gate = Event()

    def hang(_event):
        gate.wait(20)
        return 0x0110, None

    slow = start_scp(name="slow", handlers=[(evt.EVT_N_ACTION, hang)], setup=Committer().setup)
    pacs = Committer()
    quick = start_scp(name="quick", handlers=pacs.handlers, setup=pacs.setup)
    both = [destination(slow.peer), destination(quick.peer)]
    add_result("1.2", *both)
    deliverer = Deliverer(db, both, outputs, poll_s=0.05)
    deliverer.start()
    try:
        _until(lambda: _states(db, "quick") == ["committed"] * 3)
        assert _states(db, "slow") == ["sent"] * 3
    finally:
        gate.set()
        assert deliverer.stop(20)


class Finder:
    """A peer that lists some instances by C-FIND."""

    def __init__(self, *uids, status=0xFF00):
        self.uids, self.status, self.asked = uids, status, []

    def setup(self, ae):
        ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        ae.add_supported_context(SecondaryCaptureImageStorage, ExplicitVRLittleEndian)

    @property
    def handlers(self):
        return [(evt.EVT_C_FIND, self.on_find)]

    def on_find(self, event):
        self.asked.append(event.identifier)
        if self.status != 0xFF00:
            yield self.status, None
            return
        for uid in self.uids:
            found = Dataset()
            found.QueryRetrieveLevel, found.SOPInstanceUID = "IMAGE", uid
            found.StudyInstanceUID = event.identifier.StudyInstanceUID
            found.SeriesInstanceUID = event.identifier.SeriesInstanceUID
            yield 0xFF00, found


def test_without_commitment_a_query_confirms_what_is_listed_and_looks_again_for_the_rest(
    db, add_result, start_scp, destination, deliver
):
    finder = Finder("1.2.9.0", "1.2.9.2", "9.9")
    peer = start_scp(handlers=finder.handlers, setup=finder.setup).peer
    to = destination(peer, commitment=Commitment.NO, confirm_at=peer)
    add_result("1.2", to)
    deliver(to)
    assert sorted(_states(db)) == ["confirmed", "confirmed", "sent"]
    assert (finder.asked[0].QueryRetrieveLevel, finder.asked[0].StudyInstanceUID) == ("IMAGE", "1.2")
    assert next_owed_at(db, "pacs") == 60
    finder.uids = ("1.2.9.1",)
    deliver(to, now=60)
    assert _states(db) == ["confirmed"] * 3


def test_a_query_goes_where_commitment_is_found_to_be_missing(db, add_result, start_scp, destination, deliver):
    finder = Finder("1.2.9.0", "1.2.9.1", "1.2.9.2")
    pacs = start_scp(name="registry", handlers=finder.handlers, setup=finder.setup).peer
    to = destination(start_scp().peer, confirm_at=pacs)
    add_result("1.2", to)
    deliver(to)
    assert _states(db) == ["confirmed"] * 3


def test_a_query_that_fails_again_and_again_is_an_alarm(db, add_result, start_scp, destination, deliver):
    finder = Finder(status=0xC000)
    peer = start_scp(handlers=finder.handlers, setup=finder.setup).peer
    to = destination(peer, commitment=Commitment.NO, confirm_at=peer)
    add_result("1.2", to)
    now = 0.0
    for _ in range(MOST_ASKS):
        deliver(to, now=now)
        now = next_owed_at(db, "pacs")
    assert _states(db) == ["uncommitted"] * 3


@pytest.fixture
def asked(db, outputs):
    """A peer's request for one object that the node keeps and one that it does not."""
    (outputs / "kept.dcm").write_bytes(b"slice")
    kept = NewInstance(
        sop_instance_uid="5.1", sop_class_uid="1.2", study_instance_uid="5", series_instance_uid="5.0",
        transfer_syntax_uid=ExplicitVRLittleEndian, sha256="", size_bytes=5, path="kept.dcm",
        calling_ae="CT1", address="", facts=InstanceFacts(),
    )  # fmt: skip
    record(db, kept, now=0)
    named = tuple(Named(sop_class_uid="1.2", sop_instance_uid=uid) for uid in ("5.1", "5.2"))
    promise(db, Request(transaction_uid="7.7", objects=named), calling_ae="CT1", address="", now=0)


@pytest.fixture
def modality():
    """A peer that takes reports: it is called, and is the SCU all the same."""
    servers = []

    def start(status=0x0000):
        reports = []

        def on_report(event):
            context = event.assoc.accepted_contexts[0]
            reports.append((context.as_scu, context.as_scp, event.event_type, event.event_information))
            return status, None

        ae = AE(ae_title="CT1")
        ae.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, on_report)])
        servers.append(server)
        peer = Peer(name="ct", host="127.0.0.1", port=server.socket.getsockname()[1], ae_title="CT1")
        return peer, reports

    yield start
    for server in servers:
        server.shutdown()


def _report(db, peer, outputs, now=1.0):
    store = Store(root=outputs)
    return report_due(db, peer, store, clock=lambda: now, rng=Random(1), timeouts=QUICK)


@pytest.mark.usefixtures("asked")
def test_a_report_goes_out_over_an_association_in_which_we_are_the_scp(db, outputs, modality):
    peer, reports = modality()
    assert _report(db, peer, outputs)
    ((as_scu, as_scp, event_type, data),) = reports
    assert (as_scu, as_scp) == (True, False), "of the peer, who accepted that role"
    assert event_type == 2
    assert data.TransactionUID == "7.7"
    assert [item.ReferencedSOPInstanceUID for item in data.ReferencedSOPSequence] == ["5.1"]
    assert [(i.ReferencedSOPInstanceUID, i.FailureReason) for i in data.FailedSOPSequence] == [("5.2", 0x0112)]
    assert not _report(db, peer, outputs), "it is due no more"
    assert views.status(db, since=0).promises == {"reported": 1}


@pytest.mark.usefixtures("asked")
def test_a_report_that_is_not_taken_is_sent_again_later(db, outputs, modality):
    peer, reports = modality(status=0x0110)
    assert _report(db, peer, outputs)
    assert due_promise(db, "CT1", now=1) is None
    assert "0x0110" in views.status(db, since=0).untold[0]["reason"]
    peer, reports = modality()
    assert _report(db, peer, outputs, now=60)
    assert len(reports) == 1


@pytest.mark.usefixtures("asked")
def test_a_report_to_nobody_waits(db, outputs):
    gone = Peer(name="ct", host="127.0.0.1", port=1, ae_title="CT1")
    assert _report(db, gone, outputs)
    assert views.status(db, since=0).promises == {"due": 1}


@pytest.mark.usefixtures("asked")
def test_the_deliverer_reports_in_a_thread_of_its_own(db, outputs, modality):
    peer, reports = modality()
    deliverer = Deliverer(db, [], outputs, reported_to=[peer], poll_s=0.05, clock=lambda: 1.0)
    deliverer.start()
    try:
        _until(lambda: views.status(db, since=0).promises == {"reported": 1})
    finally:
        assert deliverer.stop(10)
    assert len(reports) == 1


def _until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)
