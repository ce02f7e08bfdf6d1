"""Images by hand: from a folder or from a PACS into the store, as if they had been sent."""

import time
from pathlib import Path
from typing import Final

from pynetdicom import build_context, evt

from ichnode.app.wire import MIB, peer_of, store_of
from ichnode.config.config import Config
from ichnode.config.remotes import PacsSection
from ichnode.deliver.pull import find_series, get, move
from ichnode.domain.errors import Retryable
from ichnode.queue.database import Database
from ichnode.queue.views import series_uids
from ichnode.receive.by_hand import TakenIn, take_files
from ichnode.receive.calls import arrival_of
from ichnode.receive.contexts import CT_CLASSES, TRANSFER_SYNTAXES
from ichnode.receive.intake import take

REPLAY_AE: Final = "REPLAY"  # calling AE title of what comes from a folder: rules may ask for it


def take_folder(config: Config, db: Database, folder: Path) -> TakenIn:
    """Takes every file below a folder in, as if it had been sent."""
    return take_files(
        sorted(path for path in folder.rglob("*") if path.is_file()),
        db=db,
        store=store_of(config),
        floor_bytes=config.receive.min_free_mb * MIB,
        calling_ae=REPLAY_AE,
        now=time.time(),
    )


def take_from_pacs(config: Config, db: Database, pacs: PacsSection, study_instance_uid: str) -> TakenIn:
    """Pulls the CT series of one study: by C-GET into the store, or by C-MOVE to the receiver that runs.

    A series a request: the rest of a study (dose reports, presentation states) is not ours to take, and its failures
    would hide those of slices. Raises Retryable when not all of a series came.
    """
    taken_in, store = TakenIn(), store_of(config)

    def on_store(event: evt.Event) -> int:
        taken = take(
            arrival_of(event, calling_ae=pacs.ae_title),
            db=db,
            store=store,
            floor_bytes=config.receive.min_free_mb * MIB,
            now=time.time(),
        )
        taken_in.add(str(event.request.AffectedSOPInstanceUID), taken)
        return taken.status

    peer = peer_of(config, pacs)
    # A context a syntax: of one with several the PACS picks one, and then cannot send what it keeps in another.
    contexts = [build_context(sop_class, syntax) for sop_class in CT_CLASSES for syntax in TRANSFER_SYNTAXES]
    contexts += [build_context(sop_class, list(TRANSFER_SYNTAXES)) for sop_class in config.receive.accept_also]
    for series in find_series(peer, study_instance_uid):
        if pacs.retrieve == "get":
            pulled = get(peer, study_instance_uid, on_store, contexts, series_instance_uid=series)
        else:
            pulled = move(peer, study_instance_uid, config.node.ae_title, series_instance_uid=series)
        if not pulled.ok:
            hint = "What came is kept; say `replay` again."
            raise Retryable(f"{pacs.name} sent {pulled.completed} images, then: {pulled.reason}.", hint=hint)
    taken_in.series.update(series_uids(db, study_instance_uid))
    return taken_in
