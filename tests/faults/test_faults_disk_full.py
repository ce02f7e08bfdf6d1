"""A file system of its own for the node that fills up after so many KiB: wherever that is, nothing breaks for good.

Needs root, to mount a small tmpfs.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.ledger import integrity, without_row
from tests.peers.node import SERVICES
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import wait_until

SIZE_MIB = 200
LEFT_KIB = (0, 40, 1000, 2500, 4100, 5000)  # a study is 3.8 MiB, its results some hundreds KiB


@pytest.fixture(scope="module")
def node(make_node, orthanc) -> Iterator:
    node = make_node()
    node.state_dir.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(node.state_dir)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a tmpfs")
    try:
        node.configure([orthanc], {"receive": {"host": "127.0.0.1", "min_free_mb": 0}, "work": {"attempts": 100}})
        node.bleed(PHANTOM_BLEED)
        node.start()
        yield node
    finally:
        node.close()
        subprocess.run(["umount", "--lazy", str(node.state_dir)], check=True)


@pytest.mark.parametrize("left_kib", LEFT_KIB)
def test_when_the_disk_fills_up_the_sender_is_told_and_once_it_is_freed_the_results_arrive_once(
    left_kib, node, orthanc, tmp_path
):
    paths = written(phantom(f"full-{left_kib}"), tmp_path)
    study, ballast = study_of(paths[0]), node.state_dir / "ballast"
    fill(ballast, left_kib)

    statuses = send(paths, node.port)

    assert set(statuses.values()) <= {0x0000, 0xA700}
    refused = [path for path in paths if statuses[path] != 0x0000]
    accepted = len(paths) - len(refused)
    wait_until(
        lambda: full(node) or refused or node.is_settled(study), "somebody was told, or the disk was large enough"
    )
    ballast.unlink()
    for service in SERVICES:  # as systemd: what ended is started again, nothing else is done by hand
        if node.has_ended(service):
            node.wait_for_death(service)
            node.start(service)
    assert sum(row["instances"] for row in node.history(study)) >= accepted
    assert set(send(refused, node.port).values()) <= {0x0000}
    node.wait_for(study)
    assert node.history(study)[-1]["instances"] == len(paths)
    assert orthanc.uids(study) == node.made(study)
    assert integrity(node) == "ok"
    assert [path for path in without_row(node) if path.suffix == ".dcm"] == []


def fill(ballast: Path, left_kib: int) -> None:
    """Leaves so much room on the file system."""
    state = os.statvfs(ballast.parent)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(state.f_bavail * state.f_frsize - left_kib * 1024, 4096))


def full(node) -> bool:
    """Whether less is left than a page of the results needs: whoever writes now is told, or has been."""
    state = os.statvfs(node.state_dir)
    return state.f_bavail * state.f_frsize < 1000 * 1024
