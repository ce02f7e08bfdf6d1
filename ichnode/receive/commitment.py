"""Storage commitment at the SCP: reports of destinations on what we sent. Source: PS3.4 annex J."""

from collections.abc import Callable
from typing import Any

from pynetdicom import evt
from pynetdicom.events import Event

from ichnode.commitment import answer_report
from ichnode.queue.database import Database

Handlers = list[tuple[Any, Callable[[Event], Any]]]


def commitment_handlers(db: Database, clock: Callable[[], float]) -> Handlers:
    """What the SCP does with the messages of storage commitment."""

    def on_report(event: Event) -> tuple[int, None]:
        return answer_report(event, db=db, ae_title=event.assoc.requestor.ae_title.strip(), clock=clock)

    return [(evt.EVT_N_EVENT_REPORT, on_report)]
