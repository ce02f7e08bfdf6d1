"""``ichnode audit`` as an auditor meets it."""

import re

import pytest

from ichnode.app.trail import trail_folder, trail_of
from ichnode.app.wire import open_database_of
from ichnode.cli.context import Exit
from ichnode.config.file import load_config
from ichnode.trail import events
from ichnode.trail.message import Gravity


@pytest.fixture
def log(config):
    """The file of a trail with a start and a stop in it."""
    loaded = load_config(config)
    db = open_database_of(loaded)
    trail = trail_of(loaded, db, "receive")
    trail.write(events.started)
    trail.write(events.stopped, Gravity.SUCCESS)
    db.close()
    return trail_folder(loaded).current


@pytest.mark.usefixtures("log")
def test_a_whole_trail_is_called_whole(ichnode):
    said = ichnode("audit", "verify")
    assert said.code == Exit.OK
    assert re.match(r"2 records, whole; the head is 2:[0-9a-f]{64}\n", said.out)


def test_a_changed_trail_ends_with_exit_code_1_and_says_where(ichnode, log):
    log.write_text(log.read_text().replace("110120", "110121"))
    said = ichnode("audit", "verify")
    assert said.code == Exit.NO
    assert "trail.log, line 1: record 1 was changed" in said.out
    assert ichnode("audit", "verify", "--json").json["is_whole"] is False


def test_an_archived_copy_and_a_noted_head_can_be_verified(ichnode, log, tmp_path):
    head = ichnode("audit", "verify").out.split()[-1]
    archive = tmp_path / "archive"
    archive.mkdir()
    for path in log.parent.iterdir():
        if path.name != "trail.lock":
            (archive / path.name).write_bytes(path.read_bytes())

    assert ichnode("audit", "verify", archive, "--head", head).code == Exit.OK
    other = head[:-1] + ("0" if head[-1] != "0" else "1")
    assert ichnode("audit", "verify", archive, "--head", other).code == Exit.NO
    assert ichnode("audit", "verify", archive, "--head", "nonsense").code == Exit.USAGE


@pytest.mark.usefixtures("log")
def test_who_reads_the_trail_is_told_in_it(ichnode):
    first = ichnode("audit", "show")
    assert (first.code, len(first.out.splitlines())) == (Exit.OK, 2)
    assert "Application Activity, Application Start" in first.out

    second = ichnode("audit", "show", "--last", 1, "--json").json

    assert "Audit Log Used" in second[0]["message"]
    assert ichnode("audit", "verify").code == Exit.OK


@pytest.mark.usefixtures("log")
def test_a_whole_trail_of_which_less_was_asked_for_is_whole_and_that_is_said(ichnode):
    said = ichnode("audit", "verify", "--first", 2)
    assert said.code == Exit.OK
    assert "begins with record 1: what should have been archived before 2 is here too" in said.out
    assert "2 records, whole" in said.out
    assert ichnode("audit", "verify").out.count("\n") == 1


def test_who_called_is_shown_with_the_address(ichnode, config):
    loaded = load_config(config)
    db = open_database_of(loaded)
    trail_of(loaded, db, "receive").associated("CT1", "10.1.2.3", tls=True)
    trail_of(loaded, db, "receive").associated("CT1", "10.1.2.4")
    db.close()
    first, second = ichnode("audit", "show").out.splitlines()
    assert "CT1 at 10.1.2.3" in first
    assert "association accepted over TLS" in first
    assert "CT1 at 10.1.2.4" in second
    assert "TLS" not in second


def test_a_node_without_a_trail_says_so(ichnode):
    said = ichnode("audit", "verify")
    assert said.code == Exit.NO
    assert "There is no audit trail" in said.err


def test_who_asks_for_a_study_again_is_told_in_the_trail(ichnode, add_job):
    add_job("1.2.3", "done")

    assert ichnode("replay", "1.2", "--no-wait").code == Exit.OK
    assert ichnode("resend", "1.2").code in (Exit.OK, Exit.NO)

    shown = ichnode("audit", "show", "--study", "1.2").out
    assert "Analysis asked for by hand" in shown
    assert "@" in shown
