"""SIGTERM: what is in hand is finished or given back, what is new is refused, nothing is lost."""

import threading

import pytest

from tests.peers.node import echoes
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import wait_until


@pytest.fixture
def node(make_node):
    node = make_node()
    node.configure([])
    node.bleed(PHANTOM_BLEED)
    return node


def test_receive_finishes_the_instance_in_hand_and_refuses_new_associations(node, tmp_path):
    node.start("receive", die_at="receive: an instance in hand")
    paths = written(phantom("sigterm"), tmp_path)
    statuses = {}
    sender = threading.Thread(target=lambda: statuses.update(send(paths, node.port)))
    sender.start()
    wait_until((node.state_dir / "held").exists, "the third instance is in hand")
    assert echoes(node.port)

    receive = node.terminate("receive")

    wait_until(lambda: not echoes(node.port), "new associations are refused")
    assert receive.poll() is None  # it waits for the instance in hand
    assert sender.is_alive()
    (node.state_dir / "go").touch()
    assert receive.wait(60) == 0
    sender.join(60)
    accepted = [path for path, status in statuses.items() if status == 0x0000]
    assert accepted[:3] == paths[:3]
    assert set(statuses.values()) <= {0x0000, 0xA700, None}
    [row] = node.history(study_of(paths[0]))
    assert row["instances"] == len(accepted)  # what was answered with success is there, and nothing else

    node.start("receive")

    assert set(send([path for path in paths if path not in accepted], node.port).values()) == {0x0000}
    assert node.history(study_of(paths[0]))[0]["instances"] == len(paths)


def test_work_gives_its_lease_back_and_the_next_worker_needs_no_second_attempt(node, tmp_path):
    node.start("receive")
    node.start("work", die_at="work: its child computes")
    paths = written(phantom("lease"), tmp_path)
    study = study_of(paths[0])
    send(paths, node.port)
    wait_until((node.state_dir / "held").exists, "the network computes")

    assert node.stop("work") == {"work": 0}

    [job] = node.history(study)[0]["jobs"]
    assert (job["state"], job["attempts"], job["owner"]) == ("queued", 0, None)
    assert not node.history(study)[0]["outputs"]

    node.start("work")

    node.wait_for(study)
    [job] = node.history(study)[0]["jobs"]
    assert (job["state"], job["attempts"]) == ("done", 1)


def test_deliver_ends_in_order_while_its_pacs_is_down(node, make_orthanc, tmp_path):
    node.configure([make_orthanc()])
    node.start()
    paths = written(phantom("deliver"), tmp_path)
    study = study_of(paths[0])
    send(paths, node.port)
    wait_until(lambda: any(d["attempts"] for row in node.history(study) for d in row["deliveries"]), "it was tried")

    assert node.stop("deliver") == {"deliver": 0}

    assert {d["state"] for d in node.history(study)[0]["deliveries"]} == {"pending"}
