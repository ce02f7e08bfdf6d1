"""Storage commitment at the SCP: requests of modalities, and reports of destinations on what we sent them.

Source: PS3.4 annex J.
"""

import logging
from collections.abc import Callable
from threading import Thread
from typing import Any, Final

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from ichnode.commitment import (
    FAILED,
    INVALID_ARGUMENT,
    NO_SUCH_SOP_INSTANCE,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST_COMMITMENT,
    SUCCESS,
    answer_report,
    read_request,
    report_data,
)
from ichnode.domain.commitment import Request
from ichnode.domain.errors import Rejected
from ichnode.queue.database import Database
from ichnode.queue.promises import Promised, not_reported, promise, promise_of, reported
from ichnode.store.keeping import judge
from ichnode.store.layout import Store
from ichnode.turn import take

log = logging.getLogger(__name__)

NO_SUCH_ACTION: Final = 0x0123  # PS3.7 C.5
AGAIN_S: Final = 60.0  # should an address be configured: the deliverer looks again
NO_ADDRESS: Final = "it took no report over its own association, and no [[modality]] says where else to send it"

Handlers = list[tuple[Any, Callable[[Event], Any]]]


class CommitmentScp:
    """Takes requests and reports in. ``reported_later``: AE titles to whom the deliverer reports over an association
    of its own; any other is reported to over the association on which it asked."""

    def __init__(
        self, *, db: Database, store: Store, clock: Callable[[], float], reported_later: frozenset[str]
    ) -> None:
        self._db, self._store, self._clock, self._reported_later = db, store, clock, reported_later

    @property
    def handlers(self) -> Handlers:
        """What pynetdicom has to call."""
        return [(evt.EVT_N_ACTION, self.on_action), (evt.EVT_N_EVENT_REPORT, self.on_report)]

    def on_report(self, event: Event) -> tuple[int, None]:
        """Answers an N-EVENT-REPORT. Never raises."""
        return answer_report(event, db=self._db, ae_title=_caller(event), clock=self._clock)

    def on_action(self, event: Event) -> tuple[int, None]:
        """Answers an N-ACTION: success once the request is durable. Never raises."""
        if str(event.request.RequestedSOPInstanceUID) != PUSH_MODEL_INSTANCE:
            return NO_SUCH_SOP_INSTANCE, None
        if event.request.ActionTypeID != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION, None
        caller = _caller(event)
        try:
            request = read_request(event.action_information)
            address = event.assoc.requestor.address
            promised = promise(self._db, request, calling_ae=caller, address=address, now=self._clock())
        except Rejected as error:
            log.warning("a commitment request from %s: %s", caller, error, extra={"action": "commitment"})
            return INVALID_ARGUMENT, None
        except (OSError, SQLAlchemyError) as error:
            log.error("a commitment request could not be kept: %s", type(error).__name__)  # noqa: TRY400
            return FAILED, None
        except Exception as error:  # noqa: BLE001
            # Whatever pydicom makes of bytes from outside; its message may quote them.
            log.error("a commitment request was not understood: %s", type(error).__name__)  # noqa: TRY400
            return FAILED, None
        log.info("%s asks for %d objects: %s", caller, len(request.objects), promised, extra={"action": "commitment"})
        if promised == Promised.CONFLICT:
            return INVALID_ARGUMENT, None
        if caller not in self._reported_later:
            work = (event.assoc, request, caller)
            Thread(target=self._report_here, args=work, name="commitment", daemon=True).start()
        return SUCCESS, None

    def _report_here(self, association: Association, request: Request, caller: str) -> None:
        """Reports over the association on which it was asked, once the answer is out."""
        try:
            due = promise_of(self._db, request.transaction_uid, caller)
            if due is None:
                return
            report = judge(due.request, db=self._db, store=self._store)
            event_type, data = report_data(report)
            if take(association):
                status, _ = association.send_n_event_report(data, event_type, UID(PUSH_MODEL), UID(PUSH_MODEL_INSTANCE))
                if status.get("Status") == SUCCESS:
                    reported(self._db, due.id, report, now=self._clock())
                    return
            log.warning("%s: %s", caller, NO_ADDRESS, extra={"action": "commitment"})
            not_reported(self._db, due.id, reason=NO_ADDRESS, next_at=self._clock() + AGAIN_S)
        except Exception:
            # It is due still, and shown; the peer may ask again.
            log.exception("a commitment report to %s", caller, extra={"action": "commitment"})


def _caller(event: Event) -> str:
    return str(event.assoc.requestor.ae_title.strip())
