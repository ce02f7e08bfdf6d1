"""The deliverer as it runs."""

from collections.abc import Callable
from threading import Event
from typing import Final

from ichnode.app.certificates import warn_of_certificates
from ichnode.app.host import alone, clockwork, database, wait
from ichnode.app.trail import forwarding, trail_of
from ichnode.app.wire import destinations_of, peer_of, reported_to, store_of
from ichnode.config.config import Config
from ichnode.deliver.loop import Deliverer
from ichnode.watch import echo_all

DELIVER_GRACE_S: Final = 70.0  # for the object in hand: a slow PACS may take its whole DIMSE time-out


def run_deliver(config: Config, stop: Event, *, ready: Callable[[str], None], alive: Callable[[], None]) -> None:
    """The deliverer, until ``stop``."""
    store = store_of(config)
    with (
        alone(config, "deliver"),
        database(config) as db,
        trail_of(config, db, "deliver").of_service() as trail,
        forwarding(config, db),
    ):
        destinations = destinations_of(config)
        deliverer = Deliverer(db, destinations, store.root, reported_to=reported_to(config), trail=trail)
        peers = [d.peer for d in destinations] + [peer_of(config, p) for p in config.pacs]
        scheduler = clockwork()
        scheduler.add_job(lambda: echo_all(peers), "interval", seconds=config.schedule.echo_s)
        scheduler.add_job(lambda: warn_of_certificates(config), "interval", days=1)
        scheduler.start()
        warn_of_certificates(config)
        deliverer.start()
        ready(f"{len(destinations)} destinations")
        wait(stop, lambda: alive() if deliverer.alive else None)
        deliverer.stop(DELIVER_GRACE_S)
        scheduler.shutdown(wait=False)
