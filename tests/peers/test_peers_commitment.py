"""Storage commitment with a real Orthanc, in both roles, through the real receiver and deliverer."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass

import pytest
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage
from sqlalchemy import select

from ichnode.domain.states import Closing
from ichnode.queue import outbox
from ichnode.queue.tables import COMMITMENTS
from tests.peers.orthanc import free_port
from tests.peers.results import add_result
from tests.peers.series import phantom, send, uid, written
from tests.peers.tools import program, wait_until


@pytest.fixture
def known(make_orthanc, make_node):
    """An Orthanc and a node that know each other; neither runs yet."""
    orthanc, node = make_orthanc(), make_node()
    orthanc.modalities = {"ichnode": ["ICHNODE", "127.0.0.1", node.port]}
    yield orthanc, node
    node.close()
    orthanc.stop()


def states(node, name):
    return [d["state"] for row in node.history(uid(name, "study")) for d in row["deliveries"]]


def wait_for(node, name, state):
    wait_until(lambda: states(node, name) == [state] * 3, f"{state}; see {node.folder}", limit_s=60)


def test_orthanc_commits_to_what_it_was_sent(known):
    orthanc, node = known
    orthanc.start()
    node.configure([orthanc])
    uids = add_result(node, "committed", "pacs-1")
    node.start("receive")
    node.start("deliver")
    started = time.monotonic()
    wait_for(node, "committed", "committed")
    print(f"committed after {time.monotonic() - started:.2f} s")
    assert orthanc.uids(uid("committed", "study")) == sorted(uids)
    assert node.json("status")["deliveries"] == {"pacs-1": {"committed": 3}}
    [audit] = [row["audit"] for row in node.history(uid("committed", "study"))]
    sent, done = ([e.at for e in audit if e.new == state] for state in ("sent", "committed"))
    print(f"from the last object sent to committed: {max(done) - max(sent):.3f} s")


def test_orthanc_forgets_a_request_when_it_restarts_and_is_asked_again(known):
    """No receiver runs, so the report cannot be delivered; Orthanc keeps requests in memory alone."""
    orthanc, node = known
    orthanc.start()
    node.configure([orthanc], commitment_wait_s=4)
    uids = add_result(node, "forgotten", "pacs-1")
    node.start("deliver")
    wait_until(lambda: requests(node) == ["open"], "it was asked", limit_s=30)
    orthanc.restart()
    assert states(node, "forgotten") == ["sent"] * 3
    node.start("receive")
    wait_for(node, "forgotten", "committed")
    assert requests(node)[0] == "overdue"
    assert requests(node)[-1] == "reported"
    assert orthanc.uids(uid("forgotten", "study")) == sorted(uids)


def test_a_request_outlives_a_killed_deliverer(known):
    orthanc, node = known
    orthanc.start()
    node.configure([orthanc], commitment_wait_s=4)
    uids = add_result(node, "cut", "pacs-1")
    node.start("deliver")
    wait_until(lambda: requests(node) == ["open"], "it was asked", limit_s=30)
    os.kill(node.pid("deliver"), signal.SIGKILL)
    node.wait_for_death("deliver")
    node.start("receive")
    node.start("deliver")
    wait_for(node, "cut", "committed")
    sent = [e for row in node.history(uid("cut", "study")) for e in row["audit"] if e.new == "sent"]
    assert len(sent) == len(uids), "nothing was sent twice"


def test_what_orthanc_has_not_got_is_sent_again_and_asked_for_again(known):
    orthanc, node = known
    orthanc.start()
    node.configure([orthanc])
    uids = add_result(node, "lost", "pacs-1")
    for due in outbox.due(node.db, "pacs-1", now=time.time())[:2]:  # two are there for us, but not for Orthanc
        outbox.sent(node.db, due.delivery_id, status=0, now=time.time(), closing=Closing.COMMIT, ask_at=time.time() + 1)
    node.start("receive")
    node.start("deliver")
    wait_for(node, "lost", "committed")
    assert orthanc.uids(uid("lost", "study")) == sorted(uids)
    told = [entry.text for row in node.history(uid("lost", "study")) for entry in row["audit"]]
    assert told.count("0x0112: no such object instance: sent again") == 2


def test_an_orthanc_that_does_not_know_us_breaks_off_and_is_asked_again_later(make_orthanc, make_node):
    orthanc, node = make_orthanc(), make_node()
    orthanc.start()
    node.configure([orthanc])
    add_result(node, "stranger", "pacs-1")
    node.start("deliver")
    wait_until(lambda: requests(node) == ["refused"], "it was asked", limit_s=30)
    assert states(node, "stranger") == ["sent"] * 3
    status = node.ichnode("status").stdout
    assert "to pacs-1: 0 to go, 3 delivered, 0 refused for good, 3 to be committed\n" in status
    shown = node.ichnode("show", uid("stranger", "study")).stdout
    assert "pacs-1 sent (the peer aborted the association, or the connection was lost; to be committed" in shown
    node.close()
    orthanc.stop()


def test_dcmtk_which_has_no_commitment_is_found_out_and_shown(make_node, tmp_path):
    @dataclass
    class StoreScp:
        dicom_port: int

    node, peer = make_node(), StoreScp(free_port())
    with subprocess.Popen([program("storescp"), "-od", str(tmp_path), str(peer.dicom_port)]) as process:
        try:
            node.configure([peer])
            add_result(node, "plain", "pacs-1")
            node.start("deliver")
            wait_until(lambda: "no storage commitment" in node.ichnode("status").stdout, "it is learnt", limit_s=60)
            assert states(node, "plain") == ["sent"] * 3
            assert requests(node) == []
            assert node.json("status")["awaited"] == {}
        finally:
            process.terminate()
    node.close()


def test_without_commitment_a_query_confirms_what_orthanc_has(known):
    orthanc, node = known
    orthanc.start()
    node.configure([orthanc], forms=[{"commitment": "no", "confirm": True}])
    add_result(node, "confirmed", "pacs-1")
    node.start("deliver")
    wait_for(node, "confirmed", "confirmed")
    assert requests(node) == []


def test_a_modality_is_told_what_the_node_keeps(known, tmp_path):
    """Orthanc asks, and takes the report."""
    orthanc, node = known
    orthanc.start()
    node.configure([orthanc])
    node.start("receive", "deliver")
    paths = written(phantom("kept")[:3], tmp_path)
    assert set(send(paths, node.port).values()) == {0}
    kept = [(CTImageStorage, uid("kept", number)) for number in range(3)]
    started = time.monotonic()
    assert report(orthanc, orthanc.ask_commitment("ichnode", kept)) == {}
    print(f"reported after {time.monotonic() - started:.2f} s")
    wrong = [kept[0], (SecondaryCaptureImageStorage, uid("kept", 1)), (CTImageStorage, uid("kept", "never"))]
    failures = report(orthanc, orthanc.ask_commitment("ichnode", wrong))
    assert failures == {uid("kept", 1): 0x0119, uid("kept", "never"): 0x0112}


def test_a_request_outlives_a_killed_receiver(known, tmp_path):
    orthanc, node = known
    orthanc.start()
    node.configure([orthanc])
    node.start("receive")
    [path] = written(phantom("killed")[:1], tmp_path)
    send([path], node.port)
    place = orthanc.ask_commitment("ichnode", [(CTImageStorage, uid("killed", 0))])
    os.kill(node.pid("receive"), signal.SIGKILL)
    node.wait_for_death("receive")
    node.start("receive", "deliver")
    assert report(orthanc, place) == {}


def requests(node):
    with node.db.read() as connection:
        return list(connection.execute(select(COMMITMENTS.c.state).order_by(COMMITMENTS.c.id)).scalars())


def report(orthanc, place):
    """The failures in the report that Orthanc has been sent: SOP instance UID -> reason."""
    wait_until(lambda: orthanc.get(place)["Status"] != "Pending", "Orthanc has the report", limit_s=60)
    return {each["SOPInstanceUID"]: each["FailureReason"] for each in orthanc.get(place)["Failures"]}
