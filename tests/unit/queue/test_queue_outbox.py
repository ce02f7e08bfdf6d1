"""Deliveries: who gets what, in which order, again and again until it is there."""

import pytest
from sqlalchemy import select

from ichnode.domain.outputs import USUAL_KINDS, USUAL_PROFILE, ObjectKind, OutputFile
from ichnode.domain.states import Decision, JobState
from ichnode.queue import outbox, views
from ichnode.queue.jobs import claim, finish, replay
from ichnode.queue.outbox import Route
from ichnode.queue.tables import OUTPUTS

ALL = Route(destination="pacs", kinds=frozenset(ObjectKind), not_analysed=True)


def output(
    kind: ObjectKind, number: int = 1, *, job: str = "a", profiles: tuple[str, ...] = (USUAL_PROFILE,)
) -> OutputFile:
    uid = f"2.25.{ord(job)}{list(ObjectKind).index(kind)}{number}"
    return OutputFile(
        kind=kind,
        number=number,
        sop_class_uid="1.2",
        sop_instance_uid=uid,
        series_instance_uid="2.25.9",
        path=f"outputs/{uid}",
        sha256="0",
        profiles=profiles,
    )


def work(db, outputs, routes, *, state=JobState.DONE, now=1.0) -> None:
    lease = claim(db, owner="w", now=now, lease_s=60, max_attempts=3)
    finish(db, lease, state, outputs=outputs, routes=routes, reason="", now=now)


def kinds(db, destination="pacs", now=10.0) -> list[str]:
    return [f"{d.output.kind}{d.output.number}" for d in outbox.due(db, destination, now=now)]


def test_objects_go_in_the_order_of_their_kinds_whatever_the_order_they_were_made_in(db, add_job):
    add_job()
    made = [output(ObjectKind.SC, 2), *(output(kind) for kind in reversed(ObjectKind))]
    work(db, made, [ALL])
    assert kinds(db) == ["SEG1", "SR1", "SC1", "SC2", "KOS1", "PDF1"]


def test_a_destination_is_given_the_forms_of_its_profile_alone(db, add_job):
    add_job()
    modern = Route(destination="vna", kinds=frozenset(ObjectKind), not_analysed=True, profile="modern")
    made = [
        output(ObjectKind.SEG, 1),
        output(ObjectKind.SEG, 2, profiles=("modern",)),
        output(ObjectKind.PDF, profiles=(USUAL_PROFILE, "modern")),
    ]
    work(db, made, [ALL, modern])
    assert (kinds(db), kinds(db, "vna")) == (["SEG1", "PDF1"], ["SEG2", "PDF1"])
    assert outbox.due(db, "vna", now=10)[1].output.profiles == (USUAL_PROFILE, "modern")


def test_an_object_that_another_profile_comes_to_as_well_goes_to_the_destination_of_that_one_too(db, add_job):
    first = add_job()
    work(db, [output(ObjectKind.SR)], [ALL])
    modern = Route(destination="vna", kinds=frozenset(ObjectKind), not_analysed=True, profile="modern")
    replay(db, [first], weights=None, now=2)
    work(db, [output(ObjectKind.SR, profiles=("modern",))], [ALL, modern], now=3)
    assert (kinds(db), kinds(db, "vna")) == (["SR1"], ["SR1"])
    with db.read() as connection:
        assert connection.execute(select(OUTPUTS.c.profiles)).scalars().all() == [[USUAL_PROFILE, "modern"]]
    (earlier,) = views.earlier_reports(db, first)
    assert earlier.profiles == (USUAL_PROFILE, "modern")


def test_an_object_waits_while_one_before_it_waits(db, add_job):
    add_job()
    work(db, [output(kind) for kind in USUAL_KINDS], [ALL])
    seg = outbox.due(db, "pacs", now=10)[0]
    outbox.again(db, seg.delivery_id, reason="busy", next_at=50, now=10)
    assert kinds(db, now=49) == []
    assert outbox.next_due_at(db, "pacs") == 1.0
    assert kinds(db, now=50) == ["SEG1", "SR1", "SC1"]
    assert outbox.due(db, "pacs", now=50)[0].attempts == 1


def test_an_object_that_is_refused_again_and_again_does_not_hold_up_the_report_for_ever(db, add_job):
    add_job()
    work(db, [output(kind) for kind in USUAL_KINDS], [ALL])
    seg = outbox.due(db, "pacs", now=10)[0]
    for attempt in range(outbox.PATIENCE):
        assert kinds(db, now=20 + attempt) == (["SEG1", "SR1", "SC1"] if attempt == 0 else [])
        outbox.again(db, seg.delivery_id, reason="0x0110", next_at=999, now=20 + attempt)
    assert kinds(db, now=30) == ["SR1", "SC1"]


def test_what_is_sent_or_dead_does_not_hold_up_the_rest(db, add_job):
    add_job()
    work(db, [output(kind) for kind in USUAL_KINDS], [ALL])
    seg, sr, _ = outbox.due(db, "pacs", now=10)
    outbox.sent(db, seg.delivery_id, status=0xB000, now=11)
    outbox.dead(db, sr.delivery_id, reason="0x0122", now=11, status=0x0122)
    assert kinds(db) == ["SC1"]
    assert [row["reason"] for row in views.status(db, since=0).dead] == ["0x0122"]


def test_each_destination_gets_its_own_kinds_and_only_some_hear_of_what_was_not_analysed(db, add_job):
    routes = [ALL, Route(destination="ris", kinds=frozenset({ObjectKind.SR}), not_analysed=False)]
    add_job("1.2.3")
    work(db, [output(ObjectKind.SEG), output(ObjectKind.SR)], routes)
    assert (kinds(db), kinds(db, "ris")) == (["SEG1", "SR1"], ["SR1"])
    add_job("1.2.4", "1.9", Decision.SKIP)
    work(db, [output(ObjectKind.SR, job="b")], routes, state=JobState.REJECTED)
    assert views.status(db, since=0).deliveries == {"pacs": {"pending": 3}, "ris": {"pending": 1}}


def test_due_speaks_of_one_study_at_a_time_and_new_ones_first(db, add_job):
    old = add_job("1.2.3", "1.2")
    work(db, [], [ALL])
    replay(db, [old], weights=None, now=2)
    work(db, [output(ObjectKind.SR)], [ALL], now=3)
    add_job("1.2.4", "1.9", now=4)
    work(db, [output(ObjectKind.SR, job="b")], [ALL], now=5)
    assert {d.study_instance_uid for d in outbox.due(db, "pacs", now=10)} == {"1.9"}


@pytest.mark.parametrize(("only_dead", "expected"), [(True, 1), (False, 2)])
def test_resend_by_hand_brings_back_what_is_dead_or_sent(db, add_job, only_dead, expected):
    series_id = add_job()
    work(db, [output(ObjectKind.SEG), output(ObjectKind.SR)], [ALL])
    seg, sr = outbox.due(db, "pacs", now=10)
    outbox.sent(db, seg.delivery_id, status=0, now=11)
    outbox.dead(db, sr.delivery_id, reason="no", now=11)
    jobs = views.job_ids(db, [series_id])
    assert outbox.resend(db, job_ids=jobs, destination=None, now=20, only_dead=only_dead) == expected
    assert len(kinds(db, now=20)) == expected
    assert outbox.resend(db, job_ids=jobs, destination="elsewhere", now=20) == 0
