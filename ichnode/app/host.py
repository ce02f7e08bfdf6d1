"""What every running service has: its lock, its queue, its clockwork."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Final

from apscheduler.schedulers.background import BackgroundScheduler

from ichnode.app.wire import open_database_of
from ichnode.config.config import Config
from ichnode.domain.errors import ConfigError
from ichnode.queue.database import Database

TICK_S: Final = 0.5


def clockwork() -> BackgroundScheduler:
    """What does things again and again; not yet started."""
    # A run that is late or still going is not worth a second one.
    return BackgroundScheduler(job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None})


def wait(stop: Event, alive: Callable[[], None]) -> None:
    """Until ``stop``, telling again and again that the service is alive."""
    while not stop.wait(TICK_S):
        alive()


@contextmanager
def database(config: Config) -> Iterator[Database]:
    """The queue, closed at the end."""
    db = open_database_of(config)
    try:
        yield db
    finally:
        db.close()


@contextmanager
def alone(config: Config, service: str) -> Iterator[None]:
    """Holds the service's lock: two receivers or two deliverers on one queue would do everything twice."""
    path = config.node.state_dir / f"{service}.lock"
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            hint = "Stop the other one, or give this one its own node.state_dir."
            raise ConfigError(f"Another `ichnode {service}` uses {path.parent}.", hint=hint) from error
        yield
