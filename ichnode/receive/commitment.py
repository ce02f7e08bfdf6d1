"""Storage commitment at the SCP: requests of modalities, and reports of destinations on what we sent them.

Source: PS3.4 annex J.
"""

import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final
from weakref import WeakKeyDictionary

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from ichnode.commitment import (
    FAILED,
    INVALID_ARGUMENT,
    NO_SUCH_SOP_INSTANCE,
    PUSH_MODEL,
    PUSH_MODEL_INSTANCE,
    REQUEST_COMMITMENT,
    RESOURCE_LIMITATION,
    SUCCESS,
    answer_report,
    report_data,
    request_in,
)
from ichnode.domain.errors import Rejected
from ichnode.queue.database import Database
from ichnode.queue.promises import Promised, not_reported, promise, promise_of, reported
from ichnode.receive.refusals import Refusals
from ichnode.store.keeping import judge
from ichnode.store.layout import Store
from ichnode.turn import take

log = logging.getLogger(__name__)

NO_SUCH_ACTION: Final = 0x0123  # PS3.7 C.5
AGAIN_S: Final = 60.0  # should an address be configured: the deliverer looks again
NO_ADDRESS: Final = "it took no report over its own association, and no [[modality]] says where else to send it"

QUIET_S: Final = 0.5  # a peer that has just asked may have more to send first
ANSWER_S: Final = 30.0
LOOK_S: Final = 0.05

Handlers = list[tuple[Any, Callable[[Event], Any]]]


@dataclass(slots=True, kw_only=True)
class _Desk:
    """What is to be reported over one association, by one thread and one after the other."""

    heard_at: float  # when its last message came, on the monotonic clock
    asked: SimpleQueue[str] = field(default_factory=SimpleQueue)  # transaction UIDs
    answers: SimpleQueue[tuple[int, int]] = field(default_factory=SimpleQueue)  # (message ID, status)


class CommitmentScp:
    """Takes requests and reports in. ``reported_later``: AE titles to whom the deliverer reports over an association
    of its own; any other is reported to over the association on which it asked. ``in_turn`` waits until it is an
    association's turn; False when it asks too often. Below ``floor_bytes`` of free space no request is taken."""

    def __init__(
        self,
        *,
        db: Database,
        store: Store,
        clock: Callable[[], float],
        reported_later: frozenset[str],
        floor_bytes: int,
        in_turn: Callable[[Association], bool],
        refusals: Refusals,
    ) -> None:
        self._db, self._store, self._clock, self._reported_later = db, store, clock, reported_later
        self._floor_bytes, self._in_turn, self._refusals = floor_bytes, in_turn, refusals
        self._desks: WeakKeyDictionary[Association, _Desk] = WeakKeyDictionary()

    @property
    def handlers(self) -> Handlers:
        """What pynetdicom has to call."""
        return [
            (evt.EVT_N_ACTION, self.on_action),
            (evt.EVT_N_EVENT_REPORT, self.on_report),
            (evt.EVT_DIMSE_RECV, self.on_message),
        ]

    def on_message(self, event: Event) -> None:
        """Hears the answers to our reports; the association's own thread lays them aside."""
        desk = self._desks.get(event.assoc)
        if desk is None:
            return
        desk.heard_at = time.monotonic()
        if isinstance(event.message, N_EVENT_REPORT_RSP):
            command = event.message.command_set
            desk.answers.put((command.MessageIDBeingRespondedTo, command.Status))

    def on_report(self, event: Event) -> tuple[int, None]:
        """Answers an N-EVENT-REPORT. Never raises."""
        return answer_report(
            event,
            db=self._db,
            ae_title=_caller(event),
            clock=self._clock,
            tell=lambda why: self._refusals.note(_who(event), why),
        )

    def on_action(self, event: Event) -> tuple[int, None]:
        """Answers an N-ACTION: success once the request is durable. Never raises."""
        if str(event.request.RequestedSOPInstanceUID) != PUSH_MODEL_INSTANCE:
            return NO_SUCH_SOP_INSTANCE, None
        if event.request.ActionTypeID != REQUEST_COMMITMENT:
            return NO_SUCH_ACTION, None
        caller = _caller(event)
        try:
            why = self._why_not_now(event)
            if why:
                self._refusals.note(_who(event), why)
                return RESOURCE_LIMITATION, None
            request = request_in(event.request.ActionInformation, str(event.context.transfer_syntax))
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
            self._desk(event.assoc, caller).asked.put(request.transaction_uid)
        return SUCCESS, None

    def _why_not_now(self, event: Event) -> str:
        """Why no request is taken at this moment; empty where one is. Raises OSError."""
        if self._store.free_bytes() < self._floor_bytes:
            return "no request for storage commitment while the disk is below its floor"
        return "" if self._in_turn(event.assoc) else "more requests for storage commitment a minute than it may"

    def _desk(self, association: Association, caller: str) -> _Desk:
        desk = self._desks.get(association)
        if desk is None:
            desk = self._desks[association] = _Desk(heard_at=time.monotonic())
            Thread(target=self._report_all, args=(association, desk, caller), name="commitment", daemon=True).start()
        return desk

    def _report_all(self, association: Association, desk: _Desk, caller: str) -> None:
        """Reports until the association is over; what is left then is noted as not reported."""
        for message_id in itertools.cycle(range(1, 1 << 16)):
            while True:
                is_over = not association.is_alive()  # looked at first: nothing is asked any more after that
                try:
                    transaction_uid = desk.asked.get(timeout=LOOK_S)
                    break
                except Empty:
                    if is_over:
                        return
            self._report_here(association, desk, transaction_uid, caller, message_id)

    def _report_here(
        self, association: Association, desk: _Desk, transaction_uid: str, caller: str, message_id: int
    ) -> None:
        """Reports over the association on which it was asked, once the answer is out."""
        try:
            due = promise_of(self._db, transaction_uid, caller)
            if due is None:
                return
            report = judge(due.request, db=self._db, store=self._store)
            is_sent = _is_quiet(association, desk) and _sent(association, report_data(report), message_id)
            if is_sent and _answer(association, desk, message_id) == SUCCESS:
                reported(self._db, due.id, report, now=self._clock())
                return
            log.warning("%s: %s", caller, NO_ADDRESS, extra={"action": "commitment"})
            not_reported(self._db, due.id, reason=NO_ADDRESS, next_at=self._clock() + AGAIN_S)
        except Exception:
            # It is due still, and shown; the peer may ask again.
            log.exception("a commitment report to %s", caller, extra={"action": "commitment"})


def _is_quiet(association: Association, desk: _Desk) -> bool:
    """Waits until the peer sends nothing; False when the association ended before that."""
    while association.is_alive() and association.is_established:
        is_idle = association.dimse.message is None and association.dimse.msg_queue.empty()
        if is_idle and time.monotonic() - desk.heard_at >= QUIET_S:
            return True
        time.sleep(LOOK_S)
    return False


def _sent(association: Association, report: tuple[int, Dataset], message_id: int) -> bool:
    """Sends a report and does not wait for its answer; False when the association has ended.

    Not ``send_n_event_report``: it takes whatever comes next for the answer, and what comes next may be an instance.
    """
    context = association._get_valid_context(PUSH_MODEL, "", None)
    syntax = context.transfer_syntax[0]
    request = N_EVENT_REPORT()
    request.MessageID = message_id
    request.AffectedSOPClassUID = UID(PUSH_MODEL)
    request.AffectedSOPInstanceUID = UID(PUSH_MODEL_INSTANCE)
    request.EventTypeID, data = report
    content = encode(data, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    request.EventInformation = BytesIO(content or b"")
    try:
        if not take(association):  # an answer of its own thread must not come in between the parts of this
            return False
        association.dimse.send_msg(request, context.context_id or 0)
        return True
    finally:
        association._reactor_checkpoint.set()


def _answer(association: Association, desk: _Desk, message_id: int) -> int | None:
    """The status with which the peer answers a report; None without an answer."""
    until = time.monotonic() + ANSWER_S
    while time.monotonic() < until:
        is_over = not association.is_alive()
        try:
            answered_id, status = desk.answers.get(timeout=LOOK_S)
        except Empty:
            if is_over:
                return None
            continue
        if answered_id == message_id:
            return status
    return None


def _caller(event: Event) -> str:
    return str(event.assoc.requestor.ae_title.strip())


def _who(event: Event) -> str:
    return f"{_caller(event)} at {event.assoc.requestor.address}"
