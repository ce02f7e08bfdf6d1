"""The context for being called, renewed with its files."""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ichnode.domain.errors import ConfigError
from ichnode.domain.tls import TlsFiles
from ichnode.tls.contexts import read_pair, server_context
from ichnode.tls.pair import Pair
from ichnode.tls.validity import Validity, validities_in

log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A context, the pair that it shows, and when its certificate is valid; None where that cannot be read."""

    context: ssl.SSLContext
    pair: Pair | None
    validity: Validity | None

    def holds(self, now: float) -> bool:
        return self.validity is None or self.validity.holds(now)


class ServerContext:
    """The context for being called, made anew as soon as one of its files is another: no restart for a certificate.

    A pair that cannot be used changes nothing but is told, once: the one before it stays. So it does where the new
    certificate has expired or is not yet valid, for as long as the old one is better. The CAs and CRLs are those of the
    file all the same, in a context made for the old pair: one that only learns of new ones would go on trusting those
    taken away, and resume what a peer began before it was revoked. Raises ConfigError where there is none before them.
    """

    def __init__(
        self, files: TlsFiles, *, mutual: bool, tell: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._files, self._mutual, self._tell, self._clock = files, mutual, tell, clock
        self._lock = threading.Lock()
        self._stamp = _stamp(files)
        self._made = self._make(read_pair(files))
        self._next: _Made | None = None  # not to be used yet
        self._fault = ""  # what is in use though the files hold another, and why

    def current(self) -> ssl.SSLContext:
        """The context for the next connection; those that stand are not touched."""
        told = ""
        with self._lock:
            stamp = _stamp(self._files)
            if stamp != self._stamp:
                self._stamp, before = stamp, self._fault
                self._read_again()
                told = self._fault if self._fault != before else ""
            if self._next is not None:
                self._change_over(self._next)
            context = self._made.context
        if told:  # to tell it may take long: others need not wait for that
            log.error(told, extra={"action": "tls"})
            self._tell(told)
        return context

    def _make(self, pair: Pair | None) -> _Made:
        """The context that shows this pair, with the CAs and CRLs that the files hold now. Raises ConfigError."""
        context = server_context(self._files, mutual=self._mutual, pair=pair)
        return _Made(context=context, pair=pair, validity=_validity(pair))

    def _read_again(self) -> None:
        """Takes the pair that the files hold now for the next; if that must wait, the old one with what else is new."""
        self._next = None
        try:
            self._next = self._make(read_pair(self._files))
            why = self._why_not_yet(self._next)
        except ConfigError as error:
            why = str(error)
        if why:
            self._keep_pair(why)

    def _keep_pair(self, why: str) -> None:
        try:
            self._made = self._make(self._made.pair)
        except ConfigError as error:
            self._fault = f"The certificate, CAs and CRLs from before stay in use: {error}"
        else:
            self._fault = f"The certificate from before stays in use: {why}"

    def _why_not_yet(self, found: _Made) -> str:
        now = self._clock()
        if found.validity is None or self._is_time_for(found, now):
            return ""
        if found.validity.ends < now:
            return f"{self._files.certificate} ended at {_moment(found.validity.ends)}."
        return f"{self._files.certificate} is not valid before {_moment(found.validity.begins)}."

    def _is_time_for(self, found: _Made, now: float) -> bool:
        return found.holds(now) or not self._made.holds(now)

    def _change_over(self, found: _Made) -> None:
        if not self._is_time_for(found, self._clock()):
            return
        instead = ", in place of the one from before" if self._fault else ""
        self._made, self._next, self._fault = found, None, ""
        what = f"the TLS files were read again: {self._files.certificate} is in use{instead}"
        log.info(what, extra={"action": "tls"})


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def _validity(pair: Pair | None) -> Validity | None:
    """Of the certificate that is shown: the first of its file."""
    try:
        return validities_in(pair.certificate)[0] if pair is not None else None
    except (ValueError, IndexError):
        return None


def _stamp(files: TlsFiles) -> Stamp:
    stamps = []
    for path in (files.certificate, files.key, files.ca):
        try:
            found = path.stat() if path is not None else None
        except OSError:
            found = None
        stamps.append((found.st_mtime_ns, found.st_size, found.st_ino) if found else (0, 0, 0))
    return tuple(stamps)
