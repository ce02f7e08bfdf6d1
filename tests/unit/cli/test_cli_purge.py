"""purge: what is said, what is refused, what is told to the audit trail."""

import fcntl

import pytest

from ichnode.app.wire import open_database_of
from ichnode.cli.context import Exit
from ichnode.config.file import load_config
from ichnode.queue import outbox
from ichnode.queue.holds import hold_study

SERIES, STUDY = "1.2.3", "1.2"


@pytest.fixture
def deliver(config):
    """Marks the report as sent."""

    def mark():
        db = open_database_of(load_config(config))
        outbox.sent(db, 1, status=0, now=1000.0)
        db.close()

    return mark


def test_without_yes_it_is_only_said_what_would_go(ichnode, config, add_job, deliver):
    add_job(SERIES, "done")
    deliver()

    said = ichnode("purge", STUDY)

    assert said.code == Exit.OK
    assert "would be deleted: 3 images, 1 objects, 0 in quarantine, 1 series, 1 jobs" in said.out
    told, state = said.out.splitlines()[1:], config.parent / "state"
    assert told == [f"  3 files in {state}/instances", f"  1 file in {state}/outputs", "--yes does it."]
    assert ichnode("show", STUDY).code == Exit.OK


def test_with_yes_it_is_gone_and_the_audit_trail_tells_who_deleted_it(ichnode, config, add_job, deliver):
    add_job(SERIES, "done")
    deliver()

    said = ichnode("purge", STUDY, "--yes")

    assert (said.code, said.out) == (Exit.OK, "deleted: 3 images, 1 objects, 0 in quarantine, 1 series, 1 jobs\n")
    assert ichnode("show", STUDY).code == Exit.NO
    assert ichnode("purge", STUDY, "--yes").code == Exit.NO
    trail = "".join(path.read_text() for path in (config.parent / "state/audit").iterdir() if path.is_file())
    assert "110105" in trail  # DICOM Study Deleted
    assert "key:" in trail  # whose study: asked before the rows went
    assert "purged by" in trail
    assert STUDY in trail


def test_json_lists_every_path(ichnode, add_job, deliver):
    add_job(SERIES, "done")
    deliver()
    told = ichnode("purge", STUDY, "--json").json
    assert (len(told["instances"]), len(told["outputs"]), told["deleted"]) == (3, 1, False)


@pytest.mark.parametrize(
    ("state", "words"), [("queued", "1 jobs to be done"), ("done", "1 objects not delivered"), ("failed", "1 jobs")]
)
def test_what_is_not_over_is_refused_until_it_is_given_up_by_force(ichnode, add_job, state, words):
    add_job(SERIES, state)

    refused = ichnode("purge", STUDY, "--yes")

    assert refused.code == Exit.LATER
    assert words in refused.err
    assert ichnode("show", STUDY).code == Exit.OK
    assert ichnode("purge", STUDY, "--yes", "--force").code == Exit.OK
    assert ichnode("show", STUDY).code == Exit.NO


def test_what_the_deliverer_may_hold_needs_it_stopped(ichnode, config, add_job):
    add_job(SERIES, "done")
    with (config.parent / "state/deliver.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = ichnode("purge", STUDY, "--yes", "--force")
    assert refused.code == Exit.LATER
    assert "The deliverer runs and may hold an object of it: nothing was deleted." in refused.err
    assert "systemctl stop ichnode-deliver" in refused.err
    assert ichnode("show", STUDY).code == Exit.OK


def test_held_results_alarm_with_a_way_out_and_are_released_by_a_person(ichnode, config, add_job):
    add_job(SERIES, "done")
    db = open_database_of(load_config(config))
    hold_study(db, STUDY, told="other", reason="pacs has another PatientID for the study than its images", now=1000.0)
    db.close()
    said = ichnode("status")
    assert said.code == Exit.NO
    assert f"results of study {STUDY}: pacs has another PatientID for the study than its images: look, then" in said.out
    assert "HELD: pacs has another PatientID" in ichnode("show", STUDY).out

    assert ichnode("release", STUDY).code == Exit.OK

    assert "HELD" not in ichnode("show", STUDY).out
    assert ichnode("release", STUDY).code == Exit.NO
    trail = "".join(path.read_text() for path in (config.parent / "state/audit").iterdir() if path.is_file())
    assert "Held results released by hand" in trail
