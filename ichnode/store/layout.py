"""Where each file lies. Every name is a digest of ours: nothing that a peer sends becomes a path."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ichnode.domain.errors import IchnodeError
from ichnode.store.files import make_folder, sha256_of

INSTANCES: Final = "instances"
QUARANTINE: Final = "quarantine"
OUTPUTS: Final = "outputs"


class OutsideStore(IchnodeError):
    """A path led out of the store: a defect, or a database that was tampered with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """One folder on one file system. Paths that go into the database are relative to ``root``."""

    root: Path

    @property
    def instances(self) -> Path:
        """Received instances, as they came."""
        return self.root / INSTANCES

    @property
    def quarantine(self) -> Path:
        """Bytes that belong nowhere: conflicts, two patients in one study, what a crash left behind."""
        return self.root / QUARANTINE

    @property
    def outputs(self) -> Path:
        """Objects that the node made."""
        return self.root / OUTPUTS

    def make_folders(self) -> None:
        """Makes the three folders. Raises OSError."""
        for folder in (self.instances, self.quarantine, self.outputs):
            make_folder(folder)

    def instance_path(self, sop_instance_uid: str, sha256: str) -> str:
        """Where an instance goes, relative to ``root``. Other bytes of the same UID have another place, so that two
        senders at once cannot overwrite each other."""
        return _content_path(INSTANCES, sop_instance_uid, sha256)

    def quarantine_path(self, name: str, sha256: str) -> str:
        """Where bytes that belong nowhere go, relative to ``root``; ``name`` is a UID or the name of a file found."""
        return _content_path(QUARANTINE, name, sha256)

    def output_path(self, sop_instance_uid: str) -> str:
        """Where an object of ours goes, relative to ``root``."""
        return _content_path(OUTPUTS, sop_instance_uid, "")

    def resolve(self, relative: str) -> Path:
        """The file behind a path of the database. Raises OutsideStore for one that would lead out of the store."""
        root = Path(os.path.normpath(self.root))
        path = Path(os.path.normpath(root / relative))
        if not path.is_relative_to(root) or path == root:
            raise OutsideStore("A stored path leads out of the store.", hint="Check the database for damage.")
        return path

    def relative(self, path: Path) -> str:
        """The path as the database knows it."""
        return path.relative_to(self.root).as_posix()

    def free_bytes(self) -> int:
        """Bytes that the node may still write on the store's file system. Raises OSError."""
        return shutil.disk_usage(self.root).free


def _content_path(folder: str, name: str, sha256: str) -> str:
    digest = sha256_of(name.encode(), b"\0", sha256.encode())
    return f"{folder}/{digest[:2]}/{digest[2:]}.dcm"
