"""What the child process does in these tests, in place of an analysis: it crashes, hangs, or ends well.

A module of its own: the child is a new process and imports it by name.
"""

import errno
import os
import signal
import time
from pathlib import Path

from ichnode.domain.errors import ConfigError, Retryable
from ichnode.domain.figures import Figures
from ichnode.domain.outputs import ObjectKind, OutputFile
from ichnode.domain.states import JobState
from ichnode.service import set_up_logging
from ichnode.work.task import Done, Perform, Task


def well() -> tuple[str, Perform]:
    """Every job ends at once."""
    return "test", _done


def by_behaviour(folder: Path) -> tuple[str, Perform]:
    """The file ``folder/behaviour`` says what the next job does, once; afterwards all is well."""

    set_up_logging("info")

    def perform(task: Task) -> Done:
        order = folder / "behaviour"
        behaviour = order.read_text() if order.exists() else "well"
        order.unlink(missing_ok=True)
        return _BEHAVIOURS[behaviour](task)

    return "test", perform


def telling(folder: Path) -> tuple[str, Perform]:
    """Every job ends well with 7 mL; what it was told of other scans and of the onset goes to ``folder/told``."""

    def perform(task: Task) -> Done:
        first = task.baseline
        hours = 0 if first is None or task.acquired_at is None else task.acquired_at - first.acquired_at
        path = None if first is None else first.paths[0]
        with (folder / "told").open("a") as told:
            told.write(f"{hours:g} {path} {task.onset_h} {task.report_alone}\n")
        uid = f"2.25.{task.job_id}"
        report = OutputFile(
            kind=ObjectKind.SR,
            number=1,
            sop_class_uid="1.2",
            sop_instance_uid=uid,
            series_instance_uid=f"{uid}.1",
            path=uid,
            sha256="0",
        )
        figures = Figures(volume_ml=7.0, report_uid=uid)
        return Done(state=JobState.DONE, text="ok", outputs=(report,), figures=figures)

    return "test", perform


def patient(folder: Path) -> tuple[str, Perform]:
    """Every job waits until there is a file ``folder/go``."""

    def perform(task: Task) -> Done:
        while not (folder / "go").exists():
            time.sleep(0.02)
        return _done(task)

    return "test", perform


def full(folder: Path) -> tuple[str, Perform]:
    """The disk is full until there is a file ``folder/go``."""

    def perform(task: Task) -> Done:
        return _done(task) if (folder / "go").exists() else _disk_full(task)

    return "test", perform


def wrong_weights() -> tuple[str, Perform]:
    """Cannot even start."""
    raise ConfigError("The weights are not what their card says.", hint="Install them again.")


def _done(task: Task) -> Done:
    return Done(state=JobState.REJECTED if task.explain else JobState.DONE, text=task.explain or "ok", outputs=())


def _killed(_task: Task) -> Done:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def _out_of_memory(_task: Task) -> Done:
    raise MemoryError


def _hang(_task: Task) -> Done:
    while True:
        signal.pause()


def _retryable(_task: Task) -> Done:
    raise Retryable("the GPU is busy")


def _other_weights(_task: Task) -> Done:
    raise ConfigError("The weights of the replay are not there.")


def _disk_full(_task: Task) -> Done:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _patient(_task: Task) -> Done:
    raise ValueError("bad value in MUELLER^ANNA")


_BEHAVIOURS = {
    "well": _done,
    "killed": _killed,
    "memory": _out_of_memory,
    "hang": _hang,
    "retryable": _retryable,
    "weights": _other_weights,
    "disk full": _disk_full,
    "patient": _patient,
}
