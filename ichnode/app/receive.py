"""The receiver as it runs, with all that is periodic about what it keeps."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Final

from ichnode.app.certificates import warn_of_certificates
from ichnode.app.host import alone, clockwork, database, wait
from ichnode.app.trail import trail_of
from ichnode.app.wire import MIB, peer_of, scp_settings, store_of, sweep_settings
from ichnode.config.config import Config
from ichnode.deliver.association import Timeouts
from ichnode.deliver.pull import series_counts
from ichnode.queue.database import Database
from ichnode.queue.promises import forget_old
from ichnode.receive.intake import adopt
from ichnode.receive.pacs import Ask, PacsCounts
from ichnode.receive.scp import Receiver
from ichnode.receive.settle import sweep
from ichnode.receive.silence import Silence
from ichnode.store.layout import Store
from ichnode.store.reconcile import reconcile
from ichnode.store.retention import RetentionLimits, enforce
from ichnode.trail import events
from ichnode.trail.subjects import study_of_series
from ichnode.trail.trail import Trail

HOUR_S: Final = 3600
DAY_S: Final = 86400
RECEIVE_GRACE_S: Final = 20.0  # for the instance in hand
COUNT_TIMEOUTS: Final = Timeouts(connect_s=3, acse_s=3, dimse_s=5, network_s=5)  # a series waits, not a person


def run_receive(config: Config, stop: Event, *, ready: Callable[[str], None], alive: Callable[[], None]) -> None:
    """The receiver, with all that is periodic about what it keeps, until ``stop``."""
    store = store_of(config)
    with alone(config, "receive"), database(config) as db, trail_of(config, db, "receive").of_service() as trail:
        _reconcile(store, db, min_age_s=0)
        receiver = Receiver(scp_settings(config), db=db, store=store, trail=trail)
        settings, count = sweep_settings(config), _counts(config)
        told: set[str] = set()
        silence = Silence()
        hour, minute = config.schedule.reconcile_at.split(":")
        scheduler = clockwork()
        scheduler.add_job(
            lambda: sweep(
                db,
                settings,
                now=time.time(),
                is_open=receiver.transfers.is_open,
                told=told,
                silence=silence,
                count=count,
            ),
            "interval",
            seconds=config.schedule.sweep_s,
        )
        scheduler.add_job(receiver.catch_up, "interval", seconds=config.schedule.sweep_s)
        scheduler.add_job(lambda: _retention(config, store, db, trail), "interval", seconds=config.schedule.retention_s)
        scheduler.add_job(lambda: _reconcile(store, db, min_age_s=3600), "cron", hour=hour, minute=minute)
        scheduler.add_job(receiver.refusals.report, "interval", seconds=HOUR_S)
        scheduler.add_job(lambda: warn_of_certificates(config), "interval", seconds=DAY_S)
        scheduler.start()
        warn_of_certificates(config)
        ready(f"listening on port {receiver.port} as {config.node.ae_title}")
        wait(stop, alive)
        receiver.stop(grace_s=RECEIVE_GRACE_S)
        scheduler.shutdown()


def _counts(config: Config) -> Ask | None:
    pacs = next((p for p in config.pacs if p.name == config.series.count_from), None)
    if pacs is None:
        return None
    peer = peer_of(config, pacs)
    return PacsCounts(pacs.name, lambda study: series_counts(peer, study, COUNT_TIMEOUTS)).of_study


def _retention(config: Config, store: Store, db: Database, trail: Trail) -> None:
    limits = RetentionLimits(
        delivered_s=config.retention.delivered_days * DAY_S,
        skipped_s=config.retention.skipped_days * DAY_S,
        failed_s=config.retention.failed_days * DAY_S,
        quarantine_s=config.retention.quarantine_days * DAY_S,
        low_water_bytes=config.retention.target_free_mb * MIB,
    )

    def deleted(series: str, why: str) -> None:
        trail.write(events.deleted, study_of_series(db, series), why)

    enforce(store, db, limits, now=time.time(), deleted=deleted)
    forget_old(db, now=time.time())


def _reconcile(store: Store, db: Database, *, min_age_s: float) -> None:
    now = time.time()

    def take_in(path: Path) -> None:
        adopt(path, db=db, store=store, now=now)

    reconcile(store, db, take_in, now=now, min_age_s=min_age_s)
