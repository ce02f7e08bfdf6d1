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
    """Safe to use from several threads."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._left: dict[str, Transfer] = {}

    def open(self, series_instance_uid: str) -> None:
        """An association began to send this series. Raises OSError and the database's errors."""
        with self._lock:
            self._left.pop(series_instance_uid, None)
            mark_transfer(self._db, series_instance_uid, Transfer.OPEN)

    def end(self, ended: Mapping[str, Transfer]) -> None:
        """Nobody sends these series any more. Never raises for a database that cannot be written now."""
        with self._lock:
            self._left |= ended
        self.catch_up()

    def catch_up(self) -> None:
        """Writes what could not be written before."""
        with self._lock:
            for uid, transfer in list(self._left.items()):
                try:
                    mark_transfer(self._db, uid, transfer)
                except (OSError, SQLAlchemyError) as error:
                    left, name = len(self._left), type(error).__name__
                    log.error("the end of %d series is to be noted later: %s", left, name, extra={"action": "end"})  # noqa: TRY400
                    return
                del self._left[uid]
