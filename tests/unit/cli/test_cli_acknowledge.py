"""acknowledge: what a person has seen to is no alarm any more, what comes later is, and no result is ever hidden."""

import pytest

from ichnode.app.wire import open_database_of
from ichnode.cli.context import Exit
from ichnode.config.file import load_config
from ichnode.domain.facts import InstanceFacts
from ichnode.queue.intake import NewInstance, quarantine, remark
from ichnode.receive.refusals import Refusals
from ichnode.store.layout import Store
from ichnode.store.reconcile import reconcile

NOW = 4102444800.0  # 2100: younger than any clock that runs this


@pytest.fixture
def db(config):
    db = open_database_of(load_config(config))
    yield db
    db.close()


@pytest.fixture
def refuse(db):
    """A stranger calls, as the receiver tells of it."""

    def call(who: str = "SPY at 10.9.9.9") -> None:
        Refusals(lambda text: remark(db, text, now=NOW, alarm=True)).note(who, "not on the list of allowed peers")

    return call


def put_into_quarantine(db, name):
    found = NewInstance(
        sop_instance_uid="1.2.3.4",
        sop_class_uid="",
        study_instance_uid="",
        series_instance_uid="",
        transfer_syntax_uid="",
        sha256=name,
        size_bytes=1,
        path=f"quarantine/{name}.dcm",
        calling_ae="CT1",
        address="",
        facts=InstanceFacts(),
    )
    quarantine(db, found, reason="it was begun in another study", now=NOW)


def test_refusals_that_were_seen_to_alarm_no_more_and_who_saw_them_is_told(ichnode, refuse):
    refuse()
    assert "seen to: ichnode acknowledge refusals\n" in ichnode("status").out
    assert ichnode("acknowledge").out == "refusals: 1 not acknowledged\n"

    said = ichnode("acknowledge", "refusals")

    assert (said.code, said.out.count("\n")) == (Exit.OK, 1)
    assert "refused SPY at 10.9.9.9: not on the list" in said.out
    after = ichnode("status")
    assert (after.code, "SPY" in after.out) == (Exit.OK, False)
    assert "acknowledged  " in after.out
    assert "refusals, 1 by " in after.out
    shown = ichnode("audit", "show").out
    assert "Alarms acknowledged by hand" in shown
    assert "1 alarms acknowledged: refusals" in shown


def test_what_comes_after_it_alarms_anew(ichnode, refuse):
    refuse()
    ichnode("acknowledge", "refusals")
    refuse("SPY2 at 10.9.9.9")

    alarms = ichnode("status", "--json").json["alarms"]

    assert len(alarms) == 1
    assert "SPY2" in alarms[0]


def test_another_kind_stays_an_alarm(ichnode, config, db, add_job, refuse):
    add_job("1.2.3")  # three images that are on no disk
    reconcile(Store(root=load_config(config).node.state_dir), db, lambda _path: None, now=NOW)
    remark(db, "the disk is low and nothing more may be deleted", now=NOW, alarm=True)
    refuse()
    assert "ichnode acknowledge refusals files node\n" in ichnode("status").out

    ichnode("acknowledge", "files")

    alarms = " ".join(ichnode("status", "--json").json["alarms"])
    assert ("not on the disk" in alarms, "SPY" in alarms, "the disk is low" in alarms) == (False, True, True)
    ichnode("acknowledge", "refusals", "node")
    assert ichnode("status").code == Exit.OK


def test_nothing_hides_a_failed_job_or_an_object_that_was_not_delivered(ichnode, add_job, refuse):
    add_job("1.2.3", "failed")
    add_job("1.3.4", "done", now=2000.0)  # for a destination that is there no more
    refuse()
    before = ichnode("status", "--json").json["alarms"]

    assert ichnode("acknowledge", "refusals", "files", "node", "quarantine").code == Exit.OK

    after = ichnode("status", "--json").json["alarms"]
    assert [text for text in before if "SPY" not in text] == after
    assert any("job 1 failed" in text for text in after)
    assert any("objects wait for pacs" in text for text in after)
    assert ichnode("acknowledge", "failed").code == Exit.USAGE


def test_quarantine_that_was_looked_at_stays_there_without_an_alarm(ichnode, db):
    put_into_quarantine(db, "a")
    assert ichnode("status").code == Exit.NO

    said = ichnode("acknowledge", "quarantine")

    assert "another study (quarantine/a.dcm)" in said.out
    assert ichnode("status").code == Exit.OK
    put_into_quarantine(db, "b")
    (alarm,) = ichnode("status", "--json").json["alarms"]
    assert "quarantine/b.dcm" in alarm


def test_where_nothing_is_open_nothing_is_acknowledged(ichnode):
    assert ichnode("acknowledge").code == Exit.NO
    said = ichnode("acknowledge", "refusals")
    assert said.code == Exit.NO
    assert "No alarm of refusals is open." in said.err
    assert "acknowledged" not in ichnode("status").out
