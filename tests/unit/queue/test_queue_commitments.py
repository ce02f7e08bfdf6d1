"""Storage commitment that we ask for: what is owed, what a report changes, and what ends in an alarm."""

import pytest
from sqlalchemy import select

from ichnode.domain.commitment import Named, Report
from ichnode.domain.outputs import ObjectKind, OutputFile
from ichnode.domain.states import Closing, DeliveryState, JobState
from ichnode.queue import commitments, outbox, views
from ichnode.queue.abilities import FRESH_S, ability, learn
from ichnode.queue.commitments import MOST_ASKS, MOST_REFUSALS, owed, take_report
from ichnode.queue.confirmations import confirmed, not_found
from ichnode.queue.jobs import claim, finish
from ichnode.queue.outbox import Route
from ichnode.queue.retention import Ended, expendable
from ichnode.queue.tables import AUDIT, COMMITMENTS, DELIVERIES

pytestmark = pytest.mark.usefixtures("sent")

ROUTE = Route(destination="pacs", kinds=frozenset(ObjectKind), not_analysed=True)
SEG, SR = "2.25.10", "2.25.11"


@pytest.fixture
def sent(db, add_job):
    """Two objects of one study at the destination, to be committed."""
    add_job()
    made = [_output(ObjectKind.SEG, SEG), _output(ObjectKind.SR, SR)]
    lease = claim(db, owner="w", now=1, lease_s=60, max_attempts=3)
    finish(db, lease, JobState.DONE, outputs=made, routes=[ROUTE], reason="", now=1)
    _send(db, now=2)


def _output(kind, uid):
    return OutputFile(
        kind=kind,
        number=1,
        sop_class_uid="1.2",
        sop_instance_uid=uid,
        series_instance_uid=f"{uid}.1",
        path=f"outputs/{uid}",
        sha256="0",
    )


def _send(db, now, closing=Closing.COMMIT):
    for due in outbox.due(db, "pacs", now=now):
        outbox.sent(db, due.delivery_id, status=0, now=now, closing=closing, ask_at=now)


def _ask(db, transaction, now, wait_s=100.0):
    objects = owed(db, "pacs", Closing.COMMIT, now=now)
    deadline = now + wait_s
    return commitments.opened(
        db, "pacs", objects, transaction_uid=transaction, ae_title="PACS", deadline=deadline, now=now
    )


def _named(uid):
    return Named(sop_class_uid="1.2", sop_instance_uid=uid)


def _report(transaction, committed=(), **failed):
    return Report(
        transaction_uid=transaction,
        committed=tuple(map(_named, committed)),
        failed=tuple((_named(SEG if name == "seg" else SR), reason) for name, reason in failed.items()),
    )


def _states(db):
    with db.read() as connection:
        return list(connection.execute(select(DELIVERIES.c.state).order_by(DELIVERIES.c.id)).scalars())


def _row(db):
    with db.read() as connection:
        return connection.execute(select(DELIVERIES).order_by(DELIVERIES.c.id)).first()


def _alarms(db):
    with db.read() as connection:
        return list(connection.execute(select(AUDIT.c.text).where(AUDIT.c.alarm)).scalars())


def test_objects_are_owed_from_when_they_were_sent_and_no_more_while_a_report_is_awaited(db):
    objects = owed(db, "pacs", Closing.COMMIT, now=2)
    assert [each.named.sop_instance_uid for each in objects] == [SEG, SR]
    _ask(db, "1.1", now=3)
    assert owed(db, "pacs", Closing.COMMIT, now=102) == []
    assert commitments.next_owed_at(db, "pacs") == 103
    assert len(owed(db, "pacs", Closing.COMMIT, now=103)) == 2


def test_a_report_of_success_commits_each_object_with_an_audit_row(db):
    request = _ask(db, "1.1", now=3)
    assert take_report(db, _report("1.1", [SEG, SR]), ae_title="PACS", now=4)
    assert _states(db) == ["committed", "committed"]
    assert commitments.is_reported(db, request)
    assert commitments.next_owed_at(db, "pacs") is None
    (series_id,) = views.series_of(db, "1.2")
    steps = [(entry.old, entry.new) for entry in views.history(db, series_id)["audit"] if entry.entity == "delivery"]
    assert steps[-2:] == [("sent", "committed")] * 2


def test_in_a_report_each_object_has_its_own_outcome(db):
    _ask(db, "1.1", now=3)
    take_report(db, _report("1.1", [SEG], sr=0x0112), ae_title="PACS", now=4)
    assert _states(db) == ["committed", "pending"]
    assert [due.output.sop_instance_uid for due in outbox.due(db, "pacs", now=4)] == [SR]


def test_the_same_report_again_changes_nothing(db):
    _ask(db, "1.1", now=3)
    report = _report("1.1", [SEG], sr=0x0112)
    assert take_report(db, report, ae_title="PACS", now=4)
    _send(db, now=5)
    before = _audit(db)
    assert take_report(db, report, ae_title="PACS", now=6)
    assert _states(db) == ["committed", "sent"]
    assert _audit(db) == before


def _audit(db):
    with db.read() as connection:
        return connection.execute(select(AUDIT)).all()


@pytest.mark.parametrize(("transaction", "title"), [("1.9", "PACS"), ("1.1", "OTHER")])
def test_a_report_of_what_was_not_asked_of_the_caller_is_not_believed_and_leaves_nothing(db, transaction, title):
    _ask(db, "1.1", now=3)
    before = _audit(db)
    assert not take_report(db, _report(transaction, [SEG, SR]), ae_title=title, now=4)
    assert _states(db) == ["sent", "sent"]
    assert _audit(db) == before


def test_an_object_that_is_in_no_request_is_ignored_and_noted(db):
    _ask(db, "1.1", now=3)
    assert take_report(db, _report("1.1", [SEG, "9.9"]), ae_title="PACS", now=4)
    assert _states(db) == ["committed", "sent"], "nothing was said of the other"
    assert "1 that were not asked for ignored" in _audit(db)[-1].text


def test_an_object_both_committed_and_failed_has_failed(db):
    _ask(db, "1.1", now=3)
    take_report(db, _report("1.1", [SEG, SR], seg=0x0112), ae_title="PACS", now=4)
    assert _states(db) == ["pending", "committed"]


def test_what_the_destination_has_not_got_is_sent_again_but_not_for_ever(db):
    for turn in range(MOST_REFUSALS):
        assert _states(db) == ["sent", "sent"]
        _ask(db, f"1.{turn}", now=10 * turn + 3)
        take_report(db, _report(f"1.{turn}", seg=0x0112, sr=0x0112), ae_title="PACS", now=10 * turn + 4)
        _send(db, now=10 * turn + 5)
    assert _states(db) == ["uncommitted", "uncommitted"]
    assert outbox.due(db, "pacs", now=1e9) == []
    assert set(_alarms(db)) == {"stored, but not committed: 0x0112: no such object instance"}


@pytest.mark.parametrize(("reason", "words"), [(0x0119, "another SOP class"), (0x0122, "no object of this SOP class")])
def test_a_failure_that_cannot_pass_is_an_alarm_at_once_and_asked_no_more(db, reason, words):
    _ask(db, "1.1", now=3)
    take_report(db, _report("1.1", seg=reason, sr=reason), ae_title="PACS", now=4)
    assert _states(db) == ["uncommitted", "uncommitted"]
    assert words in views.status(db, since=0).uncommitted[0]["reason"]
    assert commitments.next_owed_at(db, "pacs") is None


@pytest.mark.parametrize("reason", [0x0110, 0x0213, 0x0131, 0x4711])
def test_a_failure_that_may_pass_is_asked_again_later_and_nothing_is_sent(db, reason):
    now = 2.0
    for turn in range(MOST_ASKS):
        assert _states(db) == ["sent", "sent"]
        _ask(db, f"1.{turn}", now=now)
        take_report(db, _report(f"1.{turn}", seg=reason, sr=reason), ae_title="PACS", now=now)
        waits, now = commitments.next_owed_at(db, "pacs") - now, commitments.next_owed_at(db, "pacs")
        assert waits == [900, 3600, 21600, 21600][turn]
    assert _states(db) == ["uncommitted", "uncommitted"]
    assert outbox.due(db, "pacs", now=1e9) == []


def test_a_request_that_is_never_reported_is_asked_again_with_another_and_ends_as_an_alarm(db):
    for turn in range(MOST_ASKS):
        assert _states(db) == ["sent", "sent"]
        _ask(db, f"1.{turn}", now=200 * turn + 2)
        assert commitments.overdue(db, "pacs", now=200 * turn + 101) == 0
        assert commitments.overdue(db, "pacs", now=200 * turn + 102) == 1
    assert _states(db) == ["uncommitted", "uncommitted"]
    assert outbox.due(db, "pacs", now=1e9) == [], "it is never sent blindly"
    assert len(_alarms(db)) == 2
    assert owed(db, "pacs", Closing.COMMIT, now=1e9), "and still asked for"


def test_a_late_report_of_an_overdue_request_counts_and_ends_the_alarm(db):
    for turn in range(MOST_ASKS):
        _ask(db, f"1.{turn}", now=200 * turn + 2)
        commitments.overdue(db, "pacs", now=200 * turn + 102)
    assert take_report(db, _report("1.0", [SEG, SR]), ae_title="PACS", now=5000)
    assert _states(db) == ["committed", "committed"]
    assert views.status(db, since=0).uncommitted == []


def test_a_request_that_is_refused_is_asked_again_and_a_report_of_it_counts_all_the_same(db):
    request = _ask(db, "1.1", now=3)
    commitments.refused(db, request, reason="0x0110", now=4)
    assert owed(db, "pacs", Closing.COMMIT, now=4) == []
    assert len(owed(db, "pacs", Closing.COMMIT, now=904)) == 2
    assert take_report(db, _report("1.1", [SEG, SR]), ae_title="PACS", now=5)
    assert _states(db) == ["committed", "committed"]


def test_a_report_that_came_before_an_answer_that_was_lost_holds(db):
    request = _ask(db, "1.1", now=3)
    take_report(db, _report("1.1", [SEG, SR]), ae_title="PACS", now=4)
    commitments.refused(db, request, reason="no answer", now=5)
    assert _states(db) == ["committed", "committed"]


def test_an_object_that_reports_leave_out_is_asked_for_again_and_ends_as_an_alarm(db):
    now = 3.0
    for turn in range(8):
        if owed(db, "pacs", Closing.COMMIT, now=now):
            _ask(db, f"1.{turn}", now=now)
            take_report(db, _report(f"1.{turn}", [SEG]), ae_title="PACS", now=now)
        now += 40_000
    assert _states(db) == ["committed", "uncommitted"]
    assert _alarms(db) == ["stored, but not committed: the report does not name it"]


def test_what_is_sent_again_by_hand_is_not_taken_back_by_an_earlier_report(db):
    _ask(db, "1.1", now=3)
    jobs = views.job_ids(db, None)
    assert outbox.resend(db, job_ids=jobs, destination=None, now=4) == 2
    take_report(db, _report("1.1", [SEG, SR]), ae_title="PACS", now=5)
    assert _states(db) == ["pending", "pending"]


def test_what_is_committed_may_be_sent_again_by_hand(db):
    _ask(db, "1.1", now=3)
    take_report(db, _report("1.1", [SEG, SR]), ae_title="PACS", now=4)
    assert outbox.resend(db, job_ids=views.job_ids(db, None), destination=None, now=5) == 2
    _send(db, now=6)
    assert [each.asks for each in owed(db, "pacs", Closing.COMMIT, now=6)] == [0, 0]


def test_files_are_kept_until_the_last_object_is_committed(db):
    assert expendable(db, Ended.DELIVERED, ended_before=1e9, limit=9) == []
    _ask(db, "1.1", now=3)
    take_report(db, _report("1.1", [SEG], sr=0x0119), ae_title="PACS", now=4)
    assert expendable(db, Ended.DELIVERED, ended_before=1e9, limit=9) == [], "one is an alarm"
    commitments.waive(db, "pacs", Closing.COMMIT, Closing.NOTHING, reason="off", now=5)
    assert len(expendable(db, Ended.DELIVERED, ended_before=1e9, limit=9)) == 1


def test_what_is_waived_is_sent_and_no_alarm_and_may_be_confirmed_instead(db):
    _ask(db, "1.1", now=3)
    take_report(db, _report("1.1", [SEG], sr=0x0122), ae_title="PACS", now=4)
    assert commitments.waive(db, "pacs", Closing.COMMIT, Closing.CONFIRM, reason="off", now=5) == 1
    assert _states(db) == ["committed", "sent"]
    (left,) = owed(db, "pacs", Closing.CONFIRM, now=5)
    assert expendable(db, Ended.DELIVERED, ended_before=1e9, limit=9) == []
    confirmed(db, left.delivery_id, where="pacs", now=6)
    assert _states(db) == ["committed", "confirmed"]
    assert len(expendable(db, Ended.DELIVERED, ended_before=1e9, limit=9)) == 1


def test_what_a_query_does_not_find_becomes_an_alarm_until_it_does(db):
    commitments.waive(db, "pacs", Closing.COMMIT, Closing.CONFIRM, reason="off", now=5)
    first = owed(db, "pacs", Closing.CONFIRM, now=5)[0]
    for turn in range(MOST_ASKS):
        assert _row(db).state == DeliveryState.SENT
        not_found(db, first.delivery_id, reason="not listed", next_at=10.0 * turn, now=10.0 * turn)
    assert _row(db).state == DeliveryState.UNCOMMITTED
    confirmed(db, first.delivery_id, where="pacs", now=99)
    assert _row(db).state == DeliveryState.CONFIRMED


def test_that_a_destination_has_no_commitment_is_believed_for_a_week_and_at_this_place_alone(db):
    learn(db, "pacs", "here", commits=False, reason="context rejected", now=10)
    known = ability(db, "pacs", "here")
    assert (known.commits, known.reason) == (False, "context rejected")
    assert known.holds(10 + FRESH_S - 1)
    assert not known.holds(10 + FRESH_S)
    assert ability(db, "pacs", "elsewhere") is None


def test_reports_are_counted_for_the_destination(db):
    learn(db, "pacs", "here", commits=True, reason="", now=2)
    _ask(db, "1.1", now=3)
    take_report(db, _report("1.1", [SEG, SR]), ae_title="PACS", now=4)
    assert ability(db, "pacs", "here").reports == 1
    with db.read() as connection:
        assert connection.execute(select(COMMITMENTS.c.reported_at)).scalar_one() == 4
