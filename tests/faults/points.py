"""Where a service kills itself with SIGKILL: five points of a study's walk, at least, in each.

A point is reached once: the service that was killed there is started again without it. Every point wraps one function
of the service, before or after which the process is gone, as it would be after a power cut.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import P_DATA_TF

import ichnode.deliver.loop
import ichnode.receive.intake
import ichnode.receive.settle
import ichnode.work.loop
from ichnode.domain.values import NetworkInput, Prediction
from ichnode.queue import jobs, outbox
from ichnode.store import files
from ichnode.work.child import Child
from tests.peers.stand_in import PerfectRuntime
from tests.peers.tools import wait_until

Patch = Callable[[], None]


def die() -> None:
    """Ends this process as the kernel would: nothing is flushed, closed or said."""
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, nth: int = 1, *, asked: Callable[..., bool] = lambda *_, **__: True) -> Patch:
    """Dies instead of the ``nth`` call of a function, of those whose arguments are ``asked`` for."""

    def patch() -> None:
        original, calls = getattr(owner, name), 0

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += asked(*args, **kwargs)
            if calls == nth:
                die()
            return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    return patch


def after(owner: Any, name: str, nth: int = 1, *, gave: Callable[[Any], bool] = lambda _: True) -> Patch:
    """Dies when the ``nth`` call of a function has done its work, of those that ``gave`` what is asked for."""

    def patch() -> None:
        original, calls = getattr(owner, name), 0

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            result = original(*args, **kwargs)
            calls += gave(result)
            if calls == nth:
                die()
            return result

        setattr(owner, name, wrapped)

    return patch


class KillsItsWorker(PerfectRuntime):
    """The worker dies while its child computes; the child lives on without it."""

    def predict(self, x: NetworkInput) -> Prediction:
        os.kill(os.getppid(), signal.SIGKILL)
        return super().predict(x)


class WaitsForGo(PerfectRuntime):
    """Computes until the file ``go`` stands beside the truth."""

    def predict(self, x: NetworkInput) -> Prediction:
        self._truth.with_name("held").touch()
        wait_until(self._truth.with_name("go").exists, "go")
        return super().predict(x)


class QuotesTheHeader(PerfectRuntime):
    """Breaks as libraries do, with a value of the header in its message, once ``quote`` stands beside the truth."""

    def predict(self, x: NetworkInput) -> Prediction:
        if self._truth.with_name("quote").exists():
            try:
                float("Zacharias PID-7Q4Z2X9")
            except ValueError as error:
                raise RuntimeError("Grünspecht^Zacharias, born 19231117, cannot be computed") from error
        return super().predict(x)


def _hold(owner: Any, name: str, nth: int) -> Patch:
    """Holds the ``nth`` call of a function until the file ``go`` stands in the state folder; ``held`` tells."""

    def patch() -> None:
        original, calls = getattr(owner, name), 0
        folder = Path(sys.argv[sys.argv.index("--config") + 1]).parent / "state"

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == nth:
                (folder / "held").touch()
                wait_until((folder / "go").exists, "go")
            return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    return patch


def _short_pauses() -> None:
    """No death: where a test breaks a service hundreds of times, the pauses after errors are short."""
    ichnode.deliver.loop.ERROR_PAUSE_S = ichnode.work.loop.ERROR_PAUSE_S = 0.5


def _is_inner_part(pdu: Any) -> bool:
    """Whether a PDU holds a part of a data set, and not its last. Source: PS3.8 E.2, message control header."""
    return isinstance(pdu, P_DATA_TF) and pdu.presentation_data_value_items[0].presentation_data_value[0] == 0


RECEIVE: dict[str, Patch] = {
    "half of an instance received": after(DULServiceProvider, "_decode_pdu", 3, gave=lambda r: _is_inner_part(r[0])),
    "an instance written, but not under its name": after(files, "_write_and_sync", 3),
    "file there, row not": before(ichnode.receive.intake, "record", 5),
    "row there, answer not": after(ichnode.receive.intake, "record", 5),
    "complete, but not settled": before(ichnode.receive.settle, "settle"),
    "settled, but not decided": before(ichnode.receive.settle, "decide"),
}
WORK: dict[str, Patch] = {
    "claimed, but not begun": after(jobs, "claim", gave=lambda lease: lease is not None),
    "its child runs": lambda: None,  # KillsItsWorker does it
    "its child has answered": after(Child, "perform"),
    "objects written, job not finished": before(jobs, "finish"),
    "finished, but not said": after(jobs, "finish"),
}
DELIVER: dict[str, Patch] = {
    "before the first association": before(ichnode.deliver.loop, "send", asked=lambda files, *_, **__: bool(files)),
    "half of an object sent": before(DULServiceProvider, "_send", 2, asked=lambda _, pdu: _is_inner_part(pdu)),
    "first object answered, not recorded": before(outbox, "sent"),
    "first object recorded, second not sent": after(outbox, "sent"),
    "third object answered, not recorded": before(outbox, "sent", 3),
}
POINTS = {
    f"{service}: {point}": patch
    for service, points in (("receive", RECEIVE), ("work", WORK), ("deliver", DELIVER))
    for point, patch in points.items()
}
HOLDS = {  # no death: a moment that lasts until the test has looked
    "receive: an instance in hand": _hold(ichnode.receive.intake, "record", 3),
    "work: its child computes": lambda: None,  # WaitsForGo does it
    "work: an error quotes the header": lambda: None,  # QuotesTheHeader does it
    "all: short pauses after errors": _short_pauses,
}
RUNTIMES = {
    "work: its child runs": KillsItsWorker,
    "work: its child computes": WaitsForGo,
    "work: an error quotes the header": QuotesTheHeader,
}
