"""What every running service has: its lock, its queue, its clockwork."""

import fcntl
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Final, TextIO

from apscheduler.schedulers.background import BackgroundScheduler

from ichnode.app.wire import open_database_of
from ichnode.config.config import Config
from ichnode.domain.errors import ConfigError
from ichnode.owned import open_owned
from ichnode.queue.database import Database
from ichnode.queue.migration import is_awaited

log = logging.getLogger(__name__)

TICK_S: Final = 0.5
LOCK_S: Final = 1.0  # a lock that was only looked at (`runs`) is free again long before
LOOK_S: Final = 2.0  # how often a service looks whether it is in the way of an upgrade


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
    """The queue, closed at the end. Meanwhile the service makes way for one of a later version: see ``_make_way``."""
    db = open_database_of(config)
    closed = Event()
    Thread(
        target=_make_way, args=(config.node.state_dir / "queue.sqlite", closed), name="make-way", daemon=True
    ).start()
    try:
        yield db
    finally:
        closed.set()
        db.close()


@contextmanager
def alone(config: Config, service: str) -> Iterator[None]:
    """Holds the service's lock: two receivers or two deliverers on one queue would do everything twice."""
    path = _lock_of(config, service)
    with os.fdopen(open_owned(path, os.O_RDWR), "r+") as lock:
        if not _held(lock, LOCK_S):
            hint = "Stop the other one, or give this one its own node.state_dir."
            raise ConfigError(f"Another `ichnode {service}` uses {path.parent}.", hint=hint)
        yield


@contextmanager
def together(config: Config, service: str) -> Iterator[None]:
    """Holds the service's lock with others of its kind: of workers there may be several."""
    with os.fdopen(open_owned(_lock_of(config, service), os.O_RDWR), "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def runs(config: Config, service: str) -> bool:
    """Whether one of that service runs. Makes nothing; where this user may not look, it is taken to run."""
    try:
        with _lock_of(config, service).open("r+") as lock:
            return not _held(lock, 0)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _lock_of(config: Config, service: str) -> Path:
    return config.node.state_dir / f"{service}.lock"


def _held(lock: TextIO, limit_s: float) -> bool:
    """Whether the lock is ours now, tried for so long."""
    end = time.monotonic() + limit_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        else:
            return True


def _make_way(path: Path, closed: Event) -> None:
    """Ends this process in order when a service of a later version waits to migrate the queue: whoever starts services
    anew (systemd, ``ichnode run``) starts it in that version. So a service that ends by chance between an installation
    and the restart takes the others along, and does not stay away."""
    while not closed.wait(LOOK_S):
        with suppress(OSError):
            if is_awaited(path):
                log.warning("a later version waits for the queue: this service ends", extra={"action": "upgrade"})
                os.kill(os.getpid(), signal.SIGTERM)
                return
