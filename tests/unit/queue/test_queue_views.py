"""Status, history, replays, retention: what people and the clock ask of the queue."""

from dataclasses import replace

from ichnode.domain.outputs import ObjectKind, OutputFile
from ichnode.domain.states import Decision, JobState
from ichnode.queue import outbox, views
from ichnode.queue.intake import quarantine, record, remark
from ichnode.queue.jobs import claim, finish, replay, retry_or_fail, tell_onset
from ichnode.queue.outbox import Route
from ichnode.queue.replays import Wanted, find
from ichnode.queue.retention import (
    Ended,
    Expendable,
    expendable,
    known_file,
    known_files,
    old_quarantined,
    purged,
    quarantine_purged,
)
from ichnode.queue.series import decide, receiving, settle

ROUTE = Route(destination="pacs", kinds=frozenset(ObjectKind), not_analysed=True)
SR = OutputFile(
    kind=ObjectKind.SR,
    number=1,
    sop_class_uid="1.2",
    sop_instance_uid="2.25.1",
    series_instance_uid="2.25.2",
    path="outputs/sr",
    sha256="0",
)


def lease(db, now):
    return claim(db, owner="w", now=now, lease_s=60, max_attempts=1)


def test_status_counts_and_names_what_alarms(db, add_job, make_instance):
    add_job("1.2.3")
    retry_or_fail(db, lease(db, 1), "boom", max_attempts=1, delay_s=0, now=2)
    quarantine(db, make_instance(99), reason="other bytes", now=3)
    now = views.status(db, since=0)
    assert (now.instances, now.series, now.jobs) == (3, {"settled": 1}, {"failed": 1, "queued": 1})
    assert [job["reason"] for job in now.failed] == ["boom"]
    assert [q["reason"] for q in now.quarantined] == ["other bytes"]
    assert now.oldest_waiting_at == 2


def test_a_failure_that_a_later_run_made_good_alarms_no_more(db, add_job):
    series_id = add_job()
    retry_or_fail(db, lease(db, 1), "boom", max_attempts=1, delay_s=0, now=2)
    finish(db, lease(db, 3), JobState.REJECTED, outputs=[], routes=[], reason="", now=3)
    assert views.status(db, since=0).failed
    replay(db, [series_id], weights=None, now=4)
    finish(db, lease(db, 5), JobState.DONE, outputs=[], routes=[], reason="", now=6)
    assert views.status(db, since=0).failed == []


def test_the_history_of_a_study_holds_every_step(db, add_job):
    add_job()
    finish(db, lease(db, 1), JobState.DONE, outputs=[SR], routes=[ROUTE], reason="12 mL", now=2)
    (due,) = outbox.due(db, "pacs", now=3)
    outbox.sent(db, due.delivery_id, status=0, now=4)
    for name in ("1.2", "1.2.3", "1"):  # study, series, job
        (series_id,) = views.series_of(db, name)
        told = views.history(db, series_id)
        steps = [(entry.entity, entry.new) for entry in told["audit"]]
        assert steps == [
            ("series", "receiving"),
            ("series", "settled"),
            ("series", "analyse"),
            ("job", "queued"),
            ("job", "running"),
            ("job", "done"),
            ("delivery", "pending"),
            ("delivery", "sent"),
        ]
    assert views.series_of(db, "no such thing") == []


def test_a_new_revision_knows_the_reports_of_the_one_before(db, add_job, make_instance):
    add_job()
    finish(db, lease(db, 1), JobState.DONE, outputs=[SR], routes=[ROUTE], reason="", now=2)
    record(db, make_instance(9), now=3)
    (late,) = receiving(db)
    settle(db, late.id, missing=0, text="", now=4)
    (earlier,) = views.earlier_reports(db, late.id)
    assert (earlier.sop_instance_uid, earlier.series_instance_uid) == ("2.25.1", "2.25.2")


def test_a_replay_finds_series_by_study_state_and_number_and_says_what_already_waits(db, add_job):
    first = add_job("1.2.3", "1.2")
    second = add_job("1.2.4", "1.9", Decision.SKIP)
    assert [row.series_id for row in find(db, Wanted())] == [first, second]
    assert [row.series_id for row in find(db, Wanted(study_instance_uid="1.9"))] == [second]
    assert [row.series_id for row in find(db, Wanted(series_instance_uid="1.2.3"))] == [first]
    assert find(db, Wanted(accession_key="nobody")) == []
    assert find(db, Wanted(date_from="20200101")) == []
    assert find(db, Wanted(state=JobState.DONE)) == []
    assert find(db, Wanted(series_instance_uids=("1.2.3",)))[0].waiting_job == 1


def test_only_what_has_ended_and_is_delivered_may_go(db, add_job):
    add_job()
    assert expendable(db, Ended.DELIVERED, ended_before=99, limit=9) == []
    finish(db, lease(db, 1), JobState.DONE, outputs=[SR], routes=[ROUTE], reason="", now=2)
    assert expendable(db, Ended.DELIVERED, ended_before=99, limit=9) == []
    (due,) = outbox.due(db, "pacs", now=3)
    outbox.dead(db, due.delivery_id, reason="no", now=4)
    assert expendable(db, Ended.DELIVERED, ended_before=99, limit=9) == []
    outbox.resend(db, job_ids=[1], destination=None, now=5)
    outbox.sent(db, due.delivery_id, status=0, now=6)

    (item,) = expendable(db, Ended.DELIVERED, ended_before=99, limit=9)

    assert (len(item.instances), item.outputs) == (3, ("outputs/sr",))
    assert expendable(db, Ended.DELIVERED, ended_before=2, limit=9) == []
    purged(db, item, why="old", now=100)
    assert expendable(db, Ended.DELIVERED, ended_before=999, limit=9) == []
    assert known_file(db, "outputs/sr").purged
    assert [row.purged for row in find(db, Wanted())] == [True]


def test_a_series_that_still_receives_a_late_slice_does_not_go(db, add_job, make_instance):
    add_job(decision=Decision.SKIP)
    finish(db, lease(db, 1), JobState.REJECTED, outputs=[], routes=[], reason="", now=2)
    (item,) = expendable(db, Ended.SKIPPED, ended_before=99, limit=9)
    record(db, make_instance(9), now=3)
    assert not purged(db, item, why="old", now=3)
    assert not known_file(db, item.instances[0]).purged
    assert expendable(db, Ended.SKIPPED, ended_before=99, limit=9) == []
    (late,) = receiving(db)
    settle(db, late.id, missing=0, text="", now=4)
    assert expendable(db, Ended.SKIPPED, ended_before=99, limit=9) == []
    decide(db, {late.id: (Decision.SKIP, "")}, now=5)
    assert expendable(db, Ended.SKIPPED, ended_before=99, limit=9) == []


def test_files_are_known_by_path_and_quarantine_ages(db, make_instance):
    record(db, make_instance(1), now=0)
    quarantine(db, make_instance(2), reason="x", now=5)
    assert [f.path for f in known_files(db)] == ["instances/1.2.3.1.dcm", "instances/1.2.3.2.dcm"]
    assert [f.path for f in known_files(db, after="instances/1.2.3.1.dcm")] == ["instances/1.2.3.2.dcm"]
    assert known_file(db, "nowhere") is None
    assert old_quarantined(db, before=5, limit=9) == []
    (old,) = old_quarantined(db, before=6, limit=9)
    quarantine_purged(db, old, why="old", now=7)
    assert old_quarantined(db, before=99, limit=9) == []
    quarantine(db, make_instance(2), reason="x", now=8)
    assert not known_file(db, "instances/1.2.3.2.dcm").purged
    assert old_quarantined(db, before=8, limit=9) == []
    quarantine(db, make_instance(2), reason="x", now=20)
    (again,) = old_quarantined(db, before=9, limit=9)
    assert again.at == 8


def test_a_superseded_revision_is_not_analysed_any_more_and_what_runs_is_kept_but_not_sent(db, add_job, make_instance):
    first = add_job()
    running = lease(db, 1)
    replay(db, [first], weights=None, now=2)
    record(db, make_instance(9), now=3)
    (late,) = receiving(db)
    settle(db, late.id, missing=0, text="", now=4)
    assert lease(db, 5) is None  # the replay that waited was withdrawn
    finish(db, running, JobState.DONE, outputs=[SR], routes=[ROUTE], reason="12 mL", now=6)
    assert outbox.due(db, "pacs", now=7) == []
    assert views.earlier_reports(db, late.id) == []  # what nobody was given is nobody's predecessor
    told = views.history(db, first)
    assert [(job["state"], job["reason"]) for job in told["jobs"]] == [
        ("done", "12 mL; not sent: a later revision has come"),
        ("rejected", "superseded by revision 2"),
    ]


def test_a_replay_that_fails_takes_no_result_back(db, add_job):
    series_id = add_job()
    finish(db, lease(db, 1), JobState.DONE, outputs=[], routes=[], reason="12 mL", now=2)
    replay(db, [series_id], weights="/nowhere", now=3)
    retry_or_fail(db, lease(db, 4), "boom", max_attempts=1, delay_s=0, now=5)
    assert lease(db, 6) is None


def test_a_destination_that_was_added_later_gets_what_a_replay_makes_again(db, add_job):
    series_id = add_job()
    finish(db, lease(db, 1), JobState.DONE, outputs=[SR], routes=[ROUTE], reason="", now=2)
    replay(db, [series_id], weights=None, now=3)
    other = Route(destination="ris", kinds=frozenset(ObjectKind), not_analysed=True)
    finish(db, lease(db, 4), JobState.DONE, outputs=[SR], routes=[ROUTE, other], reason="", now=5)
    assert [len(outbox.due(db, name, now=9)) for name in ("pacs", "ris")] == [1, 1]


def test_a_result_that_no_destination_was_there_for_is_never_deleted(db, add_job):
    add_job()
    finish(db, lease(db, 1), JobState.DONE, outputs=[SR], routes=[], reason="", now=2)
    assert expendable(db, Ended.DELIVERED, ended_before=99, limit=9) == []


def test_a_report_made_alone_that_no_destination_takes_holds_no_series_for_ever(db, add_job):
    add_job()
    seg = replace(SR, kind=ObjectKind.SEG, sop_instance_uid="2.25.3", path="outputs/seg")
    no_reports = replace(ROUTE, kinds=frozenset({ObjectKind.SEG}))
    finish(db, lease(db, 1), JobState.DONE, outputs=[seg, SR], routes=[no_reports], reason="", now=2)
    (due,) = outbox.due(db, "pacs", now=3)
    outbox.sent(db, due.delivery_id, status=0, now=4)
    tell_onset(db, "1.2", 1.5, now=5)
    revised = replace(SR, sop_instance_uid="2.25.4", path="outputs/sr2")
    finish(db, lease(db, 6), JobState.DONE, outputs=[revised], routes=[no_reports], reason="", now=7)
    assert len(expendable(db, Ended.DELIVERED, ended_before=99, limit=9)) == 1


def test_what_is_asked_for_by_hand_in_that_instant_does_not_go_and_what_is_gone_is_not_asked_for(db, add_job):
    add_job()
    finish(db, lease(db, 1), JobState.DONE, outputs=[SR], routes=[ROUTE], reason="", now=2)
    (due,) = outbox.due(db, "pacs", now=3)
    outbox.sent(db, due.delivery_id, status=0, now=4)
    (item,) = expendable(db, Ended.DELIVERED, ended_before=99, limit=9)
    assert outbox.resend(db, job_ids=[1], destination=None, now=5) == 1
    assert not purged(db, item, why="old", now=6)
    outbox.sent(db, due.delivery_id, status=0, now=7)
    assert purged(db, item, why="old", now=8)
    assert outbox.resend(db, job_ids=[1], destination=None, now=9) == 0


def test_an_object_whose_file_was_deleted_and_made_again_is_known_again(db, add_job):
    series_id = add_job()
    finish(db, lease(db, 1), JobState.DONE, outputs=[SR], routes=[], reason="", now=2)
    purged(
        db,
        Expendable(series_instance_uid="", ended=Ended.DELIVERED, ended_at=0, instances=(), outputs=("outputs/sr",)),
        why="old",
        now=3,
    )
    replay(db, [series_id], weights=None, now=4)
    finish(db, lease(db, 5), JobState.DONE, outputs=[SR], routes=[], reason="", now=6)
    assert not known_file(db, "outputs/sr").purged


def test_the_nodes_own_alarms_and_what_waits_for_days_are_in_the_status(db, add_job):
    remark(db, "the disk is low", now=50, alarm=True)
    remark(db, "all is well", now=51)
    add_job()
    finish(db, lease(db, 1), JobState.DONE, outputs=[SR], routes=[ROUTE], reason="", now=2)
    now = views.status(db, since=40)
    assert [entry.text for entry in now.node] == ["the disk is low"]
    assert views.status(db, since=60).node == []
    assert now.overdue == {"pacs": 2}


def test_a_file_that_changed_on_disk_does_not_get_the_digest_of_a_checked_one(db, add_job):
    series_id = add_job()
    finish(db, lease(db, 1), JobState.DONE, outputs=[SR], routes=[ROUTE], reason="", now=2)
    replay(db, [series_id], weights=None, now=3)
    finish(db, lease(db, 4), JobState.DONE, outputs=[replace(SR, sha256="x")], routes=[ROUTE], reason="", now=5)
    assert [due.output.sha256 for due in outbox.due(db, "pacs", now=9)] == [SR.sha256]
