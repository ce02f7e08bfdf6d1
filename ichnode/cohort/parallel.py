"""One function over many tasks in processes that end with their parent, however it ends."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from typing import Final, TypeVar

from ichnode.domain.errors import Retryable

SPAWN: Final = multiprocessing.get_context("spawn")  # a fork would inherit the threads of a progress bar, mid-lock
THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # read when a process loads its libraries
DIED: Final = "A process that worked on the cohort died, most likely for want of memory."

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_processes(
    function: Callable[[Task], Result], tasks: Sequence[Task], jobs: int
) -> Generator[tuple[Task, Result], None, None]:
    """Each task with its result, as they end; with one job in this process.

    ``function``, tasks and results must be picklable. Few tasks are handed over ahead, so that a caller who closes the
    generator waits for those at work only. What ``function`` raises is raised here. Raises Retryable when a process
    dies.
    """
    if jobs <= 1:
        yield from ((task, function(task)) for task in tasks)
        return
    try:
        with (
            _one_thread_each(),
            ProcessPoolExecutor(min(jobs, max(1, len(tasks))), mp_context=SPAWN, initializer=_follow_parent) as pool,
        ):
            running: dict[Future[Result], Task] = {}
            for task in tasks:
                running[pool.submit(function, task)] = task
                if len(running) > jobs:
                    yield from _ended(running)
            while running:
                yield from _ended(running)
    except BrokenProcessPool as error:
        raise Retryable(DIED, hint="Try again with fewer --jobs; what is done is kept.") from error


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are spawned meanwhile do their linear algebra in one thread: the processes use the cores already,
    and more threads than cores spin and wait for each other."""
    before = dict(os.environ)
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name in THREADS:
            os.environ.pop(name, None)
        os.environ.update({name: before[name] for name in THREADS if name in before})


def _ended(running: dict[Future[Result], Task]) -> Generator[tuple[Task, Result], None, None]:
    for future in wait(running, return_when=FIRST_COMPLETED).done:
        yield running.pop(future), future.result()


def _follow_parent() -> None:
    """Ctrl-C is the parent's business; and a worker whose parent was killed would wait for tasks for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
