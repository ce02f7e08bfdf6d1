"""The queue's files turn read-only under the running node, or are it when it starts.

Needs FUSE and the package mfusepy (FUSE_LIBRARY_PATH where libfuse is in no usual place).
"""

import errno
import threading
from pathlib import Path

import pytest

from ichnode.cli.context import Exit
from tests.faults.ledger import integrity
from tests.peers.node import SERVICES
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import missing, wait_until

try:
    from tests.faults.filling import mounted
except (ImportError, OSError):
    mounted = None

LOOKED_AT_S = 12.0
MOST_LINES = 2 * LOOKED_AT_S  # of a service's log: it does not spin
MOST_CPU = 0.3  # of one core
TICKS_PER_S = 100.0  # of /proc/PID/stat, sysconf(_SC_CLK_TCK)
SAID = ("readonly database", "disk I/O error", "unable to open database file")


@pytest.fixture(scope="module")
def node_and_disk(make_node, orthanc):
    if mounted is None:
        missing("mfusepy or libfuse")
    node = make_node()
    with mounted(node.state_dir) as disk:
        if disk is None:
            missing("the right to mount a FUSE")
        try:
            node.configure([orthanc], {"schedule": {"sweep_s": 2, "lease_sweep_s": 15}})  # as they are by default
            node.bleed(PHANTOM_BLEED)
            yield node, disk
        finally:
            node.close()


@pytest.fixture(params=[errno.EROFS, errno.EACCES], ids=["read-only file system", "no permission"])
def error(request):
    return request.param


def test_while_the_queue_is_read_only_senders_are_told_and_afterwards_all_goes_on(
    error, node_and_disk, orthanc, tmp_path
):
    node, disk = node_and_disk
    node.start()
    before, lying = (written(phantom(f"{name} {error}"), tmp_path / name) for name in ("before", "lying"))
    send(before, node.port)
    wait_until(lambda: bool(jobs(node, before)), "the first study is about to be analysed")
    used, lines = cpu_s(node), said(node)

    disk.tell(f"deny {error} queue.sqlite")

    assert set(send(lying, node.port).values()) == {0xA700}
    refused = len(lying)  # one line each
    threading.Event().wait(LOOKED_AT_S)
    assert not [service for service in SERVICES if node.has_ended(service)]
    for service in SERVICES:
        new = said(node)[service][len(lines[service]) :]
        assert len(new) - refused <= MOST_LINES, new
        assert cpu_s(node)[service] - used[service] < MOST_CPU * LOOKED_AT_S
    assert any(words in node.log("receive") for words in SAID), node.log("receive")
    assert any(words in node.log("work") for words in SAID), node.log("work")
    disk.tell("free")
    assert set(send(lying, node.port).values()) == {0x0000}
    for paths in (before, lying):
        study = study_of(paths[0])
        node.wait_for(study)
        assert node.history(study)[-1]["instances"] == len(paths)
        assert orthanc.uids(study) == node.made(study)
    assert integrity(node) == "ok"
    node.stop()


def test_a_node_that_finds_its_queue_read_only_says_so_and_goes_on_once_it_can_be_written(
    error, node_and_disk, orthanc, tmp_path
):
    node, disk = node_and_disk
    node.start()
    node.stop()
    disk.tell(f"deny {error} queue.sqlite")

    node.launch()

    wait_until(lambda: all(has_said(node, service) for service in SERVICES), "each is up, or has said why not")
    ended = [service for service in SERVICES if node.has_ended(service)]
    assert "receive" in ended  # the others write nothing before there is something to do
    assert {node.wait_for_death(service) for service in ended} == {Exit.LATER}  # for 2 systemd would not try again
    disk.tell("free")
    node.start(*ended)
    paths = written(phantom(f"after {error}"), tmp_path)
    assert set(send(paths, node.port).values()) == {0x0000}
    node.wait_for(study_of(paths[0]))
    assert orthanc.uids(study_of(paths[0])) == node.made(study_of(paths[0]))
    node.stop()


def has_said(node, service) -> bool:
    """Whether a service is ready, or has ended and told of the queue."""
    log = node.log(service)
    return f"{service} is ready" in log or (node.has_ended(service) and any(words in log for words in SAID))


def jobs(node, paths) -> list[str]:
    """States of the jobs of a study."""
    return [job["state"] for row in node.history(study_of(paths[0])) for job in row["jobs"]]


def cpu_s(node) -> dict[str, float]:
    """Seconds of processor time that each service has used, without its children."""
    stats = {name: Path(f"/proc/{node.pid(name)}/stat").read_text().rpartition(")")[2].split() for name in SERVICES}
    return {name: (int(fields[11]) + int(fields[12])) / TICKS_PER_S for name, fields in stats.items()}


def said(node) -> dict[str, list[str]]:
    """What each service has logged since it was started, in lines."""
    return {service: node.log(service).splitlines() for service in SERVICES}
