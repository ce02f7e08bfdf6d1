"""Jobs that wait for too long, or that are given back again and again."""

from ichnode.domain.states import JobState
from ichnode.queue import jobs, views

ROOM = "the results cannot be written: No space left on device"


def claim(db, now):
    return jobs.claim(db, owner="w", now=now, lease_s=60, max_attempts=3)


def end(db, now):
    jobs.finish(db, claim(db, now), JobState.DONE, outputs=[], routes=[], reason="", now=now)


def waits_since(db):
    return views.status(db, since=0).waits_since


def test_a_job_that_nobody_takes_waits_since_it_was_made(db, add_job):
    assert waits_since(db) is None
    add_job(now=5)
    add_job("1.2.4", "1.9", now=7)
    assert waits_since(db) == 5
    end(db, 8)
    assert waits_since(db) == 7
    end(db, 9)
    assert waits_since(db) is None


def test_a_job_whose_worker_died_waits_since_its_lease_ran_out(db, add_job):
    add_job(now=5)
    lease = claim(db, 10)
    assert waits_since(db) == 70
    jobs.renew(db, lease, now=50, lease_s=60)
    assert waits_since(db) == 110


def test_replays_wait_while_others_are_worked_on_and_a_new_study_does_not(db, add_job):
    series_id = add_job(now=5)
    jobs.replay(db, [series_id, series_id], weights=None, now=6)
    end(db, 1000)
    assert waits_since(db) == 1000
    end(db, 2000)
    assert waits_since(db) == 2000
    add_job("1.2.4", "1.9", now=1500)
    assert waits_since(db) == 1500


def unwritten(db):
    return [(row["reason"], row["count"], row["at"]) for row in views.status(db, since=0).unwritten]


def give_back(db, now, why=ROOM):
    jobs.give_back(db, claim(db, now), now=now + 1, why=why, delay_s=5, alarm=True)


def test_jobs_that_find_no_room_are_told_with_the_reason_until_one_attempt_ends_otherwise(db, add_job):
    add_job()
    add_job("1.2.4", "1.9")
    give_back(db, 10)
    give_back(db, 11)
    assert unwritten(db) == [(ROOM, 2, 12)]

    lease = claim(db, 20)  # under way it is still the last that is known of it
    assert unwritten(db) == [(ROOM, 2, 12)]
    jobs.give_back(db, lease, now=21)
    assert unwritten(db) == [(ROOM, 1, 12)]
    end(db, 30)
    end(db, 31)
    assert unwritten(db) == []
