"""The database: one SQLite file, opened so that a committed row survives a power cut."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection, Engine, Insert, create_engine, event
from sqlalchemy.exc import OperationalError

from ichnode.queue.migration import WAIT_S, is_earlier, take_part

BUSY_TIMEOUT_MS: Final = 30_000

PRIMARY_CODE: Final = 0xFF  # of SQLite's extended result codes

PRAGMAS: Final = (
    # Readers (status, the deliverer) never wait for the receiver's commits, nor it for them.
    "PRAGMA journal_mode=WAL",
    # In WAL mode NORMAL may lose the last commits at a power cut; 0x0000 was answered for them, so every commit syncs.
    "PRAGMA synchronous=FULL",
    # Three processes write: wait for the other's short transaction instead of failing at once.
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
    # SQLite leaves foreign keys unchecked unless asked.
    "PRAGMA foreign_keys=ON",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Two engines on one file: what reads takes a snapshot, what writes takes the write lock at its first word.

    ``in_use``: as long as it is open, no other version migrates the tables.
    """

    readers: Engine
    writers: Engine
    in_use: IO[str]

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot: everything read within belongs together."""
        with self.readers.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: all of it, or on any error nothing."""
        try:
            with self.writers.begin() as connection:
                yield connection
        except OperationalError as error:
            # What SQLite opens while the file cannot be written may only read for as long as it is open, and so may all
            # that this process opens beside it, for they share its memory: everything is closed, and opened anew.
            if getattr(error.orig, "sqlite_errorcode", 0) & PRIMARY_CODE == sqlite3.SQLITE_READONLY:
                self._disconnect()
            raise

    def close(self) -> None:
        """Closes everything; whoever waits to migrate the tables may do so."""
        self._disconnect()
        self.in_use.close()

    def _disconnect(self) -> None:
        """Closes every connection that is not in use. Whoever needs one later opens a new one."""
        self.readers.dispose()
        self.writers.dispose()


def open_database(path: Path, *, wait_s: float = WAIT_S) -> Database:
    """Opens the database at ``path``, making or migrating it first. Safe to call from several processes at once.

    Raises Retryable where it must be migrated and others still use it after ``wait_s``, ConfigError for tables of a
    newer version.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # BEGIN IMMEDIATE: a deferred transaction that reads and then writes can fail with SQLITE_BUSY half-way, whatever
    # the time-out, because another writer came in between.
    writers = _engine(path, "BEGIN IMMEDIATE")
    try:
        in_use = take_part(path, writers, wait_s=wait_s)
    except BaseException:
        writers.dispose()
        raise
    return Database(readers=_engine(path, "BEGIN"), writers=writers, in_use=in_use)


def awaits_migration(path: Path) -> bool:
    """Whether the tables at ``path`` are an earlier version's: to open them would change them under it, if it runs."""
    if not path.exists():
        return False
    engine = _engine(path, "BEGIN")
    try:
        return is_earlier(engine)
    finally:
        engine.dispose()


def inserted_id(connection: Connection, statement: Insert) -> int:
    """Runs an INSERT of one row and returns the row's id."""
    key = connection.execute(statement).inserted_primary_key
    assert key is not None  # every table has an integer key
    return int(key[0])


def _engine(path: Path, begin: str) -> Engine:
    engine = create_engine(f"sqlite:///{path}", pool_size=10, max_overflow=30)

    @event.listens_for(engine, "connect")
    def _on_connect(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # the driver shall not open transactions of its own: _on_begin does
        for pragma in PRAGMAS:
            raw.execute(pragma)

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
