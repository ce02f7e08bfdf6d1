"""The line between a modality and the node breaks, stalls, crawls, or brings everything several times over.

The receiver runs as the service that it is, and the modality is pynetdicom; the line is a relay that breaks as told.
"""

import copy
import time
from functools import partial

import pytest
from pydicom import Dataset

from tests.faults.slow_line import relay, threads
from tests.peers.node import Node
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, uid, written
from tests.peers.tools import wait_until

SLICES, LARGE = 30, 400
NETWORK_TIMEOUT_S = 3


@pytest.fixture(scope="module")
def node(make_node) -> Node:
    """A node whose receiver alone runs."""
    node = make_node()
    node.configure([], {"receive": {"host": "127.0.0.1", "min_free_mb": 100, "network_timeout_s": NETWORK_TIMEOUT_S}})
    node.start("receive")
    return node


def small(name: str, count: int) -> list[Dataset]:
    """A series of so many slices of 64 × 64, 1 mm apart."""
    template = phantom(name)[0]
    del template.PixelData
    made = []
    for number in range(count):
        one = copy.deepcopy(template)
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = uid(name, number)
        one.InstanceNumber, one.SliceThickness = number + 1, 1
        one.ImagePositionPatient = [-100, -100, float(number)]
        one.Rows = one.Columns = 64
        one.PixelData = bytes(2 * 64 * 64)
        made.append(one)
    return made


def settled(node: Node, study: str) -> bool:
    return bool(node.history(study)) and all(row["decision"] != "pending" for row in node.history(study))


def test_a_line_that_is_cut_in_mid_pdu_leaves_whole_slices_and_the_rest_comes_later(node, tmp_path):
    paths = written(phantom("mid-pdu"), tmp_path)
    study = study_of(paths[0])
    half = sum(path.stat().st_size for path in paths[:10]) + paths[10].stat().st_size // 2

    with relay(node.port, dead_after=half) as line, threads(partial(send, paths, line.port)) as done:
        wait_until(lambda: line.sent > half, "half of it is through")
        wait_until(lambda: node.history(study) and node.history(study)[0]["instances"] >= 9, "what came is kept")
        line.close()
    [statuses] = done
    taken = [path for path, status in statuses.items() if status == 0]

    [row] = node.history(study)
    assert len(taken) <= row["instances"] <= len(taken) + 1 < SLICES
    time.sleep(2.5)  # more than it has to be quiet for: but it was cut
    assert not settled(node, study)

    again = send(paths, node.port)

    assert set(again.values()) == {0}
    wait_until(lambda: settled(node, study), "it is complete now")
    [row] = node.history(study)
    assert (row["instances"], row["revision"], row["missing"]) == (SLICES, 1, 0)


def test_a_connection_that_nobody_ends_holds_neither_others_nor_its_own_series(node, tmp_path):
    """Half open: the cable is pulled, and neither side is told."""
    paths = written(phantom("pulled"), tmp_path / "pulled")
    sound = written(phantom("sound"), tmp_path / "sound")
    study = study_of(paths[0])
    half = sum(path.stat().st_size for path in paths[:10])

    with relay(node.port, dead_after=half) as line, threads(partial(send, paths, line.port)):
        wait_until(lambda: line.sent > half, "the line is dead")
        begun = time.monotonic()
        assert set(send(sound, node.port).values()) == {0}
        print(f"{SLICES} slices beside a dead connection: {time.monotonic() - begun:.1f} s")
        wait_until(lambda: "broken off" in node.log("receive"), "the silent one is given up")
        silent_s = time.monotonic() - begun
        line.close()
        wait_until(lambda: settled(node, study_of(sound[0])), "the other is decided")
        assert not settled(node, study)
        assert set(send(paths, node.port).values()) == {0}
        wait_until(lambda: settled(node, study), "the rest came another way")
    assert silent_s < NETWORK_TIMEOUT_S + 5
    [row] = node.history(study)
    assert (row["instances"], row["revision"]) == (SLICES, 1)


def test_a_series_of_400_slices_over_a_slow_line_is_one_revision(node, tmp_path):
    """It is looked at every 0.3 s, and needs to be quiet for 1 s only."""
    paths = written(small("crawls", LARGE), tmp_path)
    study = study_of(paths[0])
    begun = time.monotonic()

    with relay(node.port, bytes_per_s=500_000) as line:
        assert set(send(paths, line.port).values()) == {0}
    print(f"{LARGE} slices of 8 kB over 500 kB/s: {time.monotonic() - begun:.1f} s")

    wait_until(lambda: settled(node, study), "it is complete")
    [row] = node.history(study)
    assert (row["instances"], row["revision"], row["missing"]) == (LARGE, 1, 0)


def test_the_sender_of_one_slice_that_crawls_does_not_delay_others(node, tmp_path):
    paths = written(phantom("beside"), tmp_path / "beside")
    slow = written(phantom("slow")[:1], tmp_path / "slow")
    send(paths[:1], node.port)
    begun = time.monotonic()
    send(paths, node.port)
    alone_s = time.monotonic() - begun

    with relay(node.port, bytes_per_s=20_000) as line, threads(partial(send, slow, line.port)) as done:
        wait_until(lambda: line.sent > 1000, "it has begun")
        begun = time.monotonic()
        assert set(send(paths, node.port).values()) == {0}
        beside_s = time.monotonic() - begun
        assert not done  # it still crawls
    print(f"{SLICES} slices alone {alone_s:.2f} s, beside one that crawls {beside_s:.2f} s")
    assert set(done[0].values()) == {0}
    assert beside_s < 2 * alone_s + 2


def test_the_same_study_five_times_at_once_and_from_two_pacs_is_analysed_once_and_delivered_once(
    make_node, make_orthanc, tmp_path
):
    """Three modalities and two Orthancs send it at the same time; one of the two also gets the results."""
    node, pacs, other = make_node(), make_orthanc(), make_orthanc()
    for orthanc in (pacs, other):
        orthanc.modalities = {"node": ["ICHNODE", "127.0.0.1", node.port]}
        orthanc.start()
    node.configure([pacs])
    node.bleed(PHANTOM_BLEED)
    node.start()
    paths = written(phantom("five times"), tmp_path)
    study = study_of(paths[0])
    for path in paths:
        pacs.put(path.read_bytes())
        other.put(path.read_bytes())

    senders = [partial(send, paths, node.port)] * 3 + [partial(one.send, "node", study) for one in (pacs, other)]
    with threads(*senders) as done:
        pass

    assert len(done) == 5
    assert all(set(statuses.values()) == {0} for statuses in done if "FailedInstancesCount" not in statuses)
    assert [statuses["FailedInstancesCount"] for statuses in done if "FailedInstancesCount" in statuses] == [0, 0]
    node.wait_for(study)
    [row] = node.history(study)
    assert (row["instances"], row["revision"], len(row["jobs"])) == (SLICES, 1, 1)
    images = {uid("five times", number) for number in range(SLICES)}
    assert sorted(set(pacs.uids(study)) - images) == node.made(study)
    assert len(pacs.uids(study)) == SLICES + len(node.made(study))
    assert node.stop() == {"receive": 0, "work": 0, "deliver": 0}
