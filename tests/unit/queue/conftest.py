"""A real queue on SQLite in ``tmp_path``, and series to put into it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ichnode.domain.facts import InstanceFacts
from ichnode.domain.states import Decision
from ichnode.queue.database import Database, open_database
from ichnode.queue.intake import NewInstance, record
from ichnode.queue.series import decide, receiving, settle

MakeInstance = Callable[..., NewInstance]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An empty queue."""
    database = open_database(tmp_path / "queue.sqlite")
    yield database
    database.close()


def instance(
    number: int, *, series: str = "1.2.3", study: str = "1.2", sha: str = "", patient: str = "p"
) -> NewInstance:
    """Slice ``number`` of a series."""
    return NewInstance(
        sop_instance_uid=f"{series}.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        study_instance_uid=study,
        series_instance_uid=series,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        sha256=sha or f"{series}.{number}",
        size_bytes=10,
        path=f"instances/{series}.{number}.dcm",
        calling_ae="CT1",
        address="127.0.0.1",
        facts=InstanceFacts(modality="CT", positions=((0.0, 0.0, 5.0 * number),), patient_key=patient),
    )


@pytest.fixture
def make_instance() -> MakeInstance:
    """Makes one instance of a series."""
    return instance


@pytest.fixture
def add_job(db: Database) -> Callable[..., int]:
    """Takes a series of three slices all the way to its job. Returns the series' row id."""

    def add(series: str = "1.2.3", study: str = "1.2", decision: Decision = Decision.ANALYSE, now: float = 0) -> int:
        for number in range(3):
            record(db, instance(number, series=series, study=study), now=now)
        row = next(s for s in receiving(db) if s.series_instance_uid == series)
        assert settle(db, row.id, missing=0, text="complete", now=now)
        decide(db, {row.id: (decision, "because")}, now=now)
        return row.id

    return add
