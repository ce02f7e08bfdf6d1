"""What every service needs of its host: a stop signal, systemd's notifications, log lines."""

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from threading import Event, Thread
from typing import Final

log = logging.getLogger(__name__)
EXTRA: Final = ("job", "series", "delivery", "destination", "action", "attempt", "seconds", "status", "association")


def stop_on_signals() -> Event:
    """An event that SIGTERM and SIGINT set; systemd is told at once that the service is stopping."""
    stop = Event()

    def _stop() -> None:
        stop.set()
        notify("STOPPING=1")

    for number in (signal.SIGTERM, signal.SIGINT):
        # In another thread: a handler runs in the main thread at any line of it, also where that holds the event's
        # lock, and would wait for itself for ever.
        signal.signal(number, lambda *_: Thread(target=_stop, daemon=True).start())
    return stop


def notify(message: str) -> None:
    """Tells systemd how the service is ("READY=1", "WATCHDOG=1", "STOPPING=1"); nothing where systemd does not run it.

    Source: sd_notify(3).
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        channel.sendall(message.encode())


class Watchdog:
    """Systemd's watchdog: ``alive`` may be called as often as one likes, and tells it often enough."""

    def __init__(self) -> None:
        self._every_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6 / 3
        self._told = 0.0

    def alive(self) -> None:
        """The service is well."""
        now = time.monotonic()
        if self._every_s and now - self._told > self._every_s:
            notify("WATCHDOG=1")
            self._told = now


def failure(error: BaseException) -> str:
    """What an error of the disk or the queue says, in the system's own words, which quote no patient's header:
    SQLAlchemy's message would have the values of the statement."""
    told = getattr(error, "orig", None) or getattr(error, "strerror", None)
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def trace(error: BaseException | None) -> str:
    """What an exception is and where it came from, without its message: that may quote a patient's header."""
    causes = []
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        way = " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
        causes.append(f"{failure(error)} at {way}")
        error = error.__cause__ or error.__context__
    return " caused by ".join(causes)


class JsonLines(logging.Formatter):
    """One JSON object a line, for the journal: the message and ids of ours, no patient data."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {"at": round(record.created, 3), "level": record.levelname.lower(), "logger": record.name}
        line["message"] = record.getMessage()
        line |= {name: getattr(record, name) for name in EXTRA if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = trace(record.exc_info[1])
        return json.dumps(line, default=str)


class HumanLines(logging.Formatter):
    """A line for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        ids = " ".join(f"{name}={getattr(record, name)}" for name in EXTRA if hasattr(record, name))
        room = record.name.removeprefix("ichnode.").split(".")[0]
        line = f"{clock} {record.levelname.lower():7} {room:8} {record.getMessage()}" + (f"  [{ids}]" if ids else "")
        return line + (f"  {trace(record.exc_info[1])}" if record.exc_info else "")


def set_up_logging(level: str) -> None:
    """Logs to standard error: text on a terminal, JSON elsewhere. Foreign libraries log warnings only."""
    handler = logging.StreamHandler()
    handler.setFormatter(HumanLines() if sys.stderr.isatty() else JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("ichnode").setLevel(level.upper())
    # pynetdicom logs the identifiers of peers' requests at these levels: patient data.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    logging.getLogger("pydicom").setLevel(logging.ERROR)
    # Likewise pydicom's warnings quote the odd values that they warn of.
    warnings.simplefilter("ignore", UserWarning)
    threading.excepthook = _thread_ended


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """One line for a thread that an exception ended. Python would print the message, which may quote what a peer sent:
    pynetdicom's threads end so over a message that cannot be decoded."""
    log.warning("a thread ended: %s", trace(ended.exc_value), extra={"action": "thread"})
