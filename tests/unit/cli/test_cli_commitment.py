"""What status, show and doctor tell of storage commitment."""

import time

import pytest

from ichnode.app.wire import open_database_of
from ichnode.cli.context import Exit
from ichnode.config.file import load_config
from ichnode.domain.commitment import Named, Report, Request
from ichnode.domain.states import Closing
from ichnode.queue import commitments, outbox
from ichnode.queue.abilities import learn
from ichnode.queue.promises import due_promise, not_reported, promise
from ichnode.queue.untold import LONGEST_S, give_up

SERIES = "1.2.3"


@pytest.fixture
def db(config):
    """The queue of the configuration."""
    database = open_database_of(load_config(config))
    yield database
    database.close()


@pytest.fixture
def asked(db, add_remote, add_job):
    """One report at the PACS, asked for; returns what reports on it."""
    add_remote("destination", 104)
    add_job(SERIES, "done", now=time.time())
    now = time.time()
    (due,) = outbox.due(db, "pacs", now=now)
    outbox.sent(db, due.delivery_id, status=0, now=now, closing=Closing.COMMIT, ask_at=now)
    objects = commitments.owed(db, "pacs", Closing.COMMIT, now=now)
    commitments.opened(db, "pacs", objects, transaction_uid="7.7", ae_title="PACS", deadline=now + 60, now=now)

    def report(reason=None):
        named = objects[0].named
        failed = ((named, reason),) if reason else ()
        told = Report(transaction_uid="7.7", committed=() if reason else (named,), failed=failed)
        assert commitments.take_report(db, told, ae_title="PACS", now=time.time())

    return report


def test_what_is_asked_for_and_what_is_committed_is_told(ichnode, asked):
    assert "to pacs: 0 to go, 1 delivered, 0 refused for good, 1 to be committed\n" in ichnode("status").out
    assert "pacs sent (to be committed, next asked " in ichnode("show", SERIES).out
    assert ichnode("status", "--json").json["awaited"] == {"pacs": {"commit": 1}}
    asked()
    assert "to pacs: 0 to go, 1 committed, 0 refused for good\n" in ichnode("status").out
    assert "pacs committed" in ichnode("show", SERIES).out
    assert ichnode("status", "--json").json["deliveries"] == {"pacs": {"committed": 1}}
    assert ichnode("show", SERIES, "--json").json[0]["deliveries"][0]["state"] == "committed"


def test_what_the_pacs_does_not_commit_to_alarms_with_its_reason(ichnode, asked):
    asked(0x0119)
    said = ichnode("status")
    assert said.code == Exit.NO
    reason = "stored, but not committed: 0x0119: the object is there with another SOP class"
    assert f"ALARM  SR of job 1 at pacs: {reason}\n" in said.out
    assert ichnode("resend", "1").code == Exit.OK
    assert ichnode("status").code == Exit.OK


def test_objects_to_be_committed_by_what_is_no_destination_any_more_alarm(ichnode, asked, config):
    config.write_text(config.read_text().replace('name = "pacs"', 'name = "other"'))
    (alarm,) = ichnode("status", "--json").json["alarms"]
    assert alarm.startswith("1 objects are still to be committed or confirmed by pacs, which is no [[destination]]")
    asked()
    assert ichnode("status").code == Exit.OK


def test_that_a_destination_offers_no_commitment_is_told_and_is_no_alarm(ichnode, add_remote, add_job, db):
    add_remote("destination", 104)
    add_job(SERIES, "done", now=time.time())
    place = "127.0.0.1:104 PACS ICHNODE"
    learn(db, "pacs", place, commits=False, reason="it does not accept it", now=time.time())
    said = ichnode("status")
    assert said.code == Exit.OK
    assert "  no storage commitment, 0 s ago: it does not accept it\n" in said.out
    assert "storage commitment: pacs offers none, asked 0 s ago: it does not accept it" in ichnode("doctor").out


def test_a_report_that_nobody_can_be_told_alarms_at_once_another_after_some_attempts(ichnode, add_remote, db):
    add_remote("modality", 104, name="ct")
    now = time.time()
    for title in ("PACS", "STRANGER"):
        request = Request(transaction_uid="7.7", objects=(Named(sop_class_uid="1.2", sop_instance_uid="5.1"),))
        promise(db, request, calling_ae=title, address="", now=now)
        not_reported(db, due_promise(db, title, now=now).id, reason="no connection", next_at=now)
    alarms = ichnode("status", "--json").json["alarms"]
    assert alarms == ["STRANGER waits for a commitment report from 0 s ago: no connection"]
    for _ in range(2):
        not_reported(db, due_promise(db, "PACS", now=now).id, reason="no connection", next_at=now)
    assert len(ichnode("status", "--json").json["alarms"]) == 2


def test_a_report_that_was_given_up_alarms_until_somebody_deals_with_it(ichnode, add_remote, db):
    add_remote("modality", 104, name="ct")
    asked_at = time.time() - LONGEST_S - 86400
    request = Request(transaction_uid="7.7", objects=(Named(sop_class_uid="1.2", sop_instance_uid="5.1"),))
    promise(db, request, calling_ae="PACS", address="", now=asked_at)
    not_reported(db, due_promise(db, "PACS", now=asked_at).id, reason="no connection", next_at=asked_at)
    give_up(db, now=time.time())
    (alarm,) = ichnode("status", "--json").json["alarms"]
    told = "PACS waits for a commitment report from 8 d ago: no connection"
    assert alarm == f"{told}; given up, until the deliverer is started again"


def test_the_reports_that_one_peer_waits_for_are_one_alarm(ichnode, add_remote, db):
    add_remote("modality", 104, name="ct")
    now = time.time()
    for number, reason in enumerate(("no connection", "refused")):
        request = Request(transaction_uid=f"7.{number}", objects=(Named(sop_class_uid="1.2", sop_instance_uid="5.1"),))
        asked_at = now - LONGEST_S if number == 0 else now - 60
        promise(db, request, calling_ae="STRANGER", address="", now=asked_at)
        due = due_promise(db, "STRANGER", now=asked_at)
        not_reported(db, due.id, reason=reason, next_at=now + 60)
        give_up(db, now=now)
    (alarm,) = ichnode("status", "--json").json["alarms"]
    told = "STRANGER waits for 2 commitment reports, the first from 7 d ago: refused"
    assert alarm == f"{told}; 1 given up, until the deliverer is started again"
