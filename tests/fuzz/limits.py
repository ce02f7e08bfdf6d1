"""What every input must keep: its time, and no word that pydicom would warn with."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CPU_S: Final = 10.0  # of one input of a few kilobytes, with every branch counted


class Find(AssertionError):
    """An input did what none may do: it hung, was answered with a status that nobody declared, or lost the server."""


@contextmanager
def bounded(cpu_s: float = CPU_S) -> Iterator[None]:
    """Raises Find when the block took more CPU time of this thread; the wall clock says nothing on a busy machine."""
    began = time.thread_time()
    yield
    took = time.thread_time() - began
    if took > cpu_s:
        raise Find(f"took {took:.1f} s of CPU time")


@contextmanager
def mute() -> Iterator[None]:
    """What pydicom warns of is odd on purpose; the services ignore these warnings too, for they quote headers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
