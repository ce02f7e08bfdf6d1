"""status, show, resend and replay of what the queue holds."""

import json
import sqlite3
import time
from contextlib import closing

import pytest

from ichnode.app.wire import open_database_of
from ichnode.cli import replay as verb
from ichnode.cli.context import Exit, clock
from ichnode.config.file import load_config
from ichnode.domain.facts import InstanceFacts
from ichnode.domain.states import Decision, JobState
from ichnode.queue import outbox
from ichnode.queue.holds import hold_study
from ichnode.queue.intake import NewInstance, quarantine
from ichnode.queue.jobs import claim, finish, give_back

SERIES, STUDY = "1.2.3", "1.2"


@pytest.fixture
def kill_delivery(config):
    """Marks the first delivery as refused for good."""

    def kill(reason="0xA900: data set does not match SOP class"):
        db = open_database_of(load_config(config))
        outbox.dead(db, 1, reason=reason, now=time.time(), status=0xA900)
        db.close()

    return kill


def test_a_new_node_has_nothing_to_tell(ichnode):
    said = ichnode("status")
    assert (said.code, said.out) == (Exit.OK, "0 images kept, 0 series still arriving, 0 jobs wait or run\n")
    assert ichnode("status", "--json").json["alarm"] is False


def test_status_names_job_state_and_reason_of_the_newest_series(ichnode, add_job):
    add_job(SERIES)
    add_job("1.2.4", decision=Decision.SKIP)
    said = ichnode("status")
    assert said.code == Exit.OK
    rows = [line.split() for line in said.out.splitlines()]
    assert rows[-2][:2] == ["2", "queued"]
    assert "not analysed: contrast agent given" in said.out
    assert rows[-1][:2] == ["1", "queued"]
    assert ichnode("status", "--json").json["jobs"] == {"queued": 2}


def test_a_job_that_waits_for_more_than_an_hour_alarms_until_it_is_done(ichnode, config, add_job):
    add_job(SERIES, now=time.time() - 3500)
    assert ichnode("status").code == Exit.OK
    add_job("1.2.4", now=time.time() - 7300)
    said = ichnode("status")
    assert said.code == Exit.NO
    assert "ALARM  the oldest job has waited from 2 h ago: does a worker run?" in said.out
    with closing(open_database_of(load_config(config))) as db:
        for _ in range(2):
            lease = claim(db, owner="w", now=time.time(), lease_s=60, max_attempts=3)
            finish(db, lease, JobState.DONE, outputs=[], routes=[], reason="", now=time.time())
    assert ichnode("status").code == Exit.OK


def test_a_job_whose_results_cannot_be_written_alarms_with_the_reason(ichnode, config, add_job):
    add_job(SERIES)
    with closing(open_database_of(load_config(config))) as db:
        now = time.time()
        lease = claim(db, owner="w", now=now, lease_s=60, max_attempts=3)
        why = "the results cannot be written: Read-only file system"
        give_back(db, lease, now=now, why=why, delay_s=300, alarm=True)
    assert ichnode("status", "--json").json["alarms"] == [f"1 of the jobs given back, last 0 s ago: {why}"]


def test_a_failed_job_alarms(ichnode, add_job):
    add_job(SERIES, "failed")
    said = ichnode("status")
    assert said.code == Exit.NO
    assert "ALARM  job 1 failed: it ran out of memory" in said.out
    assert ichnode("status", "--json").json["alarm"] is True


def test_a_dead_delivery_alarms_until_it_is_sent_again(ichnode, add_remote, add_job, kill_delivery):
    add_remote("destination", 104)
    add_job(SERIES, "done", now=time.time())
    kill_delivery()
    said = ichnode("status")
    assert said.code == Exit.NO
    assert "to pacs: 0 to go, 1 refused for good" in said.out
    assert "ALARM  SR of job 1 is dead at pacs: 0xA900: data set does not match SOP class" in said.out

    again = ichnode("resend", "--dead")

    assert (again.code, again.out) == (Exit.OK, "1 objects will be sent again.\n")
    assert ichnode("status").code == Exit.OK


def test_status_says_why_an_object_waits_how_often_it_was_tried_and_when_again(ichnode, config, add_remote, add_job):
    add_remote("destination", 104)
    made_at = time.time() - 100
    for number, series in enumerate((SERIES, "1.2.4", "1.2.5"), 1):
        add_job(series, "done", now=made_at + number)
        reason, now = f"no connection, tried as {number}", time.time() + number
        if number < 3:
            with closing(open_database_of(load_config(config))) as db:
                outbox.again(db, number, reason=reason, next_at=4e9 + number, now=now)
                outbox.again(db, number, reason=reason, next_at=4e9 + number, now=now)

    said = ichnode("status")

    assert said.code == Exit.OK
    lines = said.out.splitlines()
    below = lines[lines.index("to pacs: 3 to go, 0 delivered, 0 refused for good") + 1]
    tries = f"(2 tries, next {clock(4e9 + 1)})"
    assert below == f"  waits since {clock(made_at + 1)}: no connection, tried as 2 {tries}"
    assert ichnode("status", "--json").json["undelivered"]["pacs"]["attempts"] == 2


def test_a_try_that_is_due_is_told_without_a_time_and_of_what_is_held_there_is_none(
    ichnode, config, add_remote, add_job
):
    add_remote("destination", 104)
    add_job(SERIES, "done")
    with closing(open_database_of(load_config(config))) as db:
        outbox.again(db, 1, reason="no connection", next_at=2.0, now=1.0)
    assert ": no connection (1 try, the next is due)\n" in ichnode("status").out
    with closing(open_database_of(load_config(config))) as db:
        hold_study(db, STUDY, told="another", reason="PatientID differs", now=3.0)
    assert "no connection" not in ichnode("status").out


def test_nothing_delivered_is_not_said_of_what_is_committed(ichnode, config, add_remote, add_job):
    add_remote("destination", 104)
    add_job(SERIES, "done")
    with closing(open_database_of(load_config(config))) as db:
        outbox.sent(db, 1, status=0, now=1500.0)
    assert "to pacs: 0 to go, 1 delivered, 0 refused" in ichnode("status").out
    with closing(sqlite3.connect(config.parent / "state/queue.sqlite")) as db, db:
        db.execute("UPDATE deliveries SET state = 'committed'")
    assert "to pacs: 0 to go, 1 committed, 0 refused for good\n" in ichnode("status").out


@pytest.mark.parametrize(
    ("service", "warns", "alarms"),
    [
        ("receive", "no receiver runs", ""),
        ("work", "no worker runs", "no worker runs, and something waits for it (1 jobs to be done)"),
        ("deliver", "no deliverer runs", "no deliverer runs, and something waits for it (1 to go to pacs)"),
    ],
)
def test_a_service_that_does_not_run_is_a_warning_and_an_alarm_once_something_waits(
    ichnode, add_remote, add_job, running, service, warns, alarms
):
    add_remote("destination", 104)
    running.discard(service)
    idle = ichnode("status")
    assert (idle.code, f"warn   {warns}\n" in idle.out) == (Exit.OK, True)

    add_job(SERIES, "done", now=time.time())
    add_job("1.2.4", now=time.time())

    said = ichnode("status")
    assert said.code == (Exit.NO if alarms else Exit.OK)
    assert (f"ALARM  {alarms}" in said.out, "no connection" in said.out) == (bool(alarms), False)
    told = ichnode("status", "--json").json
    assert told["services"] == {"receive": True, "work": True, "deliver": True} | {service: False}
    assert (len(told["alarms"]), len(told["warnings"])) == ((1, 0) if alarms else (0, 1))


def test_what_no_destination_takes_alarms(ichnode, add_remote, add_job):
    add_remote("destination", 104)
    add_job(SERIES, "done", now=time.time() - 2 * 86400)
    assert "ALARM  pacs has not taken an object from 2 d ago" in ichnode("status").out


def test_deliveries_to_a_destination_that_is_gone_from_the_configuration_alarm(ichnode, add_job):
    add_job(SERIES, "done", now=time.time())
    said = ichnode("status")
    assert said.code == Exit.NO
    assert "ALARM  1 objects wait for pacs, which is no [[destination]] any more: put it back" in said.out


def test_quarantine_alarms_and_many_alarms_are_cut_short(ichnode, config):
    db = open_database_of(load_config(config))
    for number in range(13):
        instance = NewInstance(
            sop_instance_uid=f"1.{number}",
            sop_class_uid="1.2",
            study_instance_uid="1.2",
            series_instance_uid="1.2.3",
            transfer_syntax_uid="1.2",
            sha256="",
            size_bytes=1,
            path=f"quarantine/{number}.dcm",
            calling_ae="CT1",
            address="127.0.0.1",
            facts=InstanceFacts(),
        )
        quarantine(db, instance, reason="two patients in one study", now=1000.0)
    db.close()
    said = ichnode("status")
    assert said.code == Exit.NO
    assert said.out.count("two patients in one study") == 10
    assert "ALARM  and 3 more: --json lists them all" in said.out
    assert len(ichnode("status", "--json").json["quarantined"]) == 13


@pytest.mark.parametrize("what", ["1", STUDY, SERIES])
def test_show_tells_the_whole_history_of_a_job_a_study_or_a_series(ichnode, add_remote, add_job, kill_delivery, what):
    add_remote("destination", 104)
    add_job(SERIES, "done", now=time.time())
    kill_delivery()
    said = ichnode("show", what)
    assert said.code == Exit.OK
    for words in (
        "series 1, revision 1: 3 images, settled",
        f"study  {STUDY}",
        f"series {SERIES}",
        "job 1 (analyse) done: haematoma of 13.4 mL",
        "SR 1: pacs dead  outputs/1.2.3.99.dcm",
        "receiving -> settled  complete: quiet",
        "pending -> analyse  analysed: the only candidate",
        "queued -> running  attempt 1 by worker 1",
        "pending -> dead  0xA900",
    ):
        assert words in said.out
    (row,) = ichnode("show", what, "--json").json
    assert [entry["new"] for entry in row["audit"]][-1] == "dead"


@pytest.mark.parametrize("verb", ["show", "resend", "replay"])
@pytest.mark.parametrize("what", ["7", "9.9.9", "Müller", "9" * 30])
def test_what_the_queue_does_not_know_is_answered_with_no(ichnode, verb, what):
    said = ichnode(verb, what)
    assert said.code == Exit.NO
    assert "ichnode status" in said.err


def test_resend_takes_one_study_to_one_destination(ichnode, config, add_remote, add_job):
    add_remote("destination", 104)
    add_job(SERIES, "done")
    add_job("5.6.7", "done")
    db = open_database_of(load_config(config))
    for delivery in (1, 2):
        outbox.sent(db, delivery, status=0, now=1500.0)
    db.close()
    assert ichnode("resend", STUDY, "--to", "pacs").out == "1 objects will be sent again.\n"
    assert ichnode("status", "--json").json["deliveries"] == {"pacs": {"pending": 1, "sent": 1}}
    assert ichnode("resend", STUDY).code == Exit.NO  # it waits already


def test_resend_wants_to_know_what_and_a_destination_that_exists(ichnode):
    nothing, nowhere = ichnode("resend"), ichnode("resend", "--dead", "--to", "nowhere")
    assert (nothing.code, nowhere.code) == (Exit.USAGE, Exit.USAGE)
    assert "--dead" in nothing.err
    assert "No destination is called nowhere." in nowhere.err


def test_a_dry_replay_tells_and_queues_nothing(ichnode, add_job):
    add_job(SERIES, "done")
    add_job("1.2.4", decision=Decision.SKIP)
    said = ichnode("replay", STUDY, "--dry-run", "--why")
    assert said.code == Exit.OK
    assert said.out.splitlines() == [
        "would be queued: analysed: the only candidate",
        "  series 1.2.3",
        "no job: not analysed: contrast agent given",
        "  series 1.2.4",
    ]
    assert ichnode("replay", STUDY, "--dry-run").out.splitlines()[-1] == "1 series are not analysed; --why lists them."
    assert ichnode("status", "--json").json["jobs"] == {"done": 1, "queued": 1}


def test_a_series_that_is_named_is_analysed_whatever_the_rules_said(ichnode, add_job):
    add_job("1.2.4", decision=Decision.SKIP)
    assert ichnode("replay", STUDY, "--no-wait").code == Exit.NO
    said = ichnode("replay", "--series", "1.2.4", "--no-wait", "--json")
    assert said.code == Exit.OK
    assert said.json == [
        {
            "series": "1.2.4",
            "study": "1.2",
            "analysed": True,
            "job": 2,
            "why": "analysed because it was named (the rules said: not analysed: contrast agent given)",
        }
    ]


def test_a_replay_of_a_job_that_waits_makes_no_second_one(ichnode, add_job):
    add_job(SERIES)
    assert ichnode("replay", STUDY, "--no-wait", "--json").json[0]["job"] == 1


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--since", "2024-01-31", "--until", "2024-01-31"], True),
        (["--since", "2024-02-01"], False),
        (["--until", "2024-01-30"], False),
        (["--state", "done"], True),
        (["--state", "failed"], False),
        (["--accession", "A1"], False),
    ],
)
def test_a_replay_is_chosen_by_date_state_and_accession_number(ichnode, add_job, arguments, found):
    add_job(SERIES, "done")
    assert ichnode("replay", *arguments, "--dry-run").code == (Exit.OK if found else Exit.NO)


def test_a_replay_of_nothing_is_a_wrong_command_line(ichnode):
    said = ichnode("replay")
    assert said.code == Exit.USAGE
    assert "--folder" in said.err


def test_a_replay_waits_until_the_jobs_have_ended(ichnode, add_job, monkeypatch):
    """Each look at the queue lets this test's worker end what was queued."""
    add_job(SERIES, "done")
    real = verb.views.ended

    def ended(db, job_ids):
        over = real(db, job_ids)
        lease = claim(db, owner="w", now=3000.0, lease_s=9, max_attempts=3)
        if lease is not None:
            finish(db, lease, JobState.REJECTED, outputs=[], routes=[], reason="no head", now=3000.0)
        return over

    monkeypatch.setattr(verb, "POLL_S", 0.001)
    monkeypatch.setattr(verb.views, "ended", ended)
    said = ichnode("replay", STUDY)
    assert said.code == Exit.NO  # it ended, but not with a result
    assert "job 2 rejected: no head" in said.out


def test_json_is_one_document_and_nothing_else(ichnode, add_job):
    add_job(SERIES, "done")
    for arguments in (["status"], ["show", "1"], ["replay", STUDY, "--dry-run"], ["config", "check"]):
        said = ichnode(*arguments, "--json")
        json.loads(said.out)
        assert said.err == ""


def test_show_says_why_an_object_waits_and_until_when(ichnode, config, add_job):
    add_job(SERIES, "done")
    db = open_database_of(load_config(config))
    outbox.again(db, 1, reason="no connection to pacs", next_at=4e9, now=2000.0)
    db.close()
    assert "pacs pending (no connection to pacs; next try 2096-10-0" in ichnode("show", "1").out


@pytest.mark.parametrize("verb", [("status",), ("show", "1.2.3"), ("replay", "--state", "failed"), ("outcomes",)])
def test_no_verb_migrates_the_queue_of_an_earlier_version(ichnode, tmp_path, verb):
    assert ichnode("status").code == Exit.OK
    queue = tmp_path / "state" / "queue.sqlite"
    with closing(sqlite3.connect(queue)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '0001'")

    said = ichnode(*verb)

    assert said.code == Exit.USAGE
    assert "The queue is an earlier version's, which may still be running." in said.err
    with closing(sqlite3.connect(queue)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
