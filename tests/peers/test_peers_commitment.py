"""Storage commitment with a real Orthanc, in both roles, through the real receiver and deliverer."""

import time

import pytest

from tests.peers.results import add_result
from tests.peers.series import uid
from tests.peers.tools import wait_until


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
    node.start("receive", "deliver")
    started = time.monotonic()
    wait_for(node, "committed", "committed")
    print(f"committed after {time.monotonic() - started:.2f} s")
    assert orthanc.uids(uid("committed", "study")) == sorted(uids)
    assert node.json("status")["deliveries"] == {"pacs-1": {"committed": 3}}
    [audit] = [row["audit"] for row in node.history(uid("committed", "study"))]
    sent, done = ([e.at for e in audit if e.new == state] for state in ("sent", "committed"))
    print(f"from the last object sent to committed: {max(done) - max(sent):.3f} s")
