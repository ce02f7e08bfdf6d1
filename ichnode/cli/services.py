"""What the service verbs share: signals, logs, systemd's notifications."""

import logging
from collections.abc import Callable
from threading import Event
from typing import Final

from ichnode.config.config import Config
from ichnode.service import Watchdog, notify, set_up_logging, stop_on_signals

log: Final = logging.getLogger(__name__)


def serve(config: Config, name: str, service: Callable[..., None]) -> None:
    """Runs one service until SIGTERM or SIGINT."""
    set_up_logging(config.node.log_level)
    stop: Event = stop_on_signals()
    watchdog = Watchdog()

    def ready(text: str) -> None:
        log.info("%s is ready: %s", name, text, extra={"action": "ready"})
        notify("READY=1")

    service(config, stop, ready=ready, alive=watchdog.alive)
    log.info("%s has stopped", name, extra={"action": "stop"})
