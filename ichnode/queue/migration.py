"""The tables brought to this version, while nobody else has them open."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from ichnode.domain.errors import ConfigError, Retryable
from ichnode.owned import open_owned

WAIT_S: Final = 30.0  # services that make way end within seconds; for a slower one systemd tries again
POLL_S: Final = 0.1


def take_part(path: Path, engine: Engine, *, wait_s: float) -> IO[str]:
    """Migrates the tables at ``path`` if they are an earlier version's, and returns an open file whose lock keeps
    others from doing so: whoever uses the queue keeps it open.

    Raises Retryable where tables that must be migrated are still in use after ``wait_s``, ConfigError for tables that
    are newer than this program.
    """
    with _lock_file(path, ".migrate.lock") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # one at a time, from here to the lock that is kept
        in_use = _lock_file(path, ".in-use.lock")
        try:
            if not is_current(engine):
                with _lock_file(path, ".awaited.lock") as awaited:
                    fcntl.flock(awaited, fcntl.LOCK_EX)  # services make way when they see it
                    _wait_until_unused(in_use, wait_s)
                migrate(engine)
            fcntl.flock(in_use, fcntl.LOCK_SH)
        except BaseException:
            in_use.close()
            raise
    return in_use


def is_awaited(path: Path) -> bool:
    """Whether a process of a later version waits for all others to close the queue at ``path``. Raises OSError."""
    with _lock_file(path, ".awaited.lock") as awaited:
        try:
            fcntl.flock(awaited, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def migrate(engine: Engine, revision: str = "head") -> None:
    """Brings the tables to ``revision``, the newest if none is named, in one transaction."""
    config = alembic_config()
    with engine.connect() as connection, _unchecked_keys(connection), connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        astray = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if astray:
            hint = "Restore the last sound back-up: docs/how-to/backup.md."
            raise ConfigError(f"The queue is damaged: {len(astray)} of its rows point nowhere.", hint=hint)


def is_current(engine: Engine) -> bool:
    """Whether the tables are this version's. Raises ConfigError for a newer one's."""
    revision = _revision(engine)
    newest, *earlier = [script.revision for script in _scripts().walk_revisions()]
    if revision is not None and revision not in (newest, *earlier):
        hint = "Install that version again, or restore the back-up of the queue made before the upgrade."
        raise ConfigError("The queue was written by a newer version of ichnode.", hint=hint)
    return revision == newest


def is_earlier(engine: Engine) -> bool:
    """Whether there are tables, and they are an earlier version's."""
    _newest, *earlier = [script.revision for script in _scripts().walk_revisions()]
    return _revision(engine) in earlier


def alembic_config() -> Config:
    """Where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def _lock_file(path: Path, suffix: str) -> IO[str]:
    return os.fdopen(open_owned(path.with_suffix(suffix), os.O_RDWR), "r+")


def _wait_until_unused(in_use: IO[Any], wait_s: float) -> None:
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() < until:
                time.sleep(POLL_S)
                continue
            hint = "Restart all services together: systemctl restart ichnode.target"
            text = "The queue is an earlier version's, and a service of that version still runs: it is not migrated."
            raise Retryable(text, hint=hint) from error
        return


@contextmanager
def _unchecked_keys(connection: Connection) -> Iterator[None]:
    """SQLite rebuilds a table by dropping it, which foreign keys that point at it would forbid; within a transaction
    the setting cannot be changed. Source: sqlite.org/lang_altertable.html, section 7."""
    raw: Any = connection.connection.driver_connection
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")


def _revision(engine: Engine) -> str | None:
    with engine.begin() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_config())
