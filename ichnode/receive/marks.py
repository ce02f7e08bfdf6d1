"""How the transfer of each series stands, written into the queue: later, where it cannot be written at once."""

import logging
import threading
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from ichnode.domain.states import Transfer
from ichnode.queue.database import Database
from ichnode.queue.series import mark_transfer

log = logging.getLogger(__name__)


class Marks:
    """Safe to use from several threads. Nobody waits for the queue but who writes into it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._writing = threading.Lock()
        self._lock = threading.Lock()  # of what follows
        self._open: set[str] = set()
        self._left: dict[str, Transfer] = {}

    def open(self, series_instance_uid: str) -> None:
        """An association sends this series, of which there is an image. Raises OSError and the database's errors."""
        with self._lock:
            if series_instance_uid in self._open:
                return
        with self._writing:
            with self._lock:
                self._left.pop(series_instance_uid, None)
                self._open.add(series_instance_uid)
            try:
                mark_transfer(self._db, series_instance_uid, Transfer.OPEN)
            except BaseException:
                with self._lock:
                    self._open.discard(series_instance_uid)
                raise
        self.catch_up()

    def open_later(self, series_instance_uid: str) -> None:
        """An association is to bring an image of this series, for which there was no room: the queue need not be
        asked now. Of a series without any image there is nothing to write."""
        with self._lock:
            if series_instance_uid not in self._open:
                self._left[series_instance_uid] = Transfer.OPEN

    def end(self, ended: Mapping[str, Transfer]) -> None:
        """Nobody sends these series any more. Never raises for a database that cannot be written now."""
        with self._lock:
            self._open -= ended.keys()
            self._left |= ended
        self.catch_up()

    def catch_up(self) -> None:
        """Writes what is left to write, unless another thread does so already."""
        while self._left and self._writing.acquire(blocking=False):
            try:
                if not self._write():
                    return
            finally:
                self._writing.release()

    def _write(self) -> bool:
        """Writes what is left; False when the queue cannot be written."""
        while True:
            with self._lock:
                if not self._left:
                    return True
                uid, transfer = next(iter(self._left.items()))
            try:
                mark_transfer(self._db, uid, transfer)
            except (OSError, SQLAlchemyError) as error:
                left, name = len(self._left), type(error).__name__
                log.error("the end of %d series is to be noted later: %s", left, name, extra={"action": "end"})  # noqa: TRY400
                return False
            with self._lock:
                if self._left.get(uid) is transfer:  # nothing newer is to be said of it
                    del self._left[uid]
