"""The queue's file: locked by somebody else for half a minute, while the sender gives up after 20 s and comes back."""

import sqlite3
import threading

from tests.faults.ledger import integrity
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written

LOCKED_S = 30.0


def test_a_queue_locked_for_half_a_minute_costs_no_instance_and_no_service(make_node, orthanc, tmp_path):
    node = make_node()
    node.configure([orthanc])
    node.bleed(PHANTOM_BLEED)
    node.start()
    paths = written(phantom("locked"), tmp_path)
    study = study_of(paths[0])
    pids = {service: node.pid(service) for service in ("receive", "work", "deliver")}
    backup = sqlite3.connect(node.state_dir / "queue.sqlite", isolation_level=None, check_same_thread=False)
    backup.execute("BEGIN EXCLUSIVE")
    freed = threading.Timer(LOCKED_S, lambda: backup.execute("ROLLBACK"))
    freed.start()

    statuses = send(paths, node.port)

    assert set(statuses.values()) <= {0x0000, 0xA700, None}
    left = [path for path, status in statuses.items() if status != 0x0000]
    assert freed.is_alive()  # it comes back before the lock is gone: what it sent before is still in the node's hands
    assert set(send(left, node.port).values()) <= {0x0000}
    freed.join()
    backup.close()
    node.wait_for(study)
    [row] = node.history(study)
    assert row["instances"] == len(paths)
    assert orthanc.uids(study) == node.made(study)
    assert not [service for service in pids if node.has_ended(service)]
    assert integrity(node) == "ok"
