"""The power fails: what was not synced is gone; what was answered with success is there.

Needs FUSE and the package mfusepy (FUSE_LIBRARY_PATH where libfuse is in no usual place).
"""

import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pydicom import dcmread

from ichnode.queue.retention import known_files
from tests.faults.ledger import ALL, integrity
from tests.peers.node import SERVICES
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import CHECKOUT, wait_until

try:
    import mfusepy
except (ImportError, OSError):
    mfusepy = None

SEEDS = range(3)  # the moments: so many seconds after the first instance is sent
LONGEST_S = 20.0
QUIET_S = 15  # the sender is back within it: else what came before the cut makes a revision of its own


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "kept"


@pytest.fixture
def node(make_node, orthanc, kept):
    if mfusepy is None:
        pytest.skip("mfusepy or libfuse is missing")
    node = make_node()
    node.state_dir.mkdir()
    command = [sys.executable, "-m", "tests.faults.volatile", str(node.state_dir), str(kept)]
    disk = subprocess.Popen(command, cwd=CHECKOUT)
    try:
        wait_until(lambda: node.state_dir.is_mount() or disk.poll() is not None, "the disk is there")
        if disk.poll() is not None:
            pytest.skip("no right to mount a FUSE")
        node.configure([orthanc], {"series": {"quiet_s": QUIET_S, "study_quiet_s": 1, "give_up_s": 600}})
        node.bleed(PHANTOM_BLEED)
        yield node
    finally:
        node.close()
        subprocess.run(["umount", "--lazy", str(node.state_dir)], check=False, capture_output=True)
        disk.wait(30)


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_power_cut_every_acknowledged_instance_is_whole_and_its_study_goes_on(
    seed, node, kept, orthanc, tmp_path
):
    node.start()
    paths = written(phantom(f"power-{seed}"), tmp_path / "sent")
    study, statuses = study_of(paths[0]), {}
    sender = threading.Thread(target=_send_slowly, args=(paths, node.port, statuses))
    sender.start()
    sender.join(random.Random(seed).uniform(0.5, LONGEST_S))

    acknowledged = [path for path in paths if statuses.get(path) == 0x0000]
    cut(node)
    sender.join()
    replace_disk(node, kept)

    assert integrity(node) == "ok"
    held = {file.path for file in known_files(node.db, after="", limit=ALL)}
    there = {dcmread(node.state_dir / path).SOPInstanceUID for path in held if path.startswith("instances/")}
    assert {dcmread(path).SOPInstanceUID for path in acknowledged} <= there
    node.bleed(PHANTOM_BLEED)
    node.start()
    left = [path for path in paths if path not in acknowledged]
    assert set(send(left, node.port).values()) <= {0x0000}
    node.wait_for(study)
    assert node.history(study)[-1]["instances"] == len(paths)
    assert {kind: len(found) for kind, found in orthanc.objects(study).items() if kind != "SC"} == {"SEG": 1, "SR": 1}
    assert orthanc.uids(study) == node.made(study)


def _send_slowly(paths, port, statuses) -> None:
    """One association a slice, spread over the time in which the power is cut."""
    for path in paths:
        statuses.update(send([path], port))
        time.sleep(LONGEST_S / len(paths))


def cut(node) -> None:
    """The disk is frozen first, then everything is dead: nothing that a dying process does reaches it."""
    (node.state_dir / ".cut").exists()
    for service in SERVICES:
        node.kill(service)


def replace_disk(node, kept: Path) -> None:
    """What the disk has kept stands where it was mounted."""
    subprocess.run(["umount", "--lazy", str(node.state_dir)], check=True)
    node.state_dir.rmdir()
    kept.rename(node.state_dir)
    cache = node.state_dir / "cache"
    if not cache.is_symlink():
        cache.symlink_to(node.cache)
