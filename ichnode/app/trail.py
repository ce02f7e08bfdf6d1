"""The audit trail of this node, as each of its services and verbs writes it."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Event, Thread
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from ichnode.app.wire import MIB, store_of
from ichnode.config.config import Config
from ichnode.queue.database import Database
from ichnode.queue.intake import remark
from ichnode.tls.contexts import client_context
from ichnode.trail import events
from ichnode.trail.chain import Chain
from ichnode.trail.events import Us
from ichnode.trail.files import TrailFolder
from ichnode.trail.forward import Forwarder
from ichnode.trail.message import Source, to_xml
from ichnode.trail.subjects import by_key, by_patient_id
from ichnode.trail.syslog import send
from ichnode.trail.trail import OFF, Trail

log: Final = logging.getLogger(__name__)


def trail_folder(config: Config) -> TrailFolder:
    """Where the trail lies."""
    return TrailFolder(root=config.node.state_dir / "audit")


def trail_of(config: Config, db: Database, service: str) -> Trail:
    """The trail as ``service`` (a verb) writes it; one that is switched off where the configuration says so."""
    if not config.audit.enabled:
        return OFF
    us = Us(
        source=Source(identifier=config.node.ae_title, site=config.audit.site or ""),
        service=service,
        ae_title=config.node.ae_title,
        patient_of=by_patient_id(db, store_of(config)) if config.audit.patients == "id" else by_key(db),
        clock=time.time,
    )

    def explain(damage: str) -> str:
        text = f"the audit trail is damaged: {damage}"
        log.error(text, extra={"action": "audit"})
        _alarm(db, text)
        return to_xml(events.damaged(us, text), us.source)

    chain = Chain(folder=trail_folder(config), max_bytes=config.audit.max_mb * MIB, explain=explain)
    return Trail(chain, us, alarm=partial(_alarm, db))


@contextmanager
def forwarding(config: Config, db: Database) -> Iterator[None]:
    """Sends the trail to its syslog server meanwhile, in a thread of its own, where one is configured."""
    stop = Event()
    syslog = config.audit.syslog
    if not (config.audit.enabled and syslog.host):
        yield
        return

    def send_all(frames: Sequence[bytes]) -> None:
        # Made anew each time: a certificate that was exchanged needs no restart.
        files = replace(config.tls.files, ca=syslog.ca or config.tls.ca)
        send(frames, syslog.host, syslog.port, client_context(files, check_name=True))

    forwarder = Forwarder(trail_folder(config), send_all, partial(_alarm, db))
    # A daemon: a server that hangs must not hold up the end of the process. What it has not got is sent later.
    Thread(target=forwarder.run, args=(stop,), name="audit-syslog", daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def _alarm(db: Database, text: str) -> None:
    try:
        remark(db, text, now=time.time(), alarm=True)
    except (OSError, SQLAlchemyError):
        log.exception("an alarm could not be raised", extra={"action": "audit"})
