"""A queue restored from a back-up that was taken while all ran: nothing lost, nothing doubled."""

import shutil

from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import wait_until


def test_a_node_restored_from_a_backup_taken_while_it_ran_loses_nothing_and_doubles_nothing_at_the_pacs(
    make_node, orthanc, tmp_path
):
    node = make_node()
    node.configure([orthanc])
    node.bleed(PHANTOM_BLEED)
    node.start()
    paths = {name: written(phantom(f"backup {name}"), tmp_path / name) for name in ("before", "at", "after", "last")}
    study = {name: study_of(found[0]) for name, found in paths.items()}
    backup = tmp_path / "queue.backup"
    send(paths["before"], node.port)
    node.wait_for(study["before"])
    node.stop("deliver")
    send(paths["at"], node.port)
    wait_until(lambda: any(row["deliveries"] for row in node.history(study["at"])), "a result waits to be delivered")

    assert node.ichnode("backup", str(backup)).returncode == 0

    node.start("deliver")
    send(paths["after"], node.port)
    node.wait_for(study["at"])
    node.wait_for(study["after"])
    node.stop("work")
    send(paths["last"], node.port)  # acknowledged, and not in the back-up
    there = {name: orthanc.uids(study[name]) for name in ("before", "at", "after")}
    node.stop()
    restore(node, backup)
    assert node.history(study["after"]) == []

    node.start()

    for name in paths:
        node.wait_for(study[name])
        assert [row["instances"] for row in node.history(study[name])] == [len(paths[name])]
    assert {name: orthanc.uids(study[name]) for name in there} == there
    for name in paths:
        assert orthanc.uids(study[name]) == node.made(study[name])
    with node.db.read() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert connection.exec_driver_sql("SELECT text FROM audit WHERE alarm").scalars().all() == []


def restore(node, backup) -> None:
    """As docs/how-to/backup.md says it."""
    node.db.close()
    node._db = None
    for name in ("queue.sqlite-wal", "queue.sqlite-shm"):
        (node.state_dir / name).unlink(missing_ok=True)
    shutil.copyfile(backup, node.state_dir / "queue.sqlite")
