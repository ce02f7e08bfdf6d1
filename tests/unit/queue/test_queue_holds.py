"""A later image tells another patient: the results of its study are held, and the history says why."""

from dataclasses import replace

import pytest

from ichnode.domain.states import Decision, JobState
from ichnode.queue import outbox, views
from ichnode.queue.holds import held, release
from ichnode.queue.intake import Recorded, quarantine, record
from ichnode.queue.jobs import claim, finish
from ichnode.queue.series import decide, receiving, settle

ID = "a later image of the study, from CT1, has another patient ID or issuer"
NAME = "a later image of the study, from CT1, has another name or birth date"


def of(instance, **facts):
    return replace(instance, facts=replace(instance.facts, **facts))


def test_another_patient_id_holds_the_study_although_the_image_is_in_quarantine(db, make_instance):
    record(db, make_instance(1), now=0)
    stranger = make_instance(2, patient="q")
    assert record(db, stranger, now=1) == Recorded.FOREIGN

    quarantine(db, stranger, reason="two patients", now=1)

    assert held(db, "1.2") == [ID]
    (entry,) = [entry for entry in views.history(db, 1)["audit"] if entry.new == "held"]
    assert (entry.text, entry.alarm) == (ID, True)
    (row,) = views.status(db, since=0).held
    assert row["study_instance_uid"] == "1.2"


def test_a_corrected_name_or_birth_date_holds_it_and_the_image_is_kept(db, make_instance):
    record(db, of(make_instance(1), person_key="doe 1950"), now=0)
    record(db, of(make_instance(2), person_key="doe 1950"), now=0)
    assert held(db, "1.2") == []

    assert record(db, of(make_instance(3), person_key="roe 1950"), now=1) == Recorded.NEW

    assert held(db, "1.2") == [NAME]


def test_an_image_that_states_less_is_no_doubt(db, make_instance):
    record(db, of(make_instance(1), person_key="doe 1950"), now=0)
    record(db, of(make_instance(2, series="1.2.4"), person_key=""), now=0)
    record(db, of(make_instance(3), person_key="doe 1950"), now=0)
    assert held(db, "1.2") == []


@pytest.mark.parametrize(
    ("first", "later", "is_held"),
    [
        ("doe/", "roe/", True),  # names alone: no birth date is stated
        ("/1950", "/1951", True),
        ("doe/", "doe/1950", False),
        ("doe/", "/1950", False),
        ("", "roe/", False),
        ("doe/1950", "roe/", True),
    ],
)
def test_name_and_birth_date_are_compared_each_where_both_images_state_it(db, make_instance, first, later, is_held):
    record(db, of(make_instance(1), person_key=first), now=0)

    record(db, of(make_instance(2), person_key=later), now=1)

    assert held(db, "1.2") == ([NAME] if is_held else [])


def test_other_studies_are_not_held(db, make_instance):
    record(db, make_instance(1), now=0)
    record(db, make_instance(1, series="7.8", study="7", patient="q"), now=0)
    assert held(db, "1.2") == held(db, "7") == []


def test_what_a_person_released_is_not_held_again_by_more_images_of_the_same_kind(db, make_instance):
    record(db, of(make_instance(1), person_key="doe"), now=0)
    record(db, of(make_instance(2), person_key="roe"), now=1)
    assert release(db, "1.2", by="somebody", now=2) == 1

    record(db, of(make_instance(3), person_key="roe"), now=3)
    record(db, of(make_instance(4), person_key="doe"), now=3)

    assert held(db, "1.2") == []
    record(db, of(make_instance(5), person_key="poe"), now=4)
    assert held(db, "1.2") == [NAME]
    assert release(db, "9.9", by="somebody", now=5) == 0


def test_a_doubt_that_comes_too_late_tells_how_much_has_gone_out(db, make_instance):
    record(db, make_instance(1), now=0)
    (row,) = receiving(db)
    settle(db, row.id, missing=0, text="complete", now=0)
    decide(db, {row.id: (Decision.ANALYSE, "because")}, now=0)
    lease = claim(db, owner="test", now=0, lease_s=60, max_attempts=1)
    output = outbox.OutputFile(
        kind=outbox.ObjectKind.SR,
        number=1,
        sop_class_uid="1.2",
        sop_instance_uid="1.2.9",
        series_instance_uid="1.2.8",
        path="outputs/a.dcm",
        sha256="",
    )
    route = outbox.Route(destination="PACS", kinds=frozenset(outbox.ObjectKind), not_analysed=True)
    finish(db, lease, JobState.DONE, outputs=[output], routes=[route], reason="", now=0)
    outbox.sent(db, 1, status=0, now=1)

    quarantine(db, make_instance(2, patient="q"), reason="two patients", now=2)

    assert held(db, "1.2") == [f"{ID}; 1 objects had gone out before"]
