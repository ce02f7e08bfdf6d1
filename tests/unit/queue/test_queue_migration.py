"""No version migrates the queue under another that still runs."""

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing

import pytest
from sqlalchemy import create_engine

from ichnode.domain.errors import ConfigError, Retryable
from ichnode.queue.database import awaits_migration, open_database
from ichnode.queue.migration import migrate

EARLIER = "0004"
# A service of the earlier version: to it, these tables are current.
SERVICE = """
import sys
from pathlib import Path
from ichnode.queue import migration
migration.is_current = lambda engine: True
from ichnode.queue.database import open_database
db = open_database(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    """A queue of the earlier version."""
    path = tmp_path / "queue.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    migrate(engine, EARLIER)
    engine.dispose()
    return path


@pytest.fixture
def service(path):
    """A process of the earlier version that has the queue open."""
    command = [sys.executable, "-c", SERVICE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_queue_whose_rows_point_nowhere_is_left_as_it_was(path):
    with closing(sqlite3.connect(path)) as damaged, damaged:
        damaged.execute(
            "INSERT INTO jobs (series_id, kind, priority, state, reason, attempts, fence, not_before, created_at)"
            " VALUES (99, 'analyse', 10, 'queued', '', 0, 0, 0, 0)"
        )

    with pytest.raises(ConfigError, match="The queue is damaged: 1 of its rows point nowhere"):
        open_database(path, wait_s=0)

    assert awaits_migration(path)


@pytest.mark.usefixtures("service")
def test_a_queue_is_not_migrated_under_a_running_service_of_the_earlier_version(path):
    with pytest.raises(Retryable, match="an earlier version's, and a service of that version still runs"):
        open_database(path, wait_s=0.3)
    assert awaits_migration(path)


def test_a_service_that_was_killed_holds_up_no_migration(path, service):
    service.kill()
    service.wait()

    open_database(path, wait_s=0).close()

    assert not awaits_migration(path)


def test_a_migration_waits_for_a_service_that_is_about_to_end(path, service):
    opened = []
    thread = threading.Thread(target=lambda: opened.append(open_database(path, wait_s=20)))
    thread.start()
    thread.join(0.3)
    assert not opened

    service.stdin.close()
    thread.join(20)

    assert not awaits_migration(path)
    opened[0].close()


def test_two_that_start_at_once_after_an_upgrade_both_open_the_migrated_queue(path):
    opened = []
    threads = [threading.Thread(target=lambda: opened.append(open_database(path, wait_s=20))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(opened) == 2
    for database in opened:
        database.close()
