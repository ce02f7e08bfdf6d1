"""The clock on the wall is set while the node runs: by a day either way, and by an hour as daylight saving does.

Times are handed to the functions as arguments: nothing waits, and no clock of this machine is touched. How series
settle over such a jump is in ``tests/unit/receive/test_receive_settle.py``, what a PACS refused in
``test_faults_pacs.py``.
"""

import time

import pytest

from ichnode.domain.states import JobState
from ichnode.queue import jobs
from ichnode.receive.moment import moment, moment_of_datetime

DAY_S = 86400.0
NOW = 10 * DAY_S
LEASE_S, DELAY_S = 60.0, 30.0


@pytest.fixture
def job(db, add_result):
    """One job that waits, at NOW."""
    add_result("1.2")
    with db.write() as connection:
        return jobs.add_job(connection, 1, jobs.JobKind.ANALYSE, priority=jobs.Priority.NEW, now=NOW)


@pytest.fixture
def claim(db):
    def _claim(now: float) -> jobs.Lease | None:
        return jobs.claim(db, owner="test", now=now, lease_s=LEASE_S, max_attempts=5, retry_delay_s=DELAY_S)

    return _claim


@pytest.mark.parametrize("jump_s", [-DAY_S, -3600.0])
def test_the_job_of_a_worker_that_died_before_the_clock_was_set_back_is_taken_again_at_once(job, claim, jump_s):
    dead = claim(NOW)
    assert dead.job_id == job
    assert claim(NOW + LEASE_S / 2) is None

    assert claim(NOW + jump_s).job_id == job


def test_a_lease_that_the_clock_overtakes_is_lost_to_nobody_who_renews_it(db, job, claim):
    """Set forward: another worker may take the job, and then the first one writes nothing."""
    lease = claim(NOW)
    jobs.renew(db, lease, now=NOW + DAY_S, lease_s=LEASE_S)

    assert claim(NOW + DAY_S + 1) is None
    assert lease.job_id == job


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S, 3600.0, -3600.0])
def test_a_job_that_waits_for_its_next_attempt_does_not_wait_for_a_day(db, job, claim, jump_s):
    lease = claim(NOW)
    assert jobs.retry_or_fail(db, lease, "broke", max_attempts=5, delay_s=DELAY_S, now=NOW) == JobState.QUEUED
    assert claim(NOW + DELAY_S / 2) is None

    assert claim(NOW + jump_s).job_id == job


@pytest.fixture
def berlin(monkeypatch):
    """The node stands where clocks leap on 2024-03-31 from 02:00 to 03:00."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_over_the_leap_of_an_hour_headers_keep_their_order_and_their_distance():
    before, after = moment("20240331", "015900"), moment("20240331", "030100")

    assert after - before == 120


@pytest.mark.usefixtures("berlin")
def test_a_time_that_the_leap_left_out_is_read_and_lies_between_its_neighbours_of_that_day():
    """A scanner whose clock nobody set."""
    left_out = moment("20240331", "023000")

    assert left_out is not None
    assert moment("20240331", "000000") < left_out < moment("20240331", "050000")


@pytest.mark.usefixtures("berlin")
def test_the_offset_of_a_header_goes_before_the_zone_of_the_node():
    one = moment("20240101", "120000", "+0900")

    assert one == moment("20240101", "030000", "+0000") == moment("20231231", "220000", "-0500")
    assert one != moment("20240101", "120000")
    assert moment_of_datetime("20240101120000+0900") == one


@pytest.mark.usefixtures("berlin")
def test_times_that_come_twice_in_the_night_of_the_other_leap_are_told_apart_by_their_offset():
    first, second = moment("20241027", "023000", "+0200"), moment("20241027", "023000", "+0100")

    assert second - first == 3600
