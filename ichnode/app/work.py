"""The worker as it runs, and the child process in which it thinks."""

import os
import time
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from ichnode import __version__
from ichnode.app.host import clockwork, database, together
from ichnode.app.trail import trail_of
from ichnode.app.wire import destinations_of, store_of
from ichnode.config.config import Config
from ichnode.config.reporting import SeriesNaming
from ichnode.domain.flags import Flag
from ichnode.domain.onset import OnsetRule
from ichnode.domain.outputs import ObjectKind
from ichnode.queue.jobs import sweep_leases
from ichnode.service import set_up_logging
from ichnode.work.loop import Limits, Worker
from ichnode.work.task import Perform

if TYPE_CHECKING:
    from ichnode.analyse import Settings


def run_work(config: Config, stop: Event, *, ready: Callable[[str], None], alive: Callable[[], None]) -> None:
    """One worker, until ``stop``."""
    store = store_of(config)
    with together(config, "work"), database(config) as db, trail_of(config, db, "work").of_service() as trail:
        scheduler = clockwork()
        scheduler.add_job(
            lambda: sweep_leases(db, max_attempts=config.work.attempts, now=time.time(), lease_s=config.work.lease_s),
            "interval",
            seconds=config.schedule.lease_sweep_s,
        )
        scheduler.start()
        worker = Worker(
            db=db,
            store=store,
            owner=f"worker {os.getpid()}",
            open_performer=partial(open_child, config),
            routes=[destination.route for destination in destinations_of(config)],
            limits=Limits(
                job_limit_s=config.work.job_limit_s,
                attempts=config.work.attempts,
                retry_delay_s=config.work.retry_delay_s,
                lease_s=config.work.lease_s,
            ),
            stop=stop,
            alive=alive,
            trail=trail,
        )
        try:
            worker.run(ready)
        finally:
            scheduler.shutdown()


def open_child(config: Config) -> tuple[str, Perform]:
    """What the worker's child process opens: torch and the rest are loaded there alone."""
    from ichnode.analyse import open_performer

    set_up_logging(config.node.log_level)
    return open_performer(analysis_settings(config), store_of(config))


def analysis_settings(config: Config) -> "Settings":
    """What an analysis takes from the configuration."""
    from ichnode.analyse import Settings
    from ichnode.report.inputs import Installation

    named: dict[ObjectKind, SeriesNaming] = {kind: getattr(config.report, kind.lower()) for kind in ObjectKind}
    return Settings(
        weights=config.work.weights,
        device=config.work.device,
        threads=config.work.threads,
        cache=config.node.state_dir / "cache",
        installation=Installation(
            device_serial=config.node.serial,
            node_version=__version__,
            series_numbers={kind: naming.number for kind, naming in named.items()},
            descriptions={kind: naming.description for kind, naming in named.items()},
        ),
        profiles=config.profiles,
        untrained_expansion=config.work.untrained_expansion,
        onset_rules=tuple(OnsetRule(**onset.model_dump()) for onset in config.onset),
        refused=frozenset(Flag[name] for name in config.quality.refuse),
    )
