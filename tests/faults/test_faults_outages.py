"""What lies around the node fails and comes back: the PACS, the disk."""

import os
import shutil

from tests.peers.node import DELIVERED
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import missing, wait_until

MIB = 2**20
SLACK_MB = 512  # other programs write on the same disk meanwhile


def test_while_a_pacs_is_down_the_other_is_served_and_once_it_is_up_it_gets_everything(
    make_node, make_orthanc, tmp_path
):
    down, up = make_orthanc(), make_orthanc()
    up.start()
    node = make_node()
    node.configure([down, up])
    node.bleed(PHANTOM_BLEED)
    node.start()
    paths = written(phantom("outage"), tmp_path)
    study = study_of(paths[0])
    send(paths, node.port)

    def deliveries(name: str) -> list[dict]:
        return [d for row in node.history(study) for d in row["deliveries"] if d["destination"] == name]

    wait_until(lambda: set() < {d["state"] for d in deliveries("pacs-2")} <= DELIVERED, "the one that is up has it all")
    wait_until(lambda: max((d["attempts"] for d in deliveries("pacs-1")), default=0) >= 2, "the other was tried again")
    assert {d["state"] for d in deliveries("pacs-1")} == {"pending"}
    assert up.uids(study) == node.made(study)

    down.start()

    node.wait_for(study)
    assert down.uids(study) == up.uids(study) == node.made(study)


def test_below_the_floor_of_the_disk_every_instance_is_refused_and_once_it_is_freed_accepted(make_node, tmp_path):
    node = make_node()
    free_mb = shutil.disk_usage(node.folder).free // MIB
    if free_mb < 4 * SLACK_MB:
        missing(f"{4 * SLACK_MB} MB of free disk")
    node.configure([], {"receive": {"host": "127.0.0.1", "min_free_mb": free_mb - SLACK_MB}})
    node.start("receive")
    paths = written(phantom("floor")[:5], tmp_path)
    study = study_of(paths[0])
    filler = node.folder / "filler"

    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 2 * SLACK_MB * MIB)
    refused = send(paths, node.port)

    assert set(refused.values()) == {0xA700}
    assert node.history(study) == []
    assert not [path for path in (node.state_dir / "instances").rglob("*") if path.is_file()]  # nothing half-written
    wait_until(lambda: "5 because the disk is below its floor" in alarms(node), "an alarm says so")

    filler.unlink()

    assert set(send(paths, node.port).values()) == {0x0000}
    [row] = node.history(study)
    assert row["instances"] == len(paths)


def alarms(node) -> str:
    """The alarms of the node's own history."""
    with node.db.read() as connection:
        return "; ".join(connection.exec_driver_sql("SELECT text FROM audit WHERE alarm").scalars())
