"""A node's store and queue in a temporary folder, emptied now and then so that a long run does not fill the disk."""

import atexit
import math
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from ichnode.queue.database import Database, open_database
from ichnode.receive.settle import SweepSettings, sweep
from ichnode.receive.silence import Silence
from ichnode.store.layout import Store
from tests.fuzz.limits import Find

INSTANCES: Final = 200  # kept before everything is swept and emptied


class Node:
    """What an instance is taken into."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ichnode-fuzz-"))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self._kept = 0
        self._open()

    db: Database
    store: Store

    def _open(self) -> None:
        self.store = Store(root=self._folder / "store")
        self.store.make_folders()
        self.db = open_database(self._folder / "queue.sqlite")

    def count(self) -> None:
        """One more instance was kept."""
        self._kept += 1
        if self._kept % INSTANCES == 0:
            self.settle()
            self.db.close()
            shutil.rmtree(self._folder)
            self._open()

    def settle(self) -> None:
        """Settles and decides all that was kept, as the sweep does when it was quiet for a day.

        Raises Find for a series or study that the sweep could not look at.
        """
        told: set[str] = set()
        silence = Silence(begun=-math.inf)
        now = time.time() + 86400
        sweep(self.db, SweepSettings(), now=now, is_open=lambda _: False, told=told, silence=silence)
        if told:
            raise Find(f"the sweep broke: {sorted(told)}")
