"""A study is forgotten: its files for good, its rows after them, and what a kill in between leaves."""

import sqlite3
from dataclasses import replace

import pytest

from ichnode.domain.outputs import ObjectKind, OutputFile
from ichnode.domain.states import Decision, JobState
from ichnode.queue import jobs, outbox
from ichnode.queue import series as queue_series
from ichnode.queue.intake import quarantine
from ichnode.queue.purge import give_up, stored
from ichnode.queue.tables import METADATA
from ichnode.store import purge as room
from ichnode.store.files import write_durably
from ichnode.store.purge import look, purge
from ichnode.store.reconcile import reconcile

STUDY = "1.2"


@pytest.fixture
def study(store, db, keep):
    """A delivered study of two slices with a report, and a conflicting slice in quarantine."""

    def _study(now=0.0):
        for number in (1, 2):
            keep(f"1.2.3.{number}", now=now)
        other = keep("1.2.3.1", content=b"other bytes", record_it=False)
        write_durably(store.resolve("quarantine/aa/b.dcm"), b"other bytes")
        store.resolve(other.path).unlink()
        quarantine(db, replace(other, path="quarantine/aa/b.dcm"), reason="other content", now=now)
        (row,) = queue_series.receiving(db)
        queue_series.settle(db, row.id, missing=0, text="complete", now=now)
        queue_series.decide(db, {row.id: (Decision.ANALYSE, "why")}, now=now)
        lease = jobs.claim(db, owner="test", now=now, lease_s=60, max_attempts=3)
        output = OutputFile(
            kind=ObjectKind.SR,
            number=1,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
            sop_instance_uid="1.2.3.9",
            series_instance_uid="1.2.3.8",
            path=store.output_path("1.2.3.9"),
            sha256="ab",
        )
        write_durably(store.resolve(output.path), b"report")
        route = outbox.Route(destination="PACS", kinds=frozenset(ObjectKind), not_analysed=True)
        jobs.finish(db, lease, JobState.DONE, outputs=[output], routes=[route], reason="", now=now)
        for due in outbox.due(db, "PACS", now=now):
            outbox.sent(db, due.delivery_id, status=0, now=now)

    return _study


@pytest.fixture
def go(store, db):
    """Purges the study."""

    def _go(now=1.0):
        found = look(store, db, STUDY, lambda _path: "", now=now)
        return purge(store, db, found, lambda: stored(db, STUDY, (), now=now), text="by hand", now=now)

    return _go


def test_nothing_of_a_purged_study_is_left_but_one_line_that_says_so(store, db, study, go):
    study()

    gone = go()

    assert (len(gone.instances), len(gone.outputs), len(gone.quarantined)) == (2, 1, 1)
    assert files(store) == []
    assert rows(db) == {"audit": 1}
    with db.read() as connection:
        assert connection.exec_driver_sql("SELECT text, new FROM audit").one() == ("by hand", "purged")


def test_the_database_file_no_longer_holds_the_bytes_of_the_rows(study, go, tmp_path):
    study()
    assert any(b"1.2.3.9" in path.read_bytes() for path in tmp_path.glob("queue.sqlite*"))

    go()

    assert not any(b"1.2.3.9" in path.read_bytes() for path in tmp_path.glob("queue.sqlite*"))


def test_other_studies_stay_as_they_are(store, db, keep, study, go):
    study()
    other = keep("7.8.9", series="7.8")
    with db.write() as connection:
        connection.exec_driver_sql("UPDATE instances SET study_instance_uid = '7' WHERE sop_instance_uid = '7.8.9'")
        connection.exec_driver_sql("UPDATE series SET study_instance_uid = '7' WHERE series_instance_uid = '7.8'")

    go()

    assert files(store) == [other.path]
    assert rows(db) == {"instances": 1, "series": 1, "audit": 2}


@pytest.mark.parametrize("point", ["give_up", "delete_purged", "forget"])
def test_killed_at_any_point_a_second_run_ends_it_and_reconciliation_neither_adopts_nor_alarms(
    store, db, study, go, monkeypatch, point
):
    study()
    real = getattr(room, point)

    def die(*arguments, **keywords):
        if point == "delete_purged":  # after the first file
            real(*arguments[:2], arguments[2][:1])
        if point == "give_up":
            real(*arguments, **keywords)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room, point, die)
        with pytest.raises(KeyboardInterrupt):
            go()

    done = reconcile(store, db, lambda path: pytest.fail(f"{path} was adopted"), now=1e12)

    assert (done.adopted, done.quarantined, done.missing) == (0, 0, 0)
    go()
    assert files(store) == []
    assert set(rows(db)) == {"audit"}


def test_what_comes_while_it_is_deleted_is_deleted_too(store, db, keep, study, go, monkeypatch):
    study()
    real, came = room.forget, []

    def forget(*arguments, **keywords):
        if not came:
            came.append(keep("1.2.3.77", now=1))
        return real(*arguments, **keywords)

    monkeypatch.setattr(room, "forget", forget)

    go()

    assert files(store) == []
    assert rows(db) == {"audit": 1}


def test_the_same_study_sent_again_is_new(db, study, go):
    study()
    go()

    study(now=2.0)

    assert rows(db)["instances"] == 2
    with db.read() as connection:
        assert connection.exec_driver_sql("SELECT revision, first_at FROM series").one() == (1, 2.0)
    assert rows(db)["outputs"] == 1


def test_what_is_still_to_come_of_a_study_is_told(db, keep):
    keep("1.2.3.1")
    assert stored(db, STUDY, (), now=0).waiting == ("1 series still arriving",)
    (row,) = queue_series.receiving(db)
    queue_series.settle(db, row.id, missing=0, text="complete", now=0)
    queue_series.decide(db, {row.id: (Decision.ANALYSE, "why")}, now=0)
    assert stored(db, STUDY, (), now=0).waiting == ("1 jobs to be done",)
    jobs.claim(db, owner="test", now=0, lease_s=60, max_attempts=3)
    assert stored(db, STUDY, (), now=1).running == 1
    assert stored(db, STUDY, (), now=61).running == 0


def test_a_worker_whose_job_was_purged_has_lost_its_lease(db, keep, go):
    keep("1.2.3.1")
    (row,) = queue_series.receiving(db)
    queue_series.settle(db, row.id, missing=0, text="complete", now=0)
    queue_series.decide(db, {row.id: (Decision.ANALYSE, "why")}, now=0)
    lease = jobs.claim(db, owner="test", now=0, lease_s=60, max_attempts=3)
    go()
    with pytest.raises(jobs.LeaseLost):
        jobs.renew(db, lease, now=1, lease_s=60)


def test_a_later_scan_keeps_its_growth_when_the_scan_it_was_compared_with_is_purged(db, study, go):
    study()
    with db.write() as connection:
        for statement in (
            "INSERT INTO series (series_instance_uid, study_instance_uid, revision, patient_key, state, calling_ae,"
            " transfer, first_at, last_at, missing, settled_text, decision, decision_text)"
            " VALUES ('7.8', '7', 1, 'p', 'settled', 'A', 'none', 0, 0, 0, '', 'analyse', '')",
            "INSERT INTO jobs (series_id, kind, priority, state, reason, attempts, fence, not_before, created_at)"
            " VALUES (2, 'analyse', 10, 'done', '', 1, 1, 0, 0)",
            "INSERT INTO results (job_id, compared, volume_ml, baseline_job_id, growth_ml, facts)"
            " VALUES (2, '', 20.0, 1, 7.0, '{}')",
        ):
            connection.exec_driver_sql(statement)

    go()

    with db.read() as connection:
        kept = connection.exec_driver_sql("SELECT baseline_job_id, growth_ml FROM results").one()
    assert kept == (None, 7.0)


def test_an_interrupted_purge_still_lists_what_it_marked(db, study):
    study()
    found = stored(db, STUDY, (), now=1)

    give_up(db, found, now=1)

    assert stored(db, STUDY, (), now=2) == found


def files(store):
    return sorted(store.relative(path) for path in store.root.rglob("*.dcm"))


def rows(db):
    with db.read() as connection:
        counts = {
            table.name: connection.exec_driver_sql(f"SELECT count(*) FROM {table.name}").scalar()
            for table in METADATA.sorted_tables
        }
    assert not sqlite3.connect(db.readers.url.database).execute("PRAGMA foreign_key_check").fetchall()
    return {name: count for name, count in counts.items() if count}
