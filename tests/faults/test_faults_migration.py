"""An older queue is opened by this version: what is in it is kept, and what was begun with it is gone on with."""

import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine, insert, select

from ichnode.cli.context import Exit
from ichnode.queue import outbox
from ichnode.queue.database import open_database
from ichnode.queue.migration import migrate
from ichnode.queue.tables import DELIVERIES, OUTPUTS
from tests.faults.earlier import make_earlier
from tests.faults.ledger import integrity
from tests.peers.results import add_result
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import wait_until

OLDER = ("0001", "0002", "0003", "0004")


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The state folder of a node that was stopped: Study Instance UIDs of the study that was ``delivered``, of the one
    that was analysed but not sent, and of the one whose job is ``waiting``; an object that was refused for good."""

    state: Path
    delivered: str
    unsent: str
    waiting: str
    dead_study: str
    dead: str


@pytest.fixture(scope="module")
def begun(make_node, orthanc, tmp_path_factory):
    node, folder = make_node(), tmp_path_factory.mktemp("studies")
    node.configure([orthanc], forms=[{"commitment": "no"}])
    node.bleed(PHANTOM_BLEED)
    node.start()
    paths = {name: written(phantom(f"older {name}"), folder / name) for name in ("delivered", "unsent", "waiting")}
    study = {name: study_of(found[0]) for name, found in paths.items()}
    send(paths["delivered"], node.port)
    node.wait_for(study["delivered"])
    node.stop("deliver")
    send(paths["unsent"], node.port)
    wait_until(lambda: any(row["deliveries"] for row in node.history(study["unsent"])), "a result waits to be sent")
    node.stop()
    dead, dead_study = refuse_one(node)
    node.start("receive")
    send(paths["waiting"], node.port)
    wait_until(lambda: any(row["jobs"] for row in node.history(study["waiting"])), "a job waits")
    node.stop()
    node.db.close()
    node._db = None
    return Begun(state=node.state_dir, dead=dead, dead_study=dead_study, **study)


@pytest.mark.parametrize("revision", OLDER)
def test_work_that_an_older_version_began_is_ended_by_this_one(revision, begun, make_node, make_orthanc):
    node, pacs = make_node(), make_orthanc()
    pacs.start()
    shutil.copytree(begun.state, node.state_dir, symlinks=True)
    make_earlier(node.state_dir / "queue.sqlite", revision)
    node.configure([pacs], forms=[{"commitment": "no"}])
    refused = node.ichnode("status")
    assert (refused.returncode, "an earlier version's" in refused.stderr) == (Exit.USAGE, True)

    node.start()

    for study in (begun.unsent, begun.waiting):
        node.wait_for(study)
        assert pacs.uids(study) == node.made(study) != []
        (shown,) = node.json("show", study)
        assert (shown["instances"], [job["state"] for job in shown["jobs"]]) == (30, ["done"])
    (shown,) = node.json("show", begun.delivered)
    assert {delivery["state"] for delivery in shown["deliveries"]} == {"sent"}
    assert pacs.uids(begun.delivered) == []  # it went to its PACS before, and does not go again
    assert [a for a in node.json("status")["alarms"] if "dead" in a] == ["SEG of job 3 is dead at pacs-1: refused"]
    assert node.ichnode("resend", "--dead").returncode == Exit.OK
    wait_until(lambda: begun.dead in pacs.uids(begun.dead_study), "what was refused is sent at last")
    assert node.json("status")["alarms"] == []
    assert set(node.stop().values()) == {0}
    assert integrity(node) == "ok"


def refuse_one(node):
    """A study of which one object was refused for good, the others are still to go. Returns its UID and the study's."""
    uids = add_result(node, "dead", "pacs-1")
    (node.state_dir / "instances" / "dead.dcm").touch()
    with node.db.read() as connection:
        query = select(DELIVERIES.c.id).join(OUTPUTS).where(OUTPUTS.c.sop_instance_uid == uids[0])
        delivery = connection.execute(query).scalar_one()
    outbox.dead(node.db, delivery, reason="refused", now=time.time())
    with node.db.read() as connection:
        query = "SELECT study_instance_uid FROM series ORDER BY id DESC LIMIT 1"
        return uids[0], connection.exec_driver_sql(query).scalar_one()


@pytest.mark.parametrize("revision", OLDER)
def test_every_table_of_an_older_queue_keeps_its_row(revision, tmp_path):
    """Also those that no test fills by working: one row each, of made-up values."""
    path = tmp_path / "queue.sqlite"
    engine = create_engine(f"sqlite:///{path}")
    migrate(engine, revision)
    tables = MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            if table.name != "alembic_version":
                connection.execute(insert(table).values({c.name: _value(c) for c in table.columns}))
        names = [t.name for t in tables.sorted_tables if t.name != "alembic_version"]
        rows = {name: connection.exec_driver_sql(f"SELECT * FROM {name}") for name in names}
        before = {name: dict(found.mappings().one()) for name, found in rows.items()}
    engine.dispose()

    open_database(path).close()

    with sqlite3.connect(path) as after:
        after.row_factory = sqlite3.Row
        for name, row in before.items():
            kept = dict(after.execute(f"SELECT * FROM {name}").fetchone())
            assert {key: kept[key] for key in row if key in kept} == row
        assert after.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert after.execute("PRAGMA foreign_key_check").fetchall() == []


def _value(column):
    return 1 if column.type.python_type in (int, float, bool) else "x"
