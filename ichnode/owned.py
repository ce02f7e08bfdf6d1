"""Files beside the queue and the trail: for nobody but the service's user, whoever makes them."""

import os
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600


def open_owned(path: Path, flags: int) -> int:
    """Opens a file, made if it is not there, for nobody but the owner of its folder. Raises OSError."""
    handle = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    give_to_owner(handle, path.parent)
    return handle


def give_to_owner(what: int | Path, folder: Path) -> None:
    """What root makes, by a verb called with sudo, is the service's: else that could not open it any more."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(what, owner.st_uid, owner.st_gid)
