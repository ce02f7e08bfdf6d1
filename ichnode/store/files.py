"""Files that are whole or not there, whatever happens while they are written."""

import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

PART_SUFFIX: Final = ".part"  # a file that is being written; after a crash, one that never was acknowledged
FILE_MODE: Final = 0o600  # patients' images: for the user of the service alone

Buffer = bytes | bytearray | memoryview


def write_durably(path: Path, *chunks: Buffer) -> None:
    """Writes the chunks, one after the other, so that ``path`` holds all of them or what it held before.

    When this returns, the bytes and the folder entry are on the disk itself. An existing file is replaced.

    Raises OSError (disk full, no permission); then nothing of it is left.
    """
    make_folder(path.parent)
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}{PART_SUFFIX}")
    try:
        _write_and_sync(part, chunks)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def move_durably(old: Path, new: Path) -> None:
    """Renames a file within one file system; both folder entries are on the disk when this returns. Raises OSError."""
    make_folder(new.parent)
    old.replace(new)
    sync_folder(new.parent)
    sync_folder(old.parent)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, each entry synced: a file in a folder that a power cut forgot is lost too."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Waits until the entries of a folder are on the disk. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(*chunks: Buffer) -> str:
    """SHA-256 (hex) over the chunks, one after the other."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    """SHA-256 (hex) over a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_and_sync(path: Path, chunks: tuple[Buffer, ...]) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(handle, "wb", buffering=0) as file:
        for chunk in chunks:
            left = memoryview(chunk).cast("B")
            while left:
                left = left[file.write(left) :]
        os.fsync(file.fileno())
