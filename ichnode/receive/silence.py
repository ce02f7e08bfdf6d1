"""How long a series or a study has been quiet, by a clock that nobody sets."""

import time
from collections.abc import Callable, Hashable


class Silence:
    """The memory of the sweeps of one process.

    The queue tells when a slice came by the clock on the wall. That jumps when somebody sets it, and it runs on while
    the node is down, when no slice could come. So quiet is measured on a monotonic clock from when a sweep first saw
    the slice; at first sight it is what the wall says, but not more than the time since the sweep before, which had not
    seen it.

    ``begun``: when the process could first have taken a slice in; none came before.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, begun: float | None = None) -> None:
        self._clock = clock
        self._swept = self._now = clock() if begun is None else begun
        self._since: dict[Hashable, tuple[float, float]] = {}  # what is quiet -> (its last slice, quiet since)
        self._looked_at: set[Hashable] = set()

    def begin_sweep(self) -> None:
        """A sweep begins. What the one before did not ask for any more is forgotten."""
        self._since = {key: self._since[key] for key in self._looked_at}
        self._looked_at.clear()
        self._swept, self._now = self._now, self._clock()

    def quiet_s(self, key: Hashable, last_at: float, *, now: float) -> float:
        """Seconds since the last slice of ``key``, which came at ``last_at`` while it is ``now`` on the wall."""
        known_at, since = self._since.get(key, (None, 0.0))
        if known_at != last_at:
            since = self._now - min(max(0.0, now - last_at), self._now - self._swept)
            self._since[key] = last_at, since
        self._looked_at.add(key)
        return self._now - since
