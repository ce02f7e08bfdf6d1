"""The context for being called, renewed with its files."""

import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ichnode.domain.errors import ConfigError
from ichnode.domain.tls import TlsFiles
from ichnode.tls.contexts import server_context
from ichnode.tls.validity import Validity, validities_of

log = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A context, and when the certificate that it shows is valid; None where that cannot be read."""

    context: ssl.SSLContext
    validity: Validity | None

    def holds(self, now: float) -> bool:
        return self.validity is None or self.validity.holds(now)


class ServerContext:
    """The context for being called, made anew as soon as one of its files is another: no restart for a certificate.

    Files that cannot be used change nothing but are told, once: the context before them stays. So it does where the
    new certificate has expired or is not yet valid, for as long as the old one is better. Raises ConfigError where
    there is none before them.
    """

    def __init__(
        self, files: TlsFiles, *, mutual: bool, tell: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._files, self._mutual, self._tell, self._clock = files, mutual, tell, clock
        self._lock = threading.Lock()
        self._stamp = _stamp(files)
        self._pair = self._read()
        self._next: _Pair | None = None  # not to be used yet
        self._kept = False  # what is in use is not what the files hold

    def current(self) -> ssl.SSLContext:
        """The context for the next connection; those that stand are not touched."""
        fault = ""
        with self._lock:
            stamp = _stamp(self._files)
            if stamp != self._stamp:
                self._stamp = stamp
                fault = self._read_again()
            if self._next is not None:
                self._change_over(self._next)
            context = self._pair.context
        if fault:  # to tell it may take long: others need not wait for that
            text = f"The certificate from before stays in use: {fault}"
            log.error(text, extra={"action": "tls"})
            self._tell(text)
        return context

    def _read(self) -> _Pair:
        context = server_context(self._files, mutual=self._mutual)
        return _Pair(context=context, validity=_validity(self._files.certificate))

    def _read_again(self) -> str:
        """Takes what the files hold now for the next. Returns why it cannot be used, or not yet."""
        self._next, now = None, self._clock()
        try:
            self._next = found = self._read()
        except ConfigError as error:
            self._kept = True
            return str(error)
        if found.validity is None or self._is_time_for(found, now):
            return ""
        self._kept = True
        if found.validity.ends < now:
            return f"{self._files.certificate} ended at {_moment(found.validity.ends)}."
        return f"{self._files.certificate} is not valid before {_moment(found.validity.begins)}."

    def _is_time_for(self, found: _Pair, now: float) -> bool:
        return found.holds(now) or not self._pair.holds(now)

    def _change_over(self, found: _Pair) -> None:
        if not self._is_time_for(found, self._clock()):
            return
        instead = ", in place of the one from before" if self._kept else ""
        self._pair, self._next, self._kept = found, None, False
        what = f"the TLS files were read again: {self._files.certificate} is in use{instead}"
        log.info(what, extra={"action": "tls"})


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def _validity(certificate: Path | None) -> Validity | None:
    """Of the certificate that is shown: the first of its file."""
    try:
        return validities_of(certificate)[0] if certificate is not None else None
    except (OSError, ValueError, IndexError):
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
