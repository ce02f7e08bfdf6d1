"""Leases, fences, attempts, priorities."""

import pytest
from sqlalchemy import select, update

from ichnode.domain.errors import IllegalMove, LeaseLost
from ichnode.domain.outputs import ObjectKind, OutputFile
from ichnode.domain.states import Decision, DeliveryState, JobState, SeriesState, check_move
from ichnode.queue.jobs import (
    NOTICE_S,
    JobKind,
    Priority,
    claim,
    finish,
    give_back,
    renew,
    retry_or_fail,
    sweep_leases,
)
from ichnode.queue.jobs import (
    add_job as enqueue,
)
from ichnode.queue.outbox import Route
from ichnode.queue.tables import AUDIT, JOBS

LEASE_S = 60
DAY_S = 86400
NOTICE = LEASE_S / 3 + NOTICE_S


def _claim(db, now, owner="w"):
    return claim(db, owner=owner, now=now, lease_s=LEASE_S, max_attempts=2, retry_delay_s=30)


def _sweep(db, now, lease_s=LEASE_S):
    return sweep_leases(db, max_attempts=2, now=now, lease_s=lease_s)


def test_a_job_whose_worker_died_is_claimed_again(db, add_job):
    add_job()
    dead = _claim(db, 0)
    assert _claim(db, 59) is None

    alive = _claim(db, 61)

    assert (alive.job_id, alive.attempts, alive.fence) == (dead.job_id, 2, 2)
    with pytest.raises(LeaseLost):
        finish(db, dead, JobState.DONE, outputs=[], routes=[], reason="", now=62)
    with pytest.raises(LeaseLost):
        renew(db, dead, now=62, lease_s=60)


def test_a_renewed_lease_is_not_taken(db, add_job):
    add_job()
    lease = _claim(db, 0)
    renew(db, lease, now=50, lease_s=60)
    assert _claim(db, 100) is None


def test_a_job_given_back_at_shut_down_does_not_lose_an_attempt(db, add_job):
    add_job()
    give_back(db, _claim(db, 0), now=1)
    assert _claim(db, 2).attempts == 1


def test_a_job_that_fails_is_tried_again_later_and_then_fails_for_good_and_says_so(db, add_job):
    series_id = add_job()
    assert retry_or_fail(db, _claim(db, 0), "boom", max_attempts=2, delay_s=30, now=1) == JobState.QUEUED
    assert _claim(db, 30) is None
    assert retry_or_fail(db, _claim(db, 31), "boom", max_attempts=2, delay_s=30, now=32) == JobState.FAILED

    explain = _claim(db, 33)

    assert (explain.kind, explain.series_id) == (JobKind.EXPLAIN, series_id)
    assert explain.reason == "analysis failed after 2 attempts: boom"
    with db.read() as connection:
        alarms = connection.execute(select(AUDIT.c.text).where(AUDIT.c.alarm)).scalars().all()
    assert alarms == ["boom"]


def test_a_job_that_kills_every_worker_runs_out_of_attempts(db, add_job):
    add_job()
    _claim(db, 0)
    assert _sweep(db, 61) == 0
    _claim(db, 61)
    assert _claim(db, 122) is None
    assert _sweep(db, 122) == 0
    assert _sweep(db, 121 + NOTICE) == 0
    assert _sweep(db, 122 + NOTICE) == 1
    assert _claim(db, 123 + NOTICE).kind == JobKind.EXPLAIN


def test_a_worker_that_could_not_renew_its_lease_while_the_queue_was_locked_has_not_died(db, add_job):
    add_job()
    _claim(db, 0)
    lease = _claim(db, 61)
    assert _sweep(db, 200) == 0  # the first that comes to write again

    renew(db, lease, now=201, lease_s=60)

    assert _sweep(db, 262) == 0  # ran out again: a new notice
    finish(db, lease, JobState.DONE, outputs=[], routes=[], reason="", now=263)
    assert _sweep(db, 9999) == 0


@pytest.fixture
def last(db, add_job):
    """A job at its last attempt, leased at a time of DAY_S."""
    add_job()
    retry_or_fail(db, _claim(db, 0), "boom", max_attempts=2, delay_s=0, now=DAY_S)
    return _claim(db, DAY_S)


def test_a_worker_with_a_long_lease_has_until_its_next_renewal_to_answer_a_notice(db, last):
    renew(db, last, now=DAY_S, lease_s=180)
    jumped = DAY_S + 3600  # the clock was set forward
    assert [_sweep(db, jumped + s, lease_s=180) for s in (0, 59, 59 + NOTICE_S)] == [0, 0, 0]

    renew(db, last, now=jumped + 59 + NOTICE_S, lease_s=180)

    assert _sweep(db, jumped + 60 + NOTICE_S, lease_s=180) == 0


@pytest.mark.usefixtures("last")
def test_a_job_whose_worker_died_fails_soon_though_the_clock_was_set_back(db):
    assert _sweep(db, 0) == 0
    assert _sweep(db, NOTICE) == 1


def test_a_job_whose_worker_died_fails_soon_though_the_clock_was_set_back_while_it_ran(db, last):
    renew(db, last, now=0, lease_s=LEASE_S)
    assert _sweep(db, LEASE_S) == 0
    assert _sweep(db, LEASE_S + NOTICE) == 1


@pytest.mark.usefixtures("last")
def test_a_notice_from_before_the_clock_was_set_back_is_written_anew(db):
    assert _sweep(db, DAY_S + LEASE_S) == 0
    assert _sweep(db, 0) == 0
    assert _sweep(db, NOTICE - 1) == 0
    assert _sweep(db, NOTICE) == 1


def test_a_worker_that_lives_answers_the_notice_that_a_clock_set_back_brought(db, last):
    assert _sweep(db, 0) == 0
    renew(db, last, now=20, lease_s=LEASE_S)
    assert _sweep(db, NOTICE) == 0
    assert _sweep(db, 20 + LEASE_S) == 0  # a new notice
    finish(db, last, JobState.DONE, outputs=[], routes=[], reason="", now=NOTICE)


@pytest.mark.parametrize("renewed", [False, True])
def test_a_time_from_before_the_clock_was_set_back_is_no_notice_once_it_has_come_again(db, add_job, renewed):
    add_job()
    retry_or_fail(db, _claim(db, DAY_S), "boom", max_attempts=2, delay_s=30, now=DAY_S)
    lease = _claim(db, DAY_S + 30 if renewed else 0)
    if renewed:
        renew(db, lease, now=0, lease_s=LEASE_S)

    assert _sweep(db, 2 * DAY_S) == 0  # the first look since: the queue was locked, or no node ran

    renew(db, lease, now=2 * DAY_S + 20, lease_s=LEASE_S)
    assert _sweep(db, 2 * DAY_S + NOTICE) == 0


def test_a_new_study_overtakes_every_replay(db, add_job):
    old = add_job("1.2.3")
    lease = _claim(db, 0)
    finish(db, lease, JobState.DONE, outputs=[], routes=[], reason="", now=1)
    with db.write() as connection:
        for _ in range(3):
            enqueue(connection, old, JobKind.ANALYSE, priority=Priority.REPLAY, now=2)
    new = add_job("1.2.4", "1.9", now=3)
    assert _claim(db, 4).series_id == new


def test_every_transition_leaves_an_audit_row(db, add_job):
    add_job()
    finish(db, _claim(db, 1), JobState.DONE, outputs=[], routes=[], reason="12.0 mL", now=2)
    with db.read() as connection:
        rows = connection.execute(select(AUDIT.c.old, AUDIT.c.new).where(AUDIT.c.entity == "job")).all()
    assert [tuple(row) for row in rows] == [("", "queued"), ("queued", "running"), ("running", "done")]


def test_an_illegal_move_is_refused(db, add_job):
    add_job()
    lease = _claim(db, 0)
    with pytest.raises(IllegalMove):
        check_move(JobState.DONE, JobState.RUNNING)
    with pytest.raises(IllegalMove):
        check_move(SeriesState.SUPERSEDED, SeriesState.RECEIVING)
    with pytest.raises(IllegalMove):
        check_move(DeliveryState.DEAD, DeliveryState.SENT)
    with pytest.raises(IllegalMove):
        finish(db, lease, JobState.RUNNING, outputs=[], routes=[], reason="", now=1)
    with db.read() as connection:
        assert connection.execute(select(JOBS.c.state)).scalar_one() == JobState.RUNNING


def test_outputs_that_exist_are_neither_added_nor_sent_again(db, add_job):
    add_job()
    output = OutputFile(
        kind=ObjectKind.SR,
        number=1,
        sop_class_uid="1.2",
        sop_instance_uid="2.25.1",
        series_instance_uid="2.25.2",
        path="outputs/a",
        sha256="a",
    )
    route = Route(destination="pacs", kinds=frozenset(ObjectKind), not_analysed=True)
    finish(db, _claim(db, 0), JobState.DONE, outputs=[output], routes=[route], reason="", now=1)
    with db.write() as connection:
        enqueue(connection, 1, JobKind.ANALYSE, priority=Priority.REPLAY, now=2)
    finish(db, _claim(db, 3), JobState.DONE, outputs=[output], routes=[route], reason="", now=4)
    with db.read() as connection:
        made = connection.execute(select(AUDIT.c.entity_id).where(AUDIT.c.entity == "delivery")).scalars().all()
    assert made == [1]


def test_a_skipped_series_has_a_job_that_explains(db, add_job):
    add_job(decision=Decision.SKIP)
    lease = _claim(db, 0)
    assert (lease.kind, lease.reason) == (JobKind.EXPLAIN, "because")


def test_a_worker_whose_job_was_purged_cannot_end_the_job_that_got_its_number(db, add_job):
    add_job()
    lost = claim(db, owner="A", now=1, lease_s=60, max_attempts=3)
    with db.write() as connection:
        connection.execute(update(JOBS).values(owner="B", fence=lost.fence))  # as of another study, claimed by B
    with pytest.raises(LeaseLost):
        renew(db, lost, now=2, lease_s=60)
    with pytest.raises(LeaseLost):
        finish(db, lost, JobState.DONE, outputs=[], routes=[], reason="", now=2)
