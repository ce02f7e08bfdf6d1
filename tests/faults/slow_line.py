"""A line between two machines that is slow, or that is cut: a relay, for what no real network does when it is asked."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

TICK_S = 0.05
NO_LIMIT = 1 << 40
MOST = 1 << 16


class Relay:
    """Passes bytes on in both directions, so many a second at most, until so many have gone towards the server.

    Then the line is dead, as a pulled cable is: nothing passes, and nobody is told.
    """

    def __init__(self, port: int, *, bytes_per_s: float, dead_after: int = NO_LIMIT) -> None:
        self._target, self._bytes_per_s, self._dead_after = port, bytes_per_s, dead_after
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.sent = 0  # towards the server
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it is called."""
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        """Ends every connection."""
        for one in [self._listener, *self._open]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                for source, sink, counts in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._pass, args=(source, sink, counts), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, counts: bool) -> None:
        with suppress(OSError):
            while data := source.recv(min(MOST, max(1, int(self._bytes_per_s * TICK_S)))):
                if counts:
                    with self._lock:
                        self.sent += len(data)
                if self.sent > self._dead_after:
                    return
                sink.sendall(data)
                if self._bytes_per_s < NO_LIMIT:
                    time.sleep(len(data) / self._bytes_per_s)
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def relay(port: int, *, bytes_per_s: float = NO_LIMIT, dead_after: int = NO_LIMIT) -> Iterator[Relay]:
    """A relay for the length of a ``with`` block."""
    line = Relay(port, bytes_per_s=bytes_per_s, dead_after=dead_after)
    try:
        yield line
    finally:
        line.close()


@contextmanager
def threads(*works: Callable[[], object]) -> Iterator[list[object]]:
    """Works that begin at once, each in its thread; at the end all are waited for. The list holds what they returned,
    in the order of their ending."""
    done: list[object] = []
    running = [threading.Thread(target=lambda work=work: done.append(work()), daemon=True) for work in works]
    for thread in running:
        thread.start()
    yield done
    for thread in running:
        thread.join(120)
