"""The worker: claims a job, has its child do it, writes down how it ended."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event
from typing import Final, TypeVar

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from ichnode.domain.errors import ConfigError, IchnodeError, LeaseLost
from ichnode.domain.followup import Baseline
from ichnode.domain.states import Decision, JobState
from ichnode.queue import jobs
from ichnode.queue.database import Database
from ichnode.queue.followups import Comparison, comparison
from ichnode.queue.jobs import JobKind, Lease
from ichnode.queue.outbox import Route
from ichnode.queue.results import onset_h
from ichnode.queue.series import series
from ichnode.queue.views import earlier_reports
from ichnode.service import failure
from ichnode.store.layout import Store
from ichnode.trail import events
from ichnode.trail.trail import OFF, Trail
from ichnode.work.child import TICK_S, Child, ChildDied
from ichnode.work.task import Broken, Done, OpenPerformer, Reply, Task

log = logging.getLogger(__name__)
POLL_S: Final = 0.5
ERROR_PAUSE_S: Final = 5.0  # after an error of our own (disk, queue); systemd's watchdog waits no longer than 60 s
START_LIMIT: Final = timedelta(minutes=10)  # the first start converts the network

Ended = TypeVar("Ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long and how often a job is tried."""

    job_limit_s: float
    attempts: int
    retry_delay_s: float
    lease_s: float


class ShutDown(IchnodeError):
    """The service is asked to stop while a job runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One worker. ``alive`` is called several times a second while all is well (the watchdog's sign of life)."""

    db: Database
    store: Store
    owner: str
    open_performer: OpenPerformer
    routes: Sequence[Route]
    limits: Limits
    stop: Event
    alive: Callable[[], None]
    trail: Trail = OFF

    def run(self, ready: Callable[[str], None]) -> None:
        """Works until ``stop``. ``ready`` is called with the runtime's name once the network is warm.

        Raises ConfigError when the weights or the runtime cannot be loaded.
        """
        child = Child(self.open_performer)
        try:
            ready(child.start(limit_s=START_LIMIT.total_seconds(), tick=self._tick_idle).runtime)
            while not self.stop.is_set():
                self.alive()
                self.stop.wait(self._turn(child))
        except ShutDown:
            log.info("stopped while the network was being loaded")
        finally:
            child.kill()

    def _turn(self, child: Child) -> float:
        """Does the next job, if there is one. Returns how long to wait before the next look, seconds."""
        try:
            return 0.0 if self._one(child) else POLL_S
        except (OSError, SQLAlchemyError) as error:
            # A full disk, a locked or read-only queue: it passes. A job in hand is taken again when its lease ran out.
            text = "disk or queue failed, tried again in %g s: %s"
            log.error(text, ERROR_PAUSE_S, failure(error), extra={"action": "error"})  # noqa: TRY400
            return ERROR_PAUSE_S

    def _one(self, child: Child) -> bool:
        """Does the next job, if there is one."""
        lease = jobs.claim(
            self.db,
            owner=self.owner,
            now=time.time(),
            lease_s=self.limits.lease_s,
            max_attempts=self.limits.attempts,
            retry_delay_s=self.limits.retry_delay_s,
        )
        if lease is None:
            return False
        log.info("claimed", extra={"job": lease.job_id, "series": lease.series_id, "action": lease.kind})
        try:
            self._do(child, lease)
        except LeaseLost:
            log.warning("lease lost, nothing written", extra={"job": lease.job_id})
        except ShutDown:
            jobs.give_back(self.db, lease, now=time.time())
            log.info("given back", extra={"job": lease.job_id})
        return True

    def _do(self, child: Child, lease: Lease) -> None:
        started = time.monotonic()
        tick = self._renewing(lease)
        try:
            if not child.alive:
                child.start(limit_s=START_LIMIT.total_seconds(), tick=tick)
            compared = comparison(self.db, lease.series_id)
            reply = child.perform(self._task(lease, compared), limit_s=self.limits.job_limit_s, tick=tick)
        except (ChildDied, ConfigError) as error:
            reply = Broken(error=str(error))  # also weights that broke since the start: the worker itself lives on
        if isinstance(reply, Done):
            self._done(lease, reply, compared, tick)
            took = round(time.monotonic() - started, 1)
            # Why a series is not analysed may quote its header: that stands in the queue, not in the log.
            text = reply.text if reply.state == JobState.DONE else "not analysed"
            log.info(text, extra={"job": lease.job_id, "action": reply.state, "seconds": took})
        else:
            assert isinstance(reply, Broken)
            if reply.blameless:
                self._blameless(lease, reply, tick)
                return
            self._broken(lease, reply, tick)
        self._tell(lease, reply)

    def _done(self, lease: Lease, reply: Done, compared: Comparison, tick: Callable[[], None]) -> None:
        def write() -> None:
            jobs.finish(
                self.db,
                lease,
                reply.state,
                outputs=reply.outputs,
                routes=self.routes,
                reason=reply.text,
                now=time.time(),
                figures=reply.figures,
                compared=compared,
            )

        self._insist(lease, write, tick)

    def _blameless(self, lease: Lease, reply: Broken, tick: Callable[[], None]) -> None:
        def write() -> None:
            wait_s = self.limits.retry_delay_s
            jobs.give_back(self.db, lease, now=time.time(), why=reply.error, delay_s=wait_s, alarm=True)

        self._insist(lease, write, tick)
        log.error(reply.error, extra={"job": lease.job_id, "action": "given back"})

    def _broken(self, lease: Lease, reply: Broken, tick: Callable[[], None]) -> None:
        def write() -> JobState:
            attempts = 0 if reply.permanent else self.limits.attempts
            delay_s = self.limits.retry_delay_s
            return jobs.retry_or_fail(
                self.db, lease, reply.error, max_attempts=attempts, delay_s=delay_s, now=time.time()
            )

        state = self._insist(lease, write, tick)
        level = logging.ERROR if state == JobState.FAILED else logging.WARNING
        log.log(level, reply.error, extra={"job": lease.job_id, "action": state, "attempt": lease.attempts})

    def _insist(self, lease: Lease, write: Callable[[], Ended], tick: Callable[[], None]) -> Ended:
        """Writes down how an attempt ended: again and again while the queue is locked or has no room, or the attempt
        would seem one at which its worker died. Raises LeaseLost, and ShutDown."""
        while True:
            self.alive()  # `tick` may have waited for a lock, and ``write`` may too
            try:
                return write()
            except OperationalError as error:
                text = "the queue cannot be written, its result is kept and tried again in %g s: %s"
                log.warning(text, ERROR_PAUSE_S, failure(error), extra={"job": lease.job_id, "action": "error"})
            until = time.monotonic() + ERROR_PAUSE_S
            while time.monotonic() < until:
                tick()
                self.stop.wait(TICK_S)

    def _tell(self, lease: Lease, reply: Reply) -> None:
        """What was used and made, for the audit trail."""
        row = series(self.db, lease.series_id)
        used = Counter(instance.sop_class_uid for instance in row.instances)
        made = Counter(output.sop_class_uid for output in reply.outputs) if isinstance(reply, Done) else None
        self.trail.write(events.analysed, row.study_instance_uid, used, is_done=made is not None)
        if made:
            self.trail.write(events.made, row.study_instance_uid, made)

    def _task(self, lease: Lease, compared: Comparison) -> Task:
        row = series(self.db, lease.series_id)
        return Task(
            job_id=lease.job_id,
            paths=tuple(str(self.store.resolve(instance.path)) for instance in row.instances),
            at=row.settled_at or row.last_at,
            explain=lease.reason if lease.kind == JobKind.EXPLAIN else "",
            awaited=row.decision == Decision.ANALYSE,
            missing=row.missing,
            weights=lease.weights,
            predecessors=tuple(earlier_reports(self.db, lease.series_id)),
            acquired_at=compared.acquired_at,
            baseline=self._on_disk(compared.baseline) if compared.baseline is not None else None,
            onset_h=onset_h(self.db, lease.series_id),
            report_alone=lease.kind == JobKind.REPORT,
        )

    def _on_disk(self, baseline: Baseline) -> Baseline:
        """The earlier result with absolute paths, as the child needs them."""
        seg_path = None if baseline.seg_path is None else str(self.store.resolve(baseline.seg_path))
        return replace(baseline, paths=tuple(str(self.store.resolve(p)) for p in baseline.paths), seg_path=seg_path)

    def _tick_idle(self) -> None:
        self.alive()
        if self.stop.is_set():
            raise ShutDown("shut down")

    def _renewing(self, lease: Lease) -> Callable[[], None]:
        """A tick that also renews the lease, three times within its length."""
        third_s = self.limits.lease_s / 3
        due = time.monotonic() + third_s

        def tick() -> None:
            nonlocal due
            self._tick_idle()
            if time.monotonic() > due:
                try:
                    jobs.renew(self.db, lease, now=time.time(), lease_s=self.limits.lease_s)
                    due = time.monotonic() + third_s
                except SQLAlchemyError as error:  # the child goes on: should another take the job, its lease is lost
                    log.warning("lease not renewed: %s", failure(error), extra={"job": lease.job_id})
                    due = time.monotonic() + min(third_s, ERROR_PAUSE_S)

        return tick
