"""What the worker hands to its child of an earlier scan and of an onset, and what it keeps of the answer."""

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import select

from ichnode.domain.states import Decision
from ichnode.queue.intake import record
from ichnode.queue.jobs import JobKind, tell_onset
from ichnode.queue.series import decide, receiving, settle
from ichnode.queue.tables import JOBS, RESULTS
from tests.unit.queue.conftest import instance
from tests.unit.work import performers
from tests.unit.work.test_work_loop import db, jobs, work

__all__ = ["db"]  # a fixture

HOUR = 3600.0


def arrive(db, study: str, hours: float) -> None:
    one = instance(1, series=f"{study}.1", study=study)
    record(db, replace(one, facts=replace(one.facts, acquired_at=hours * HOUR, identified=True)), now=0)
    [row] = receiving(db)
    settle(db, row.id, missing=0, text="", now=1)
    decide(db, {row.id: (Decision.ANALYSE, "")}, now=2)


def ended(db) -> bool:
    return all(state == "done" for state, _, _ in jobs(db))


@pytest.fixture
def done(db, tmp_path):
    """Runs the worker until no job waits. The child writes what it was given into ``told``."""

    def run() -> list[str]:
        work(db, tmp_path, partial(performers.telling, tmp_path), lambda: ended(db))
        return (tmp_path / "told").read_text().splitlines()

    return run


def test_the_child_gets_the_earlier_result_with_absolute_paths_and_its_figures_are_kept(db, tmp_path, done):
    arrive(db, "1.1", 100)
    arrive(db, "1.2", 124)
    told = done()
    first = f"{tmp_path}/instances/1.1.1.1.dcm"
    assert told == ["0 None None False", f"{24 * HOUR:g} {first} None False"]
    with db.read() as connection:
        rows = connection.execute(select(RESULTS.c.acquired_at, RESULTS.c.volume_ml, RESULTS.c.compared)).all()
    assert [(at, ml) for at, ml, _ in rows] == [(100 * HOUR, 7.0), (124 * HOUR, 7.0)]
    assert rows[0].compared == ""
    assert len(rows[1].compared) == 64


def test_an_onset_told_by_a_person_reaches_the_child_with_the_order_to_make_the_report_alone(db, done):
    arrive(db, "1.1", 100)
    done()
    tell_onset(db, "1.1", 1.5, now=5)
    assert done()[-1] == "0 None 1.5 True"
    with db.read() as connection:
        kinds = connection.execute(select(JOBS.c.kind).order_by(JOBS.c.id)).scalars().all()
    assert kinds == [JobKind.ANALYSE, JobKind.REPORT]
