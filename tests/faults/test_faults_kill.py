"""``kill -9`` of each service at every point of a study's walk: one set of results, nothing lost, nothing doubled."""

import signal

import pytest

from tests.faults.points import POINTS
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written


@pytest.fixture(scope="module")
def node(make_node, orthanc):
    node = make_node()
    node.configure([orthanc])
    node.bleed(PHANTOM_BLEED)
    node.start()
    return node


@pytest.mark.parametrize("point", POINTS)
def test_a_study_survives_kill_9_and_its_results_arrive_once(point, node, orthanc, tmp_path):
    paths = written(phantom(point), tmp_path)
    study, service = study_of(paths[0]), point.split(":")[0]
    node.stop(service)
    node.start(service, die_at=point)

    statuses = send(paths, node.port)

    assert node.wait_for_death(service) == -signal.SIGKILL
    node.start(service)
    unanswered = [path for path, status in statuses.items() if status is None]
    assert set(send(unanswered, node.port).values()) <= {0x0000}
    node.wait_for(study)
    [row] = node.history(study)
    assert row["instances"] == len(paths)
    assert [job["state"] for job in row["jobs"]] == ["done"]
    objects = orthanc.objects(study)
    assert {kind: len(found) for kind, found in objects.items() if kind != "SC"} == {"SEG": 1, "SR": 1}
    numbers = [int(picture.InstanceNumber) for picture in objects["SC"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert orthanc.uids(study) == node.made(study)
