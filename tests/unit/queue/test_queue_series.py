"""Instances, revisions, decisions; durability settings; migrations."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.exc import CompileError

from ichnode.domain.errors import ConfigError
from ichnode.domain.states import Decision, SeriesState, Transfer
from ichnode.queue.database import open_database
from ichnode.queue.intake import Recorded, foreign, kept, quarantine, record
from ichnode.queue.series import cut_open_transfers, decide, mark_transfer, receiving, series, settle, undecided
from ichnode.queue.tables import COMMITMENTS, DELIVERIES, JOBS, METADATA, PROMISES, QUARANTINE, SERIES


def test_the_same_bytes_again_make_no_second_row_and_other_bytes_none_at_all(db, make_instance):
    assert record(db, make_instance(1), now=0) == Recorded.NEW
    assert record(db, make_instance(1), now=1) == Recorded.DUPLICATE
    assert record(db, make_instance(1, sha="other"), now=2) == Recorded.CONFLICT
    (row,) = receiving(db)
    assert len(row.instances) == 1
    assert row.last_at == 0
    assert kept(db, "1.2.3.1").sha256 == "1.2.3.1"


def test_facts_survive_the_database(db, make_instance):
    record(db, make_instance(4), now=0)
    (row,) = receiving(db)
    assert row.instances[0].facts == make_instance(4).facts


def test_a_late_slice_makes_a_new_revision_that_supersedes_the_first_when_it_settles(db, add_job, make_instance):
    first = add_job()
    record(db, make_instance(7), now=100)
    (late,) = receiving(db)
    assert (late.revision, len(late.instances)) == (2, 4)
    assert len(series(db, first).instances) == 3

    assert settle(db, late.id, missing=0, text="complete", now=130)

    assert series(db, first).state == SeriesState.SUPERSEDED
    (study,) = undecided(db)
    assert [s.id for s in study.series] == [late.id]


def test_a_late_slice_of_an_association_that_is_still_open_makes_a_revision_that_a_crash_cuts(db, make_instance):
    record(db, make_instance(1), now=0)
    (row,) = receiving(db)
    mark_transfer(db, row.series_instance_uid, Transfer.OPEN)
    assert settle(db, row.id, missing=0, text="given up", now=900)

    record(db, make_instance(2), now=901)

    cut_open_transfers(db)
    (late,) = receiving(db)
    assert (late.revision, late.transfer) == (2, Transfer.CUT)


def test_a_slice_that_comes_while_the_sweep_thinks_keeps_the_series_open(db, make_instance):
    record(db, make_instance(1), now=0)
    (row,) = receiving(db)
    record(db, make_instance(2), now=31)
    assert not settle(db, row.id, missing=0, text="quiet", now=31, seen_at=row.last_at)
    assert receiving(db)


def test_a_study_tells_which_of_its_series_still_receive(db, make_instance):
    record(db, make_instance(1, series="1.2.3"), now=0)
    record(db, make_instance(1, series="1.2.4"), now=5)
    settle(db, receiving(db)[0].id, missing=0, text="", now=6)
    (study,) = undecided(db)
    assert (study.receiving, study.last_at, len(study.series)) == (("1.2.4",), 5, 1)


def test_a_decision_is_made_once(db, add_job):
    row = add_job()
    decide(db, {row: (Decision.SKIP, "again")}, now=9)
    assert (series(db, row).decision, series(db, row).decision_text) == (Decision.ANALYSE, "because")


def test_transfers_that_stood_open_at_a_crash_are_cut(db, make_instance):
    record(db, make_instance(1), now=0)
    mark_transfer(db, "1.2.3", Transfer.OPEN)
    assert cut_open_transfers(db) == 1
    assert receiving(db)[0].transfer == Transfer.CUT


def test_quarantine_is_an_alarm_and_idempotent(db, make_instance):
    for now in (1, 2):
        quarantine(db, make_instance(1), reason="other bytes", now=now)
    with db.read() as connection:
        assert connection.execute(select(QUARANTINE.c.reason)).scalars().all() == ["other bytes"]


@pytest.mark.parametrize(
    "words",
    [
        {"patient": "b"},  # the same study and series
        {"patient": "b", "series": "1.2.9"},  # the same study
        {"patient": "b", "study": "1.9"},  # the same series in another study
        {"study": "1.9"},
    ],
)
def test_an_instance_of_another_patient_or_study_is_not_joined_to_a_series(db, make_instance, words):
    record(db, make_instance(1, patient="a"), now=0)
    stranger = make_instance(2, **({"patient": "a"} | words))
    assert foreign(db, stranger)
    assert record(db, stranger, now=1) == Recorded.FOREIGN
    assert [len(row.instances) for row in receiving(db)] == [1]
    assert record(db, make_instance(3, patient="a"), now=2) == Recorded.NEW


def test_a_purged_instance_that_comes_again_is_kept_again(db, make_instance):
    record(db, make_instance(1), now=0)
    with db.write() as connection:
        connection.exec_driver_sql("UPDATE instances SET purged_at = 1")
    assert kept(db, "1.2.3.1").purged
    again = replace(make_instance(1), path="instances/new.dcm")
    assert record(db, again, now=2) == Recorded.DUPLICATE
    assert (kept(db, "1.2.3.1").path, kept(db, "1.2.3.1").purged) == ("instances/new.dcm", False)


def test_nothing_is_recorded_of_an_instance_whose_file_is_gone(db, make_instance):
    for write in (record, partial(quarantine, reason="other bytes")):
        with pytest.raises(FileNotFoundError):
            write(db, make_instance(1), now=0, is_there=lambda: False)
    with db.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM audit").scalar() == 0


def test_ten_threads_record_one_series_without_losing_a_slice(db, make_instance):
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda n: record(db, make_instance(n), now=n), range(200)))
    (row,) = receiving(db)
    assert {i.sop_instance_uid for i in row.instances} == {f"1.2.3.{n}" for n in range(200)}


def test_every_commit_is_synced_and_readers_do_not_block(db):
    with db.write() as connection:
        pragma = {k: connection.exec_driver_sql(f"PRAGMA {k}").scalar() for k in ("journal_mode", "synchronous")}
        with db.read() as reader:
            assert reader.execute(select(SERIES.c.id)).all() == []
    assert pragma == {"journal_mode": "wal", "synchronous": 2}


def test_an_error_in_a_transaction_leaves_nothing_behind(db, make_instance, monkeypatch):
    monkeypatch.setattr("ichnode.queue.intake.asdict", lambda _: {"nonsense": 1})
    with pytest.raises(CompileError):
        record(db, make_instance(1), now=0)
    assert receiving(db) == []  # the series row was written before the instance failed


def test_the_migrations_make_exactly_the_tables(db):
    """Columns, types, defaults, keys and indices: Alembic would have nothing left to migrate."""
    with db.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, METADATA) == []


def test_four_processes_may_open_a_new_queue_at_once(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: open_database(tmp_path / "new.sqlite"), range(4)))
    assert [receiving(database) for database in opened] == [[]] * 4
    for database in opened:
        database.close()


def test_a_queue_of_a_newer_version_is_refused_with_a_hint(db, tmp_path):
    with db.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="newer version of ichnode"):
        open_database(tmp_path / "queue.sqlite")


@pytest.mark.parametrize("table", [SERIES, JOBS, DELIVERIES, COMMITMENTS, PROMISES], ids=lambda table: table.name)
def test_the_number_of_a_row_that_is_gone_is_given_to_no_other(table, db):
    """A process may have it in its hands still: what it then writes must not meet another's row."""
    zeros = {c.name: 0 if c.type.python_type in (int, float) else "x" for c in table.columns if not c.primary_key}
    with closing(sqlite3.connect(db.readers.url.database, isolation_level=None)) as connection:

        def add():
            names = ", ".join(zeros)
            marks = ", ".join("?" * len(zeros))
            values = list(zeros.values())
            return connection.execute(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", values).lastrowid

        first = add()
        connection.execute(f"DELETE FROM {table.name}")
        assert add() == first + 1
