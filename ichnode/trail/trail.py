"""The audit trail as the services use it: one line an event, and nothing that it does can stop them."""

import getpass
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Concatenate, Final, ParamSpec

from ichnode.service import trace
from ichnode.trail import events
from ichnode.trail.chain import Chain
from ichnode.trail.events import Us
from ichnode.trail.message import AuditMessage, Gravity, Source, to_xml
from ichnode.trail.records import Head
from ichnode.trail.repeats import Caller, Repeats

log = logging.getLogger(__name__)
P = ParamSpec("P")


class Trail:
    """Writes events into the chain. Safe to use from several threads.

    A trail that cannot be written must not cost images: ``write`` never raises. The first failure raises an alarm, the
    first success after it tells how many messages were lost. Without a chain it is switched off.
    """

    def __init__(self, chain: Chain | None, us: Us, *, alarm: Callable[[str], None]) -> None:
        self.chain, self.us, self._alarm = chain, us, alarm
        self._lock = threading.Lock()
        self._lost, self._lost_since = 0, 0.0
        self._repeats = Repeats()
        self._head = Head()

    def write(self, event: Callable[Concatenate[Us, P], AuditMessage], *args: P.args, **kwargs: P.kwargs) -> None:
        """Writes one event of ``ichnode.trail.events``, given its arguments."""
        if self.chain is None:
            return
        try:
            self._head = self.chain.append(to_xml(event(self.us, *args, **kwargs), self.us.source))
        except Exception as error:  # noqa: BLE001 - see the class
            self._failed(error)
        else:
            self._succeeded()

    def associated(self, ae_title: str, address: str, why: str = "", *, tls: bool = False) -> None:
        """An association was accepted, or refused: ``why``. A flood of them makes one message a minute and address."""
        key = f"{address} {why}" if why else f"{address} {ae_title}"
        how = " over TLS" if tls else ""
        caller = ae_title, address, why, how
        self._tell(self._repeats.came(key + how, caller, now=time.monotonic()))

    @contextmanager
    def of_service(self) -> Iterator["Trail"]:
        """The life of the service, from start to stop."""
        self.write(events.started)
        self._log_head()
        gravity = Gravity.MAJOR
        try:
            yield self
            gravity = Gravity.SUCCESS
        finally:
            self._tell(self._repeats.left())
            self.write(events.stopped, gravity)
            self._log_head()

    def _log_head(self) -> None:
        """The journal is a second place: `ichnode audit verify --head` compares."""
        if self._head.number:
            log.info("audit trail at %d:%s", self._head.number, self._head.sha256, extra={"action": "audit"})

    def _tell(self, came: list[tuple[Caller, int]]) -> None:
        for caller, times in came:
            self.write(events.associated, *caller, times)

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._lost += 1
            is_first = self._lost == 1
            if is_first:
                self._lost_since = self.us.clock()
        if is_first:
            text = f"the audit trail cannot be written ({type(error).__name__}): the node goes on without it"
            log.error("%s: %s", text, trace(error), extra={"action": "audit"})
            self._alarm(text)

    def _succeeded(self) -> None:
        with self._lock:
            lost, since, self._lost = self._lost, self._lost_since, 0
        if lost:
            self.write(events.resumed, lost, since)
            self._alarm(f"the audit trail can be written again; {lost} messages were lost")


NOBODY: Final = Us(source=Source(identifier=""), service="", ae_title="", patient_of=str, clock=time.time)
OFF: Final = Trail(None, NOBODY, alarm=lambda _text: None)  # for whoever needs no trail


def user() -> str:
    """Who is at the keyboard: the login name, of who called sudo where one did, and the machine (A.5.2.1)."""
    name = os.environ.get("SUDO_USER") or getpass.getuser()
    return f"{name}@{socket.gethostname()}"
