"""The worker with a real queue and real child processes: a job that crashes or hangs takes nothing with it."""

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from itertools import count, pairwise
from types import SimpleNamespace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from ichnode.domain.errors import ConfigError
from ichnode.domain.facts import InstanceFacts
from ichnode.domain.states import Decision
from ichnode.queue import database
from ichnode.queue import jobs as jobs_of_queue
from ichnode.queue.database import open_database
from ichnode.queue.intake import NewInstance, record
from ichnode.queue.series import decide, receiving, settle
from ichnode.queue.tables import AUDIT, JOBS
from ichnode.queue.views import status
from ichnode.store.layout import Store
from ichnode.work import loop
from ichnode.work.loop import Limits, Worker
from tests.unit.work import performers

DEADLINE_S = 60


@pytest.fixture
def db(tmp_path):
    opened = open_database(tmp_path / "queue.sqlite")
    yield opened
    opened.close()


def add_job(db, series: str, decision: Decision = Decision.ANALYSE) -> None:
    instance = NewInstance(
        sop_instance_uid=f"{series}.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        study_instance_uid="1.2",
        series_instance_uid=series,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        sha256="0",
        size_bytes=1,
        path=f"instances/{series}.dcm",
        calling_ae="CT1",
        address="127.0.0.1",
        facts=InstanceFacts(),
    )
    record(db, instance, now=0)
    (row,) = receiving(db)
    settle(db, row.id, missing=0, text="", now=1)
    decide(db, {row.id: (decision, "why not")}, now=2)


def jobs(db) -> list[tuple[str, str, int]]:
    with db.read() as connection:
        rows = connection.execute(select(JOBS.c.state, JOBS.c.reason, JOBS.c.attempts).order_by(JOBS.c.id))
        return [tuple(row) for row in rows]


def work(
    db,
    tmp_path,
    performer,
    until: Callable[[], bool],
    *,
    limit_s: float = 30,
    lease_s: float = 60,
    alive: Callable[[], None] = lambda: None,
) -> None:
    """Runs a worker in a thread until the condition holds."""
    stop, failed = threading.Event(), []
    worker = Worker(
        db=db,
        store=Store(root=tmp_path),
        owner="w1",
        open_performer=performer,
        routes=(),
        limits=Limits(job_limit_s=limit_s, attempts=2, retry_delay_s=0, lease_s=lease_s),
        stop=stop,
        alive=alive,
    )

    def run() -> None:
        try:
            worker.run(lambda _name: None)
        except ConfigError as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + DEADLINE_S
    condition = threading.Event()
    while not until() and not failed:
        assert time.monotonic() < deadline, jobs(db)
        condition.wait(0.05)
    stop.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    if failed:
        raise failed[0]


def ended(db) -> bool:
    return all(state in ("done", "rejected", "failed") for state, _, _ in jobs(db))


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("killed", "its process was killed (out of memory?)"),
        ("memory", "unexpected MemoryError"),
        ("hang", "stopped at its time limit of 2 s"),
        ("retryable", "the GPU is busy"),
    ],
)
def test_a_job_that_dies_is_tried_again_and_takes_neither_the_worker_nor_the_next_job(db, tmp_path, behaviour, said):
    (tmp_path / "behaviour").write_text(behaviour)
    add_job(db, "1.2.3")
    add_job(db, "1.2.4")
    work(db, tmp_path, partial(performers.by_behaviour, tmp_path), lambda: ended(db), limit_s=2)
    assert jobs(db) == [("done", "ok", 2), ("done", "ok", 1)]
    with db.read() as connection:
        texts = connection.execute(select(AUDIT.c.text).where(AUDIT.c.entity == "job")).scalars().all()
    assert any(text.startswith(said) for text in texts)


def test_a_job_whose_results_find_no_room_is_tried_again_and_the_attempt_does_not_count(db, tmp_path):
    (tmp_path / "behaviour").write_text("disk full")
    add_job(db, "1.2.3")
    work(db, tmp_path, partial(performers.by_behaviour, tmp_path), lambda: ended(db))
    assert jobs(db) == [("done", "ok", 1)]
    with db.read() as connection:
        texts = connection.execute(select(AUDIT.c.text).where(AUDIT.c.entity == "job")).scalars().all()
    assert "the results cannot be written: No space left on device" in texts


def test_a_job_whose_results_find_no_room_alarms_until_they_do(db, tmp_path):
    add_job(db, "1.2.3")
    told = []

    def ends() -> bool:
        if not told:
            told.extend(row["reason"] for row in status(db, since=0).unwritten)
        else:
            (tmp_path / "go").touch()
        return ended(db)

    work(db, tmp_path, partial(performers.full, tmp_path), ends)
    assert told == ["the results cannot be written: No space left on device"]
    assert status(db, since=0).unwritten == []


@pytest.fixture
def lock(tmp_path, monkeypatch):
    """A queue that waits for no lock, and another who may lock it: ``lock.execute("BEGIN EXCLUSIVE")``."""
    monkeypatch.setattr(database, "PRAGMAS", (*database.PRAGMAS, "PRAGMA busy_timeout=10"))
    monkeypatch.setattr(loop, "ERROR_PAUSE_S", 0.05)
    open_database(tmp_path / "queue.sqlite").close()
    with closing(sqlite3.connect(tmp_path / "queue.sqlite", isolation_level=None, check_same_thread=False)) as other:
        yield other


def test_a_result_that_cannot_be_written_down_is_kept_until_it_can_and_the_job_is_not_done_again(
    lock, db, tmp_path, monkeypatch, caplog
):
    add_job(db, "1.2.3")
    refused = "the queue cannot be written"
    swept = []
    finish = jobs_of_queue.finish

    def finish_while_locked(*arguments, **keywords):
        if not caplog.text.count(refused):
            lock.execute("BEGIN EXCLUSIVE")
        finish(*arguments, **keywords)

    monkeypatch.setattr(jobs_of_queue, "finish", finish_while_locked)

    def goes_on() -> bool:
        if lock.in_transaction and caplog.text.count(refused) > 3:
            lock.execute("ROLLBACK")
            swept.append(jobs_of_queue.sweep_leases(db, max_attempts=1, now=time.time(), lease_s=0.1))
        return ended(db)

    work(db, tmp_path, performers.well, goes_on, lease_s=0.1)
    assert (jobs(db), swept) == ([("done", "ok", 1)], [0])


@pytest.mark.parametrize("behaviour", ["disk full", "retryable"])
def test_how_an_attempt_failed_is_written_down_once_it_can_be(lock, db, tmp_path, monkeypatch, caplog, behaviour):
    (tmp_path / "behaviour").write_text(behaviour)
    add_job(db, "1.2.3")
    name = "give_back" if behaviour == "disk full" else "retry_or_fail"
    real = getattr(jobs_of_queue, name)

    def fail_while_locked(*arguments, **keywords):
        if not caplog.text.count("the queue cannot be written"):
            lock.execute("BEGIN EXCLUSIVE")
        real(*arguments, **keywords)

    monkeypatch.setattr(jobs_of_queue, name, fail_while_locked)

    def goes_on() -> bool:
        if lock.in_transaction and caplog.text.count("the queue cannot be written") > 3:
            lock.execute("ROLLBACK")
        return ended(db)

    work(db, tmp_path, partial(performers.by_behaviour, tmp_path), goes_on)
    assert jobs(db) == [("done", "ok", 1 if behaviour == "disk full" else 2)]


def test_a_worker_that_is_stopped_while_it_cannot_write_a_result_down_ends(lock, db, tmp_path, monkeypatch, caplog):
    add_job(db, "1.2.3")
    finish = jobs_of_queue.finish

    def finish_while_locked(*arguments, **keywords):
        if not lock.in_transaction:
            lock.execute("BEGIN EXCLUSIVE")
        finish(*arguments, **keywords)

    monkeypatch.setattr(jobs_of_queue, "finish", finish_while_locked)
    work(db, tmp_path, performers.well, lambda: "the queue cannot be written" in caplog.text)
    lock.execute("ROLLBACK")
    assert jobs(db) == [("running", "", 1)]  # until its lease runs out


def test_a_job_goes_on_while_its_lease_cannot_be_renewed(lock, db, tmp_path, caplog):
    add_job(db, "1.2.3")

    def goes_on() -> bool:
        if jobs(db)[0][0] == "running" and not lock.in_transaction and not caplog.text.count("lease not renewed"):
            lock.execute("BEGIN EXCLUSIVE")
        if lock.in_transaction and caplog.text.count("lease not renewed") > 1:
            lock.execute("ROLLBACK")
            (tmp_path / "go").touch()
        return ended(db)

    work(db, tmp_path, partial(performers.patient, tmp_path), goes_on, lease_s=0.1)
    assert jobs(db) == [("done", "ok", 1)]


def _locked(*_arguments, **_keywords):
    raise OperationalError("", {}, sqlite3.OperationalError("database is locked"))


def test_a_renewal_that_failed_is_tried_again_soon_however_long_the_lease_is(db, tmp_path, monkeypatch):
    add_job(db, "1.2.3")
    step_s = 2.5
    seconds, tried = count(step=step_s), []  # each look at the clock takes a step
    clock = SimpleNamespace(time=time.time, monotonic=lambda: next(seconds))
    monkeypatch.setattr(loop, "time", clock)

    def renew(*_arguments, **_keywords):
        tried.append(clock.monotonic())
        if len(tried) == 3:
            (tmp_path / "go").touch()
        _locked()

    monkeypatch.setattr(jobs_of_queue, "renew", renew)
    work(db, tmp_path, partial(performers.patient, tmp_path), lambda: ended(db), lease_s=60)
    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert max(waits) <= loop.ERROR_PAUSE_S + 3 * step_s < 60 / 3


def test_a_worker_gives_a_sign_of_life_between_two_waits_for_the_lock(db, tmp_path, monkeypatch):
    add_job(db, "1.2.3")
    monkeypatch.setattr(loop, "ERROR_PAUSE_S", 0.05)
    finish, seen = jobs_of_queue.finish, []

    def renew(*_arguments, **_keywords):
        seen.append("wait")
        _locked()

    def finish_late(*arguments, **keywords):
        seen.append("wait")
        if seen.count("wait") < 6:
            _locked()
        finish(*arguments, **keywords)

    monkeypatch.setattr(jobs_of_queue, "renew", renew)
    monkeypatch.setattr(jobs_of_queue, "finish", finish_late)
    work(db, tmp_path, performers.well, lambda: ended(db), lease_s=0.01, alive=lambda: seen.append("alive"))
    assert seen.count("wait") >= 6
    assert ("wait", "wait") not in pairwise(seen)


def test_a_worker_outlives_a_queue_that_is_locked_for_longer_than_it_waits(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(database, "PRAGMAS", (*database.PRAGMAS, "PRAGMA busy_timeout=10"))
    monkeypatch.setattr(loop, "ERROR_PAUSE_S", 0.05)
    with closing(open_database(tmp_path / "queue.sqlite")) as db:
        add_job(db, "1.2.3")
        other = sqlite3.connect(tmp_path / "queue.sqlite", isolation_level=None, check_same_thread=False)
        other.execute("BEGIN EXCLUSIVE")

        def goes_on() -> bool:
            if other.in_transaction and caplog.text.count("database is locked") > 1:
                other.execute("ROLLBACK")
            return ended(db)

        work(db, tmp_path, performers.well, goes_on)
        other.close()
        assert jobs(db) == [("done", "ok", 1)]


def test_what_another_attempt_would_not_mend_fails_at_once(db, tmp_path):
    (tmp_path / "behaviour").write_text("weights")
    add_job(db, "1.2.3")
    work(db, tmp_path, partial(performers.by_behaviour, tmp_path), lambda: ended(db))
    assert jobs(db)[0] == ("failed", "The weights of the replay are not there.", 1)


def test_no_text_of_a_foreign_error_reaches_the_history_or_the_log(db, tmp_path, capfd):
    (tmp_path / "behaviour").write_text("patient")
    add_job(db, "1.2.3")
    work(db, tmp_path, partial(performers.by_behaviour, tmp_path), lambda: ended(db))
    with db.read() as connection:
        texts = " ".join(connection.execute(select(AUDIT.c.text)).scalars())
    assert "ValueError" in texts
    assert "MUELLER" not in texts + capfd.readouterr().err


def test_a_series_that_was_skipped_ends_rejected_with_its_reason(db, tmp_path):
    add_job(db, "1.2.3", Decision.SKIP)
    work(db, tmp_path, performers.well, lambda: ended(db))
    assert jobs(db) == [("rejected", "why not", 1)]


def test_at_shut_down_the_job_in_hand_goes_back_with_its_attempt(db, tmp_path):
    (tmp_path / "behaviour").write_text("hang")
    add_job(db, "1.2.3")
    work(db, tmp_path, partial(performers.by_behaviour, tmp_path), lambda: jobs(db)[0][0] == "running")
    assert jobs(db) == [("queued", "", 0)]


def test_wrong_weights_stop_the_worker_with_the_reason(db, tmp_path):
    with pytest.raises(ConfigError, match="not what their card says"):
        work(db, tmp_path, performers.wrong_weights, lambda: False)
