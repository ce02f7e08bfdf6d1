"""Series that are made to break whoever reads them, sent to a whole node: each ends with its reason, in bounds of time
and memory, and a sound study that comes after is analysed by the same worker."""

import os
import time
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from ichnode.deliver.send import send as send_as_they_are
from ichnode.domain.errors import Rejected
from ichnode.domain.outputs import Peer
from ichnode.receive.part10 import LARGEST_HEADER_BYTES, read_header
from tests.faults.hostile import memory_mb
from tests.faults.poison import DEEP_ONES, POISONS, REASONS, deepened, deflated_bomb
from tests.peers.node import Node
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, uid, written
from tests.peers.tools import wait_until

LIMIT_S, MOST_MB = 60, 1500
SLICES = 12
TAKEN, NOT_UNDERSTOOD = 0x0000, 0xC000


@pytest.fixture(scope="module")
def node(make_node) -> Node:
    node = make_node()
    node.configure([], {"work": {"job_limit_s": LIMIT_S}})
    node.bleed(PHANTOM_BLEED)
    node.start("receive", "work")
    return node


def children(pid: int) -> list[int]:
    """Processes that a process has started, all the way down."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found] + [each for one in found for each in children(int(one))]


def peak_mb(node: Node) -> float:
    """The most memory that any process of the node has held."""
    peaks = [memory_mb(node.pid("receive"))]
    for pid in [node.pid("work"), *children(node.pid("work"))]:
        if os.path.exists(f"/proc/{pid}/status"):  # noqa: PTH110
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            peaks += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    return max(peaks)


def poisoned(name: str) -> list[Dataset]:
    """The middle slices of a phantom head, each spoiled."""
    slices = phantom(name)[:SLICES]
    for one in slices:
        POISONS[name](one)
    return slices


def ended(node: Node, study: str) -> bool:
    jobs = [job for row in node.history(study) for job in row["jobs"]]
    return bool(jobs) and all(job["state"] in ("done", "rejected", "failed") for job in jobs)


def test_each_poison_ends_with_its_reason_and_the_worker_lives(node, tmp_path):
    worker, before_mb = node.pid("work"), peak_mb(node)
    studies = {}
    this_node = Peer(name="node", host="127.0.0.1", port=node.port, ae_title="ICHNODE")
    begun = time.monotonic()
    for number, name in enumerate(POISONS):
        paths = written(poisoned(name), tmp_path / str(number))
        for path in paths if name == DEEP_ONES else ():
            path.write_bytes(deepened(path.read_bytes()))
        statuses = {answer.status for answer in send_as_they_are(paths, this_node)}
        assert statuses == {NOT_UNDERSTOOD if name == DEEP_ONES else TAKEN}, name
        if name != DEEP_ONES:
            studies[name] = uid(name, "study")
    assert node.history(uid(DEEP_ONES, "study")) == []
    for name, study in studies.items():
        wait_until(lambda study=study: ended(node, study), f"{name} ends")
        [row] = node.history(study)
        [job] = row["jobs"]
        assert (row["decision"], row["instances"], job["kind"]) == ("analyse", SLICES, "analyse"), name
        assert (job["state"], job["attempts"], job["reason"]) == ("rejected", 1, REASONS[name]), name
    took_s = time.monotonic() - begun

    sound = written(phantom("sound after poison"), tmp_path / "sound")
    assert set(send(sound, node.port).values()) == {0}
    wait_until(lambda: ended(node, study_of(sound[0])), "the sound one is analysed")

    assert [job["state"] for row in node.history(study_of(sound[0])) for job in row["jobs"]] == ["done"]
    assert node.pid("work") == worker
    peak = peak_mb(node)
    print(f"{len(POISONS)} poisons in {took_s:.0f} s; peak memory of a process {peak:.0f} MB, {before_mb:.0f} before")
    assert took_s < LIMIT_S + 60
    assert peak < max(MOST_MB, before_mb + 500)


def test_a_deflated_bomb_is_inflated_up_to_a_limit_and_refused():
    bomb = deflated_bomb(400)
    assert len(bomb) < 1 << 20

    begun = time.monotonic()
    with pytest.raises(Rejected):
        read_header(BytesIO(bomb), DeflatedExplicitVRLittleEndian)

    assert LARGEST_HEADER_BYTES < 400 << 20
    assert time.monotonic() - begun < 10
