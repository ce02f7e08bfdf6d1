"""All services under one parent, for a machine without systemd: each a process, started again when it ends."""

import ctypes
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Final

log = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
HEALTHY_S: Final = 60.0  # one that ran this long starts again at once
GRACE_S: Final = 80.0  # the deliverer may have an object in hand
POLL_S: Final = 0.2
PR_SET_PDEATHSIG: Final = 1


@dataclass(slots=True)
class _Child:
    verb: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause_s: float = field(default=FIRST_PAUSE_S)
    start_at: float = 0.0


def supervise(
    options: Sequence[str], verbs: Sequence[tuple[str, ...]], stop: Event, *, fatal: int, alive: Callable[[], None]
) -> int:
    """Runs ``ichnode OPTIONS VERB`` for each verb until ``stop``; one that ends is started again, ever later.

    An exit code of ``fatal`` (the configuration is wrong) ends them all. Returns that code, else 0.
    """
    children = [_Child(verb) for verb in verbs]
    code = 0
    try:
        while not stop.wait(POLL_S) and not code:
            alive()
            for child in children:
                code = code or _look_after(child, options, fatal)
    finally:
        _end(children)
    return code


def _look_after(child: _Child, options: Sequence[str], fatal: int) -> int:
    now = time.monotonic()
    if child.process is None:
        if now >= child.start_at:
            command = [sys.executable, "-m", "ichnode", *options, *child.verb]
            child.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_end_with_parent
            )
            child.started = now
        return 0
    code = child.process.poll()
    if code is None:
        return 0
    child.process = None
    if code == fatal:
        return code
    child.pause_s = FIRST_PAUSE_S if now - child.started > HEALTHY_S else min(2 * child.pause_s, LONGEST_PAUSE_S)
    child.start_at = now + child.pause_s
    log.error("%s ended with code %d: started again in %.0f s", child.verb[0], code, child.pause_s)
    return 0


def _end_with_parent() -> None:
    """The child is told to end when we are killed: left alone it would hold port and lock against our successor.

    Source: PR_SET_PDEATHSIG, prctl(2); on Linux only.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(children: Sequence[_Child]) -> None:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("a service did not end in time and is killed")
            process.kill()
            process.wait()
