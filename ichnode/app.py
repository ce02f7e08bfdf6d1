"""config -> wired services. The only module that knows both the configuration and the rooms."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

from apscheduler.schedulers.background import BackgroundScheduler

from ichnode import __version__
from ichnode.config import Config, Remote, SeriesNaming
from ichnode.deliver.association import Timeouts
from ichnode.deliver.backoff import Backoff
from ichnode.deliver.loop import Deliverer, Destination
from ichnode.deliver.parcel import INTERCHANGEABLE
from ichnode.deliver.pull import series_counts
from ichnode.domain.errors import ConfigError
from ichnode.domain.flags import Flag
from ichnode.domain.onset import OnsetRule
from ichnode.domain.outputs import ObjectKind, Peer
from ichnode.queue.database import Database, open_database
from ichnode.queue.jobs import sweep_leases
from ichnode.receive.allow import AllowedPeer
from ichnode.receive.complete import Limits as SettleLimits
from ichnode.receive.intake import adopt
from ichnode.receive.pacs import Ask, PacsCounts
from ichnode.receive.rules import DEFAULT_RULES, Rule
from ichnode.receive.scp import Receiver, ScpSettings
from ichnode.receive.select import Preference
from ichnode.receive.settle import SweepSettings, sweep
from ichnode.service import set_up_logging
from ichnode.store.layout import Store
from ichnode.store.reconcile import reconcile
from ichnode.store.retention import RetentionLimits, enforce
from ichnode.watch import echo_all
from ichnode.work.loop import Limits, Worker
from ichnode.work.task import Perform

if TYPE_CHECKING:
    from ichnode.analyse import Settings

MIB: Final = 2**20
DAY_S: Final = 86400
RECEIVE_GRACE_S: Final = 20.0  # for the instance in hand
DELIVER_GRACE_S: Final = 70.0  # for the object in hand: a slow PACS may take its whole DIMSE time-out
TICK_S: Final = 0.5
COUNT_TIMEOUTS: Final = Timeouts(connect_s=3, acse_s=3, dimse_s=5, network_s=5)  # a series waits, not a person


def store_of(config: Config) -> Store:
    """The store in the state folder, its folders made. Raises ConfigError when they cannot be."""
    store = Store(root=config.node.state_dir)
    try:
        store.make_folders()
    except OSError as error:
        hint = "Make node.state_dir writable for this user, or run as the user of the service."
        raise ConfigError(f"The state folder {store.root} cannot be used: {error.strerror}.", hint=hint) from error
    return store


def open_database_of(config: Config) -> Database:
    """The queue of this node. Raises ConfigError when its folder cannot be used."""
    return open_database(store_of(config).root / "queue.sqlite")


def peer_of(config: Config, remote: Remote) -> Peer:
    """A destination or PACS as the rooms know it."""
    return Peer(
        name=remote.name,
        host=remote.host,
        port=remote.port,
        ae_title=remote.ae_title,
        calling_ae_title=config.node.ae_title,
    )


def destinations_of(config: Config) -> list[Destination]:
    """Where results go."""
    return [
        Destination(
            peer=peer_of(config, d),
            objects=frozenset(d.objects),
            profile=d.profile.name,
            not_analysed=d.not_analysed,
            transfer_syntaxes=INTERCHANGEABLE if d.implicit_vr else INTERCHANGEABLE[:1],
            backoff=Backoff(first_s=d.first_retry_s, max_s=max(d.first_retry_s, d.max_retry_s)),
        )
        for d in config.destination
    ]


def rules_of(config: Config) -> tuple[Rule, ...]:
    """The rules of the configuration; the default ones where it has none."""
    if config.rule is None:
        return DEFAULT_RULES
    return tuple(Rule(**rule.model_dump()) for rule in config.rule)


def preference_of(config: Config) -> Preference:
    """Which of several candidates is the best."""
    incomplete = config.series.incomplete == "analyse"
    return Preference(thickness_mm=config.series.prefer_thickness_mm, analyse_incomplete=incomplete)


def sweep_settings(config: Config) -> SweepSettings:
    """When a series is complete and a study is decided."""
    return SweepSettings(
        limits=SettleLimits(quiet_s=config.series.quiet_s, give_up_s=config.series.give_up_s),
        study_quiet_s=config.series.study_quiet_s,
        rules=rules_of(config),
        preference=preference_of(config),
    )


def _counts(config: Config) -> Ask | None:
    pacs = next((p for p in config.pacs if p.name == config.series.count_from), None)
    if pacs is None:
        return None
    peer = peer_of(config, pacs)
    return PacsCounts(pacs.name, lambda study: series_counts(peer, study, COUNT_TIMEOUTS)).of_study


def run_receive(config: Config, stop: Event, *, ready: Callable[[str], None], alive: Callable[[], None]) -> None:
    """The receiver, with all that is periodic about what it keeps, until ``stop``."""
    store = store_of(config)
    with _alone(config, "receive"), _database(config) as db:
        _reconcile(store, db, min_age_s=0)
        receiver = Receiver(scp_settings(config), db=db, store=store)
        settings, count = sweep_settings(config), _counts(config)
        told: set[str] = set()
        hour, minute = config.schedule.reconcile_at.split(":")
        scheduler = _scheduler()
        scheduler.add_job(
            lambda: sweep(db, settings, now=time.time(), is_open=receiver.transfers.is_open, told=told, count=count),
            "interval",
            seconds=config.schedule.sweep_s,
        )
        scheduler.add_job(lambda: _retention(config, store, db), "interval", seconds=config.schedule.retention_s)
        scheduler.add_job(lambda: _reconcile(store, db, min_age_s=3600), "cron", hour=hour, minute=minute)
        scheduler.start()
        ready(f"listening on port {receiver.port} as {config.node.ae_title}")
        _wait(stop, alive)
        receiver.stop(grace_s=RECEIVE_GRACE_S)
        scheduler.shutdown()


def run_work(config: Config, stop: Event, *, ready: Callable[[str], None], alive: Callable[[], None]) -> None:
    """One worker, until ``stop``."""
    with _database(config) as db:
        scheduler = _scheduler()
        scheduler.add_job(
            lambda: sweep_leases(db, max_attempts=config.work.attempts, now=time.time()),
            "interval",
            seconds=config.schedule.lease_sweep_s,
        )
        scheduler.start()
        worker = Worker(
            db=db,
            store=store_of(config),
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
        )
        try:
            worker.run(ready)
        finally:
            scheduler.shutdown()


def run_deliver(config: Config, stop: Event, *, ready: Callable[[str], None], alive: Callable[[], None]) -> None:
    """The deliverer, until ``stop``."""
    store = store_of(config)
    with _alone(config, "deliver"), _database(config) as db:
        destinations = destinations_of(config)
        deliverer = Deliverer(db, destinations, store.root)
        peers = [d.peer for d in destinations] + [peer_of(config, p) for p in config.pacs]
        scheduler = _scheduler()
        scheduler.add_job(lambda: echo_all(peers), "interval", seconds=config.schedule.echo_s)
        scheduler.start()
        deliverer.start()
        ready(f"{len(destinations)} destinations")
        _wait(stop, lambda: alive() if deliverer.alive else None)
        deliverer.stop(DELIVER_GRACE_S)
        scheduler.shutdown(wait=False)


def scp_settings(config: Config) -> ScpSettings:
    """How the SCP listens."""
    receive = config.receive
    return ScpSettings(
        ae_title=config.node.ae_title,
        host=receive.host,
        port=receive.port,
        allow=tuple(AllowedPeer(ae_title=p.ae_title, network=str(p.network)) for p in receive.peer),
        floor_bytes=receive.min_free_mb * MIB,
        accept_also=config.accepted_also,
        maximum_associations=receive.max_associations,
        acse_timeout_s=receive.acse_timeout_s,
        dimse_timeout_s=receive.dimse_timeout_s,
        network_timeout_s=receive.network_timeout_s,
        maximum_pdu_bytes=receive.max_pdu_bytes,
    )


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


def _retention(config: Config, store: Store, db: Database) -> None:
    limits = RetentionLimits(
        delivered_s=config.retention.delivered_days * DAY_S,
        skipped_s=config.retention.skipped_days * DAY_S,
        failed_s=config.retention.failed_days * DAY_S,
        quarantine_s=config.retention.quarantine_days * DAY_S,
        low_water_bytes=config.retention.target_free_mb * MIB,
    )
    enforce(store, db, limits, now=time.time())


def _reconcile(store: Store, db: Database, *, min_age_s: float) -> None:
    now = time.time()

    def take_in(path: Path) -> None:
        adopt(path, db=db, store=store, now=now)

    reconcile(store, db, take_in, now=now, min_age_s=min_age_s)


def _scheduler() -> BackgroundScheduler:
    # A run that is late or still going is not worth a second one.
    return BackgroundScheduler(job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None})


def _wait(stop: Event, alive: Callable[[], None]) -> None:
    while not stop.wait(TICK_S):
        alive()


@contextmanager
def _database(config: Config) -> Iterator[Database]:
    db = open_database_of(config)
    try:
        yield db
    finally:
        db.close()


@contextmanager
def _alone(config: Config, service: str) -> Iterator[None]:
    """Holds the service's lock: two receivers or two deliverers on one queue would do everything twice."""
    path = config.node.state_dir / f"{service}.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            hint = "Stop the other one, or give this one its own node.state_dir."
            raise ConfigError(f"Another `ichnode {service}` uses {path.parent}.", hint=hint) from error
        yield
