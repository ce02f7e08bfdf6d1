"""The audit trail of this node, as each of its services and verbs writes it."""

import logging
import time
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from ichnode.app.wire import MIB, store_of
from ichnode.config.config import Config
from ichnode.queue.database import Database
from ichnode.queue.intake import remark
from ichnode.trail import events
from ichnode.trail.chain import Chain
from ichnode.trail.events import Us
from ichnode.trail.files import TrailFolder
from ichnode.trail.message import Source, to_xml
from ichnode.trail.subjects import by_key, by_patient_id
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

    def alarm(text: str) -> None:
        try:
            remark(db, text, now=time.time(), alarm=True)
        except (OSError, SQLAlchemyError):
            log.exception("an alarm could not be raised", extra={"action": "audit"})

    def explain(damage: str) -> str:
        text = f"the audit trail is damaged: {damage}"
        log.error(text, extra={"action": "audit"})
        alarm(text)
        return to_xml(events.damaged(us, text), us.source)

    chain = Chain(folder=trail_folder(config), max_bytes=config.audit.max_mb * MIB, explain=explain)
    return Trail(chain, us, alarm=alarm)
