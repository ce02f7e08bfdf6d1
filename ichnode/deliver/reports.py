"""Storage commitment SCP, its second half: reports to those who asked, over associations of their own.

Source: PS3.4 J.3.3.
"""

import logging
from collections.abc import Callable
from random import Random
from threading import Event
from typing import Final

from pydicom.uid import UID
from pynetdicom import build_context, build_role

from ichnode.commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, TRANSFER_SYNTAXES, report_data
from ichnode.deliver.association import Timeouts, Unreachable, associate, lost
from ichnode.deliver.backoff import Backoff
from ichnode.deliver.classify import SUCCESS
from ichnode.domain.commitment import Report
from ichnode.domain.outputs import Peer
from ichnode.queue.database import Database
from ichnode.queue.promises import due_promise, next_report_at, not_reported, reported
from ichnode.store.keeping import judge
from ichnode.store.layout import Store
from ichnode.turn import take

log = logging.getLogger(__name__)

BACKOFF: Final = Backoff(first_s=30, max_s=3600)
ERROR_PAUSE_S: Final = 30.0


def report_due(
    db: Database, peer: Peer, store: Store, *, clock: Callable[[], float], rng: Random, timeouts: Timeouts
) -> bool:
    """Delivers the report that waits longest for ``peer``, judged at this moment. False when none is due."""
    due = due_promise(db, peer.ae_title, now=clock())
    if due is None:
        return False
    report = judge(due.request, db=db, store=store)
    reason = tell(peer, report, timeouts)
    if reason:
        log.warning("%s", reason, extra={"destination": peer.name, "action": "commitment"})
        not_reported(db, due.id, reason=reason, next_at=clock() + BACKOFF.delay_s(due.attempts, rng))
    else:
        log.info("reported to %s", peer.name, extra={"destination": peer.name, "action": "commitment"})
        reported(db, due.id, report, now=clock())
    return True


def tell(peer: Peer, report: Report, timeouts: Timeouts) -> str:
    """Sends one report. Returns why it was not taken, empty when it was. Never raises for what the peer does."""
    event_type, data = report_data(report)
    role = build_role(PUSH_MODEL, scp_role=True)  # we call, and are the SCP all the same: PS3.7 D.3.3.4
    try:
        with associate(
            peer, [build_context(PUSH_MODEL, TRANSFER_SYNTAXES)], timeouts, negotiation=[role]
        ) as association:
            if not association.accepted_contexts:
                return f"{peer.name} takes no storage commitment reports"
            if not take(association):
                return f"{peer.name}: {lost(association)}"
            reply, _ = association.send_n_event_report(data, event_type, UID(PUSH_MODEL), UID(PUSH_MODEL_INSTANCE))
            if "Status" not in reply:
                return f"{peer.name}: {lost(association)}"
            return "" if reply.Status == SUCCESS else f"{peer.name} answered the report with 0x{reply.Status:04X}"
    except Unreachable as error:
        return str(error)


def serve_reports(
    db: Database, peer: Peer, store: Store, poll_s: float, clock: Callable[[], float], rng: Random, stop: Event
) -> None:
    """Until ``stop``: a thread a peer, so that one that is away delays no other."""
    while not stop.is_set():
        wait_s = poll_s
        try:
            if report_due(db, peer, store, clock=clock, rng=rng, timeouts=Timeouts()):
                wait_s = 0.0
            elif (next_at := next_report_at(db, peer.ae_title, now=clock())) is not None:
                wait_s = min(poll_s, max(next_at - clock(), 0.05))
        except Exception:
            # What was in hand is still due.
            log.exception("report loop", extra={"destination": peer.name, "action": "error"})
            wait_s = ERROR_PAUSE_S
        if wait_s > 0:
            stop.wait(wait_s)
