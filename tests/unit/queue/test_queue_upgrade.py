"""Services of two versions on one queue, each a process, as an upgrade leaves them when one of them ends by chance."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine

from ichnode.cli.context import Exit
from ichnode.queue.database import awaits_migration, open_database
from ichnode.queue.migration import migrate

EARLIER = "0004"
CONFIG = '[node]\nstate_dir = "state"\n[[receive.peer]]\nae_title = "*"\nnetwork = "127.0.0.1/32"\n'
# To a service of the earlier version these tables are current.
OF_EARLIER = "from ichnode.queue import migration; migration.is_current = lambda engine: True\n"
IMPATIENT = "from ichnode.queue import database; database.open_database.__kwdefaults__['wait_s'] = 0.3\n"
DEAF = "from ichnode.app import host; host.LOOK_S = 1e6\n"
DELIVER = "import sys; from ichnode.cli.main import main; sys.argv[1:] = ['--config', sys.argv[1], 'deliver']; main()\n"


@pytest.fixture
def path(tmp_path):
    """A queue of the earlier version."""
    (tmp_path / "config.toml").write_text(CONFIG)
    path = tmp_path / "state" / "queue.sqlite"
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    migrate(engine, EARLIER)
    engine.dispose()
    return path


@pytest.fixture
def deliverer(tmp_path):
    """Starts ``ichnode deliver`` of the earlier version, and waits until it is ready."""

    @contextmanager
    def _deliverer(how=""):
        command = [sys.executable, "-c", OF_EARLIER + how + DELIVER, str(tmp_path / "config.toml")]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert any("is ready" in line for line in process.stderr)
                yield process
            finally:
                process.kill()

    return _deliverer


def test_a_service_makes_way_for_one_of_a_later_version_and_ends_in_order(path, deliverer):
    with deliverer() as process:
        open_database(path, wait_s=30).close()

        assert "a later version waits for the queue" in process.stderr.read()
        assert process.wait(20) == Exit.OK
    assert not awaits_migration(path)


def test_a_service_that_may_not_migrate_says_why_and_ends_so_that_systemd_tries_it_again(path, deliverer, tmp_path):
    command = [sys.executable, "-c", IMPATIENT + DELIVER, str(tmp_path / "config.toml")]
    with deliverer(DEAF):
        (path.parent / "deliver.lock").unlink()  # as if this were another service of the node
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == Exit.LATER  # the units prevent a restart after USAGE alone
    assert "a service of that version still runs: it is not migrated" in said.stderr.replace("\n", " ")
    assert awaits_migration(path)
