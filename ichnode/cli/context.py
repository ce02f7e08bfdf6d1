"""What every verb shares: the configuration file, the queue, and how answers are printed."""

import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from ichnode.app.wire import open_database_of
from ichnode.config.config import Config
from ichnode.config.file import SEARCH, load_config
from ichnode.domain.errors import ConfigError, IchnodeError
from ichnode.queue.database import Database, awaits_migration

OUT: Final = Console(highlight=False)
ERR: Final = Console(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


class Exit(IntEnum):
    """Exit codes of every verb."""

    OK = 0
    NO = 1
    USAGE = 2
    REJECTED = 3
    LATER = 4
    DEFECT = 70


EXIT_MEANING: Final[Mapping[Exit, str]] = {
    Exit.OK: "done",
    Exit.NO: "the answer is no (a check failed, nothing was found, not all was delivered)",
    Exit.USAGE: "the command line or the configuration is wrong",
    Exit.REJECTED: "these images can never be analysed",
    Exit.LATER: "it did not work now and may work later",
    Exit.DEFECT: "a defect of ichnode",
}


class NothingFound(IchnodeError):
    """What was asked for does not exist: the answer is no."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options before the verb."""

    config: Path | None

    def path(self) -> Path:
        """The configuration file: the one named, or the first that is found."""
        if self.config is not None:
            return self.config
        for candidate in SEARCH:
            if candidate.exists():
                return candidate
        searched = " nor ".join(str(candidate) for candidate in SEARCH)
        raise ConfigError(f"There is neither {searched}.", hint="Name one with --config or ICHNODE_CONFIG.")

    def has_one(self) -> bool:
        """Whether there is a configuration: one is named, or found."""
        return self.config is not None or any(candidate.exists() for candidate in SEARCH)

    def load(self) -> Config:
        """The configuration. Raises ConfigError."""
        return load_config(self.path())


def options(context: typer.Context) -> Options:
    """The options before the verb."""
    found = context.find_object(Options)
    assert found is not None
    return found


@contextmanager
def queue(config: Config) -> Iterator[Database]:
    """The queue, for as long as the verb needs it.

    Raises ConfigError for an earlier version's: the services migrate it, no verb does so under one that still runs.
    """
    if awaits_migration(config.node.state_dir / "queue.sqlite"):
        hint = (
            "Start the services of this version (`systemctl restart ichnode.target`, or `ichnode run`), then ask again."
        )
        raise ConfigError("The queue is an earlier version's, which may still be running.", hint=hint)
    db = open_database_of(config)
    try:
        yield db
    finally:
        db.close()


def need_extra(module: str, what: str) -> None:
    """Raises ConfigError where ``module``, one of the extra "train", is not installed; ``what`` begins the sentence."""
    if find_spec(module) is None:
        hint = "Install them, in the checkout: pip install --constraint deploy/constraints.txt '.[train]'"
        raise ConfigError(f"{what} needs packages that a node alone does not have ({module}).", hint=hint)


def check_writable(folder: Path) -> None:
    """Makes ``folder`` if it is not there. Raises ConfigError when nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        hint = "Name a folder in which you may write."
        raise ConfigError(f"Nothing can be written into {folder}: {error.strerror}.", hint=hint) from error


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, indent=2, default=str))


def ago(at: float | None) -> str:
    """How long ago, in words: "12 s ago", "3 h ago"."""
    if at is None:
        return "-"
    seconds = max(0.0, time.time() - at)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def clock(at: float | None) -> str:
    """Local date and time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at is not None else "-"
