"""The C-STORE and C-ECHO SCP: who may talk to it, what it accepts, and how it stops. Source: PS3.4 B, PS3.8 9.3."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.events import Event
from sqlalchemy.exc import SQLAlchemyError

from ichnode.queue.database import Database
from ichnode.queue.intake import remark
from ichnode.queue.series import cut_open_transfers
from ichnode.receive.awaited import awaited_in, still_awaited
from ichnode.receive.calls import arrival_of, caller_of, is_tls
from ichnode.receive.commitment import CommitmentScp
from ichnode.receive.gate import STRANGER, Gate
from ichnode.receive.intake import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, SUCCESS, Outcome, Taken, take
from ichnode.receive.listen import Listener, listen
from ichnode.receive.marks import Marks
from ichnode.receive.reception import Reception
from ichnode.receive.refusals import Refusals
from ichnode.receive.settings import ScpSettings, application_entity
from ichnode.receive.tally import Tally
from ichnode.receive.transfers import Transfers
from ichnode.service import failure, trace
from ichnode.store.layout import Store
from ichnode.tls.renewal import ServerContext
from ichnode.trail.trail import OFF, Trail

log = logging.getLogger(__name__)

REJECT_CONGESTION: Final = (2, 3, 1)  # PS3.8 table 9-21: transient, presentation, temporary congestion
LONGEST_WAIT_S: Final = 20.0  # a sender over its rate is slowed down; most give up on an answer after 30 s


class Receiver:
    """A listening SCP. It starts when constructed and listens until ``stop``."""

    def __init__(
        self,
        settings: ScpSettings,
        *,
        db: Database,
        store: Store,
        clock: Callable[[], float] = time.time,
        trail: Trail = OFF,
    ) -> None:
        self.transfers = Transfers(is_alive=lambda association: association.is_alive())
        self._settings, self._db, self._store, self._clock = settings, db, store, clock
        self._trail = trail
        self._marks = Marks(db)
        self._receptions: dict[Any, Reception] = {}
        self._tallies: dict[Any, Tally] = {}
        self._in_hand: set[Any] = set()
        self._idle = threading.Condition()
        self._stopping = False
        self._stopped = threading.Event()
        store.make_folders()
        cut_open_transfers(db)
        self.refusals = Refusals(self._alarm)
        self._gate = Gate(
            settings.allow,
            refusals=self.refusals,
            max_associations=settings.maximum_associations,
            max_instance_bytes=settings.maximum_instance_bytes,
            max_bytes_in_memory=settings.maximum_bytes_in_memory,
        )
        self._commitment = CommitmentScp(
            db=db,
            store=store,
            clock=clock,
            reported_later=settings.reported_later,
            floor_bytes=settings.floor_bytes,
            in_turn=self._in_turn,
            refusals=self.refusals,
        )
        entity, tls = application_entity(settings), settings.tls
        context = ServerContext(tls.files, mutual=tls.mutual, tell=self._alarm) if tls else None
        self._server = self._listen(entity, settings.port, None)
        self._tls_server = self._listen(entity, tls.port, context) if tls else None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    @property
    def tls_port(self) -> int | None:
        """The port on which it listens for TLS, if it does."""
        return None if self._tls_server is None else int(self._tls_server.server_address[1])

    @property
    def is_listening(self) -> bool:
        """Whether it still takes associations."""
        return not self._stopping

    def catch_up(self) -> None:
        """Writes down the ends of transfers that the queue could not take when they came. To be called by and by."""
        self._marks.catch_up()

    def stop(self, *, grace_s: float = 10) -> None:
        """Refuses what is new, lets each instance in hand be finished and answered, then closes everything."""
        with self._idle:
            self._stopping = True
            self._stopped.set()
            if not self._idle.wait_for(lambda: not self._in_hand, timeout=grace_s):
                log.warning("%d instances were still in hand", len(self._in_hand), extra={"action": "stop"})
        for server in filter(None, (self._server, self._tls_server)):
            for association in server.active_associations:
                if association.is_established:  # one that is being rejected must not be aborted too, PS3.8 9.2
                    association.abort()
            server.shutdown()
        self.refusals.report()
        log.info("stopped", extra={"action": "stop"})

    def _listen(self, entity: AE, port: int, tls: ServerContext | None) -> Listener:
        address = (self._settings.host, port)
        server = listen(
            entity,
            address,
            self._handlers(),
            tls=tls,
            knows=self._gate.knows,
            refused=self._turned_away,
            turn_away=self._turn_away,
            ended=self._ended,
        )
        how = " over TLS" if tls else ""
        bound, title = server.server_address[1], self._settings.ae_title
        log.info("listening%s on port %d as %s", how, bound, title, extra={"action": "listen"})
        return server

    def _turned_away(self, address: str, why: str) -> None:
        """Who never came to ask for an association."""
        self.refusals.note(address, why)
        self._trail.associated("?", address, why)

    def _turn_away(self, title: str, address: str) -> tuple[int, int, int] | None:
        """Strangers, before an association is made: they take no place and next to no time."""
        reason = None if self._stopping else self._gate.turn_away(title, address)
        if reason is not None:
            self._trail.associated(title, address, STRANGER)
        return reason

    def _alarm(self, text: str) -> None:
        try:
            remark(self._db, text, now=self._clock(), alarm=True)
        except (OSError, SQLAlchemyError) as error:
            log.error("an alarm could not be noted: %s: %s", type(error).__name__, text, extra={"action": "alarm"})  # noqa: TRY400

    def _handlers(self) -> list[tuple[Any, Callable[[Event], Any]]]:
        return [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_ACCEPTED, self._on_accepted),
            (evt.EVT_REJECTED, self._on_rejected),
            (evt.EVT_C_ECHO, self._on_echo),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_PDU_RECV, self._on_pdu),
            (evt.EVT_CONN_CLOSE, lambda event: self.transfers.breaks(event.assoc)),
            (evt.EVT_DIMSE_RECV, self._on_message),
            (evt.EVT_DIMSE_SENT, self._on_sent),
            (evt.EVT_RELEASED, self._on_released),
            (evt.EVT_ABORTED, self._on_aborted),
            *self._commitment.handlers,
        ]

    def _on_requested(self, event: Event) -> None:
        """Rejects who is not let in. Before negotiation, for pynetdicom's own list knows titles only."""
        association = event.assoc
        title = association.requestor.primitive.calling_ae_title.strip()
        address = association.requestor.address
        if self._stopping:
            reason, why = REJECT_CONGESTION, "shutting down"
            log.warning("association from %s at %s rejected: %s", title, address, why, extra={"action": "reject"})
        else:
            refused = self._gate.admit(association)
            if refused is None:
                return
            reason, why = refused.reason, refused.why
        over_tls = is_tls(association)
        association.acse.send_reject(*reason)
        association.kill()
        self._trail.associated(title, address, why, tls=over_tls)

    def _on_accepted(self, event: Event) -> None:
        self.transfers.begins(event.assoc, caller_of(event.assoc))
        self._trail.associated(*caller_of(event.assoc), tls=is_tls(event.assoc))

    def _on_rejected(self, event: Event) -> None:
        """Pynetdicom's own rejections."""
        called = event.assoc.requestor.primitive.called_ae_title.strip()
        why = "not acceptable" if called == self._settings.ae_title else "wrong called AE title"
        self._gate.ends(event.assoc)
        self.refusals.note(" at ".join(caller_of(event.assoc)), why)
        self._trail.associated(*caller_of(event.assoc), why, tls=is_tls(event.assoc))

    def _on_echo(self, _event: Event) -> int:
        return SUCCESS

    def _on_store(self, event: Event) -> int:
        """Answers one C-STORE. Never raises: an unexpected error is a status too."""
        with self._idle:
            if self._stopping:
                return OUT_OF_RESOURCES
            self._in_hand.add(event.assoc)
        try:
            taken = self._in_time(event)
        except (OSError, SQLAlchemyError) as error:
            log.error("an instance could not be kept: %s", failure(error), extra={"action": "store"})  # noqa: TRY400
            taken = Taken(status=OUT_OF_RESOURCES, outcome=Outcome.REFUSED, why="the disk or the database failed")
        except Exception as error:  # noqa: BLE001
            where = trace(error)  # not its message, which might quote patient data
            log.error("an instance was not understood: %s", where, extra={"action": "store"})  # noqa: TRY400
            taken = Taken(status=CANNOT_UNDERSTAND, outcome=Outcome.REFUSED, why="an unexpected error")
        series = awaited_in(event, self._db) if taken.status == OUT_OF_RESOURCES else ""
        if series:
            self.transfers.sends(event.assoc, series)
            self._marks.open_later(series)
        tally = self._tallies.setdefault(event.assoc, Tally())
        tally.notes(taken, str(event.request.AffectedSOPInstanceUID), awaited_in=series)
        return taken.status

    def _in_time(self, event: Event) -> Taken:
        """Takes an instance when it is its turn. Out of turn for too long is "out of resources", which is transient."""
        if not self._in_turn(event.assoc):
            return Taken(status=OUT_OF_RESOURCES, outcome=Outcome.REFUSED, why="more instances a minute than it may")
        return self._take(event)

    def _in_turn(self, association: Any) -> bool:
        """Waits until it is the peer's turn, by its rate; False when that would take too long."""
        wait_s = self._gate.wait_s(association, most_s=LONGEST_WAIT_S)
        self._stopped.wait(wait_s if wait_s <= LONGEST_WAIT_S else 0)
        return wait_s <= LONGEST_WAIT_S

    def _take(self, event: Event) -> Taken:
        arrival = arrival_of(event, calling_ae=caller_of(event.assoc)[0])
        taken = take(arrival, db=self._db, store=self._store, floor_bytes=self._settings.floor_bytes, now=self._clock())
        uid = taken.series_instance_uid
        if uid:
            self.transfers.sends(event.assoc, uid)
            self._marks.open(uid)
        reception = self._receptions.setdefault(event.assoc, Reception(self._trail, *caller_of(event.assoc)))
        reception.notes(taken, arrival.sop_class_uid)
        return taken

    def _on_pdu(self, event: Event) -> None:
        self._gate.received(event.assoc, event.pdu)

    def _on_message(self, event: Event) -> None:
        self._gate.came(event.assoc, event.message)

    def _on_sent(self, event: Event) -> None:
        self._gate.answered(event.assoc, event.message)
        if isinstance(event.message, C_STORE_RSP):
            self._not_in_hand(event.assoc)

    def _on_released(self, event: Event) -> None:
        self._end(event.assoc, in_order=True)

    def _on_aborted(self, event: Event) -> None:
        self._end(event.assoc, in_order=False)

    def _ended(self, association: Any) -> None:
        """An association's thread is over. Where it was not released or aborted before, it broke off."""
        self._end(association, in_order=False)

    def _end(self, association: Any, *, in_order: bool) -> None:
        self._not_in_hand(association)
        self._gate.ends(association)
        tally, reception = self._tallies.pop(association, None), self._receptions.pop(association, None)
        # Who was told that there is no room comes again: until then quiet does not mean complete.
        awaited = still_awaited(tally.awaited, self._db) if tally else ()
        self._marks.end(self.transfers.ends(association, in_order=in_order, awaited=awaited))
        try:
            if reception is not None:
                reception.ended(in_order=in_order)
        except (OSError, SQLAlchemyError) as error:
            log.error("an association's end could not be told: %s", failure(error), extra={"action": "end"})  # noqa: TRY400
        if tally is not None:
            title, how = caller_of(association)[0], "released" if in_order else "broken off"
            log.info("association from %s %s: %s", title, how, tally, extra={"action": "end"})
            if tally.refusals:
                self._alarm(f"refused from {title}: {tally.refusals}")

    def _not_in_hand(self, association: Any) -> None:
        with self._idle:
            self._in_hand.discard(association)
            self._idle.notify_all()
