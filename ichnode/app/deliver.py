"""The deliverer as it runs."""

import time
from collections.abc import Callable
from threading import Event
from typing import Final

from ichnode.app.certificates import warn_of_certificates
from ichnode.app.host import alone, clockwork, database, wait
from ichnode.app.trail import forwarding, trail_of
from ichnode.app.wire import destinations_of, peer_of, reported_to, store_of
from ichnode.config.config import Config
from ichnode.deliver.loop import Deliverer
from ichnode.queue import untold
from ichnode.watch import echo_all

DELIVER_GRACE_S: Final = 70.0  # for the object in hand: a slow PACS may take its whole DIMSE time-out
GIVE_UP_EVERY_S: Final = 600


def run_deliver(config: Config, stop: Event, *, ready: Callable[[str], None], alive: Callable[[], None]) -> None:
    """The deliverer, until ``stop``."""
    store = store_of(config)
    with (
        alone(config, "deliver"),
        database(config) as db,
        trail_of(config, db, "deliver").of_service() as trail,
        forwarding(config, db),
    ):
        destinations, told = destinations_of(config), reported_to(config)
        # Whoever mends an address has to start the deliverer again: what was given up before is worth another try, and
        # so is what became too old while the node was off.
        untold.give_up(db, now=time.time())
        untold.try_again(db, [peer.ae_title for peer in told], now=time.time())
        deliverer = Deliverer(db, destinations, store.root, reported_to=told, trail=trail)
        peers = [d.peer for d in destinations] + [peer_of(config, p) for p in config.pacs]
        scheduler = clockwork()
        scheduler.add_job(lambda: echo_all(peers), "interval", seconds=config.schedule.echo_s)
        scheduler.add_job(lambda: untold.give_up(db, now=time.time()), "interval", seconds=GIVE_UP_EVERY_S)
        scheduler.add_job(lambda: warn_of_certificates(config), "interval", days=1)
        scheduler.start()
        warn_of_certificates(config)
        deliverer.start()
        ready(f"{len(destinations)} destinations")
        wait(stop, lambda: alive() if deliverer.alive else None)
        deliverer.stop(DELIVER_GRACE_S)
        scheduler.shutdown(wait=False)
