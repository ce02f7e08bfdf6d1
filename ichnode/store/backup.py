"""A back-up file that is whole or not there."""

import os
import secrets
from pathlib import Path

from ichnode.domain.errors import ConfigError
from ichnode.queue.backup import copy
from ichnode.store.files import FILE_MODE, PART_SUFFIX, sync_folder


def back_up(queue: Path, target: Path) -> int:
    """Copies the queue to ``target``, for its owner alone. When this returns it is on the disk itself. Returns bytes.

    Raises ConfigError where there is such a file already: a back-up is never overwritten. Raises OSError, Retryable.
    """
    if target.exists():
        raise _taken(target)
    part = target.with_name(f"{target.name}.{secrets.token_hex(8)}{PART_SUFFIX}")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    try:
        copy(queue, part)
        _sync(part)
        os.link(part, target)  # unlike a rename, this fails where another was quicker
        size = target.stat().st_size
    except FileExistsError as error:
        raise _taken(target) from error
    finally:
        part.unlink(missing_ok=True)
    sync_folder(target.parent)
    return size


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _taken(target: Path) -> ConfigError:
    return ConfigError(f"There is already a {target}.", hint="A back-up is never overwritten: name another file.")
