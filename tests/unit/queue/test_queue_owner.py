"""A verb that root calls leaves nothing behind that would shut the service's user out."""

import os
import subprocess
import sys

import pytest

OPEN = """
import sys
from pathlib import Path
from ichnode.queue.database import open_database
open_database(Path(sys.argv[1])).close()
"""
NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for another user")
def test_what_root_makes_beside_a_queue_is_its_owners(tmp_path):
    queue = tmp_path / "queue.sqlite"
    subprocess.run([sys.executable, "-c", OPEN, str(queue)], check=True, timeout=60)
    for path in (tmp_path, *tmp_path.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    for lock in tmp_path.glob("*.lock"):  # as in a folder into which a back-up was restored
        lock.unlink()

    subprocess.run([sys.executable, "-c", OPEN, str(queue)], check=True, timeout=60)

    assert {path.name: path.stat().st_uid for path in tmp_path.iterdir()} == {
        path.name: NOBODY for path in tmp_path.iterdir()
    }
    assert list(tmp_path.glob("*.lock"))
