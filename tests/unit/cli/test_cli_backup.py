"""backup: one file, whole, private, of one moment."""

import sqlite3
import stat
import threading
from contextlib import closing

from ichnode.app.wire import open_database_of
from ichnode.cli.context import Exit
from ichnode.config.file import load_config
from ichnode.queue.audit import Entity, note
from ichnode.queue.intake import remark

SERIES = "1.2.3"


def counted(path, table):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_backup_is_one_private_file_that_holds_every_row(ichnode, add_job, tmp_path):
    add_job(SERIES, "done")

    said = ichnode("backup", tmp_path / "q.sqlite")

    assert said.code == Exit.OK
    assert "bytes, checked" in said.out
    assert stat.S_IMODE((tmp_path / "q.sqlite").stat().st_mode) == 0o600
    assert (counted(tmp_path / "q.sqlite", "instances"), counted(tmp_path / "q.sqlite", "deliveries")) == (3, 1)
    assert {path.name for path in tmp_path.iterdir()} == {"q.sqlite", "config.toml", "state"}


def test_in_a_folder_its_name_tells_when(ichnode, add_job, tmp_path):
    add_job(SERIES)
    folder = tmp_path / "backups"
    folder.mkdir()
    told = ichnode("backup", folder, "--json").json
    (made,) = folder.iterdir()
    assert told == {"file": str(made), "bytes": made.stat().st_size}
    assert made.name.startswith("queue-2")


def test_a_backup_is_never_overwritten(ichnode, add_job, tmp_path):
    add_job(SERIES)
    (tmp_path / "q.sqlite").write_bytes(b"the last one")
    said = ichnode("backup", tmp_path / "q.sqlite")
    assert said.code == Exit.USAGE
    assert "never overwritten" in said.err
    assert (tmp_path / "q.sqlite").read_bytes() == b"the last one"


def test_without_a_queue_there_is_nothing_to_back_up(ichnode, tmp_path):
    assert ichnode("backup", tmp_path / "q.sqlite").code == Exit.NO
    assert not (tmp_path / "state").exists()


def test_a_damaged_queue_is_told_and_leaves_no_backup(ichnode, add_job, config, tmp_path):
    add_job(SERIES, "done")
    db = open_database_of(load_config(config))
    with db.writers.connect() as connection:
        raw = connection.connection.driver_connection
        raw.execute("PRAGMA foreign_keys=OFF")
        raw.execute("DELETE FROM jobs")
    db.close()

    said = ichnode("backup", tmp_path / "q.sqlite")

    assert said.code == Exit.LATER
    assert "The queue is damaged: 1 faults, the first: a row of outputs points nowhere" in said.err
    assert not list(tmp_path.glob("q.sqlite*"))


def test_a_backup_taken_while_rows_are_written_is_sound_and_of_one_moment(ichnode, add_job, config, tmp_path):
    add_job(SERIES)
    db, stop, written = open_database_of(load_config(config)), threading.Event(), []

    def write():
        while not stop.is_set():
            with db.write() as connection:  # two rows or none
                for text in ("one", "other"):
                    note(connection, Entity.NODE, 0, now=0, text=text)
            written.append(None)

    remark(db, "before", now=0)
    writer = threading.Thread(target=write)
    writer.start()
    said = ichnode("backup", tmp_path / "q.sqlite")
    stop.set()
    writer.join()
    db.close()

    assert said.code == Exit.OK
    with closing(sqlite3.connect(tmp_path / "q.sqlite")) as copy:
        texts = [row[0] for row in copy.execute("SELECT text FROM audit WHERE entity = 'node'")]
    assert texts[0] == "before"
    assert texts.count("one") == texts.count("other") <= len(written)


def test_a_folder_that_is_not_there_is_told_before_anything_is_made(ichnode, add_job, tmp_path):
    add_job(SERIES)
    said = ichnode("backup", tmp_path / "nowhere" / "q.sqlite")
    assert said.code == Exit.USAGE
    assert f"There is no folder {tmp_path / 'nowhere'}." in said.err


def test_no_backup_lies_among_the_nodes_own_files(ichnode, add_job, tmp_path):
    add_job(SERIES)
    said = ichnode("backup", tmp_path / "state" / "instances")
    assert said.code == Exit.USAGE
    assert "the node's own state folder" in said.err
