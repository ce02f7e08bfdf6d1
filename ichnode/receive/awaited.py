"""Instances that there was no room for: which series wait for them to come again."""

import logging
from collections.abc import Mapping

from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from ichnode.queue.database import Database
from ichnode.queue.intake import kept
from ichnode.receive.calls import arrival_of
from ichnode.receive.intake import series_of
from ichnode.service import trace

log = logging.getLogger(__name__)


def awaited_in(event: Event, db: Database) -> str:
    """The Series Instance UID of a refused instance that the node lacks; empty for what it holds or cannot understand.

    Never raises.
    """
    try:
        series = series_of(arrival_of(event, calling_ae=""))
    except Exception as error:  # noqa: BLE001
        log.error("a refused instance was not understood: %s", trace(error), extra={"action": "store"})  # noqa: TRY400
        return ""
    return series if series and not _holds(db, str(event.request.AffectedSOPInstanceUID)) else ""


def still_awaited(awaited: Mapping[str, str], db: Database) -> set[str]:
    """Of refused instances (SOP to Series Instance UID): the series that lack one, whoever else may have brought it."""
    return {series for instance, series in awaited.items() if not _holds(db, instance)}


def _holds(db: Database, sop_instance_uid: str) -> bool:
    """Of a queue that cannot be read: no."""
    try:
        return kept(db, sop_instance_uid) is not None
    except (OSError, SQLAlchemyError):
        return False
