"""The child process that does the work, one job at a time, with the network loaded once."""

import errno
import logging
import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Final

from ichnode.domain.errors import ConfigError, IchnodeError
from ichnode.work.task import Broken, OpenPerformer, Ready, Reply, Task

log = logging.getLogger(__name__)
TICK_S: Final = 0.2
NOT_WRITABLE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})  # whatever the series: no fault of the job
SPAWN: Final = multiprocessing.get_context("spawn")  # a fork would inherit the queue's connections and threads


class Child:
    """A process that performs tasks. It is started when needed and killed when it hangs; the parent lives on."""

    def __init__(self, open_performer: OpenPerformer) -> None:
        self._open_performer = open_performer
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    @property
    def alive(self) -> bool:
        """Whether the process is there and can take a task."""
        return self._process is not None and self._process.is_alive()

    def start(self, *, limit_s: float, tick: Callable[[], None]) -> Ready:
        """Starts the process and waits until it is warm. Raises ConfigError or ChildDied."""
        ours, theirs = SPAWN.Pipe()
        self._pipe = ours
        self._process = SPAWN.Process(target=_main, args=(theirs, self._open_performer), daemon=True)
        self._process.start()
        theirs.close()
        reply = self._await(limit_s, tick)
        if isinstance(reply, Ready):
            return reply
        self.kill()
        assert isinstance(reply, Broken)
        if reply.permanent:
            raise ConfigError(reply.error, hint=reply.hint)
        raise ChildDied(reply.error)

    def perform(self, task: Task, *, limit_s: float, tick: Callable[[], None]) -> Reply:
        """Does one task. ``tick`` is called every TICK_S; what it raises ends the task and kills the child.

        Raises ChildDied for a crash, for an out-of-memory kill and at the time limit.
        """
        assert self._pipe is not None
        try:
            self._pipe.send(task)
            return self._await(limit_s, tick)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _await(self, limit_s: float, tick: Callable[[], None]) -> Reply:
        assert self._pipe is not None
        assert self._process is not None
        deadline = time.monotonic() + limit_s
        while not self._pipe.poll(TICK_S):
            tick()
            if time.monotonic() > deadline:
                self.kill()
                raise ChildDied(f"stopped at its time limit of {limit_s:g} s")
        try:
            reply: Reply = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join(timeout=10)
            code = self._process.exitcode
            self.kill()
            raise ChildDied(_death(code)) from error
        return reply


class ChildDied(IchnodeError):
    """The child process ended without an answer."""


def _death(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        return "its process was killed (out of memory?)"
    if exit_code is not None and exit_code < 0:
        return f"its process died of signal {signal.Signals(-exit_code).name}"
    return f"its process ended with code {exit_code}"


def _broken(error: Exception, task: Task) -> Broken:
    if isinstance(error, OSError) and error.errno in NOT_WRITABLE:
        return Broken(error=f"the results cannot be written: {error.strerror}", blameless=True)
    return Broken(error=f"unexpected {type(error).__name__}, see the log of job {task.job_id}")


def _main(pipe: Connection, open_performer: OpenPerformer) -> None:
    """The child's life, until the parent closes the pipe or dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C and systemd's SIGTERM reach the whole group:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the parent decides what becomes of the job
    try:
        _live(pipe, open_performer)
    except ConnectionError:  # of the pipe: the parent was killed, and its job is another worker's
        log.warning("the worker is gone: its child ends", extra={"action": "stop"})


def _live(pipe: Connection, open_performer: OpenPerformer) -> None:
    """Loads, then does one task after the other."""
    try:
        name, perform = open_performer()
    except ConfigError as error:
        pipe.send(Broken(error=str(error), hint=error.hint, permanent=True))
        return
    except Exception as error:
        log.exception("child cannot start")
        pipe.send(Broken(error=f"{type(error).__name__}: {error}"))
        return
    pipe.send(Ready(runtime=name))
    while True:
        try:
            task: Task = pipe.recv()
        except EOFError:
            return
        try:
            reply: Reply = perform(task)
        except IchnodeError as error:
            reply = Broken(error=str(error), hint=error.hint, permanent=isinstance(error, ConfigError))
        except Exception as error:
            # The message of a foreign error may quote a header: its type and place go to the log, not its text.
            log.exception("job broke", extra={"job": task.job_id})
            reply = _broken(error, task)
        pipe.send(reply)
