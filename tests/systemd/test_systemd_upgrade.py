"""A server with an older version and work in its queue is upgraded in place."""

import pytest

from tests.peers.series import study_of

REVISION = "SELECT version_num FROM alembic_version"


@pytest.fixture(scope="module")
def server(make_server):
    return make_server("upgrade")


def revision(server) -> str:
    command = (
        f"import sqlite3; print(sqlite3.connect('/var/lib/ichnode/queue.sqlite').execute('{REVISION}').fetchone())"
    )
    return server.machine.sh(f'sudo -u ichnode python3 -c "{command}"')


def test_an_upgrade_with_work_in_the_queue_migrates_it_and_doubles_nothing(server, older, present, orthanc, studies):
    delivered, waiting, queued = studies[:3]
    server.install(older)
    server.configure()
    server.machine.sh("systemctl start ichnode.target")
    server.send(delivered)
    server.assert_delivered_once(study_of(delivered))
    sent = orthanc.uids(study_of(delivered))
    orthanc.stop()
    server.send(waiting)
    server.wait_until_analysed(study_of(waiting), "done")
    server.machine.sh("systemctl stop ichnode-work@1")
    server.send(queued)
    server.wait_until_analysed(study_of(queued), "queued")
    of_old = revision(server)
    running = server.property("ichnode-receive", "MainPID")

    said = server.install(present)

    assert "The earlier version is still running" in said
    assert server.property("ichnode-receive", "MainPID") == running
    assert revision(server) == of_old
    server.machine.sh("systemctl restart ichnode.target")
    server.wait_until_up()
    assert revision(server) != of_old
    orthanc.start()
    for study in (waiting, queued, delivered):
        server.assert_delivered_once(study_of(study))
    assert orthanc.uids(study_of(delivered)) == sent
    server.ichnode("status")
