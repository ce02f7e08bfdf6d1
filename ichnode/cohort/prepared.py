"""Network inputs kept on disk, compact enough to be carried: one file a case and an index."""

import hashlib
import io
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ichnode.domain.errors import ConfigError

INDEX_FILE: Final = "index.json"
CODES_A_HU: Final = 2  # half a unit is below the noise; 0-100 HU then fit a byte
PREPARE_AGAIN: Final = "Run `ichnode cohort prepare` again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the index says of one case.

    ``volume_ml``: of the bleed, on the native grid. ``expanded``: the outcome, None where it is not known. ``onset_h``:
    onset to CT, None where unknown. ``fallback``: the whole head was used, since its brain could not be found.
    ``source``: digest of all that the file was made from; ``sha256``: of its bytes, hex.
    """

    name: str
    patient: str
    split: str
    preset: str
    volume_ml: float
    expanded: bool | None
    onset_h: float | None
    fallback: bool
    source: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """One case on the network's grid, all (32, 256, 256): ``hu`` float32 in 0-100, ``brain`` and ``bleed`` bool."""

    hu: NDArray[np.float32]
    brain: NDArray[np.bool_]
    bleed: NDArray[np.bool_]


def write_case(folder: Path, name: str, case: Prepared) -> str:
    """Writes ``name``.npz whole or not at all; returns the digest of its bytes. HU are rounded to half a unit."""
    code = np.where(case.brain, 1 + np.round(case.hu * CODES_A_HU), 0).astype(np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, code=code, bleed=np.packbits(case.bleed), shape=np.array(case.bleed.shape))
    part = folder / f"{name}.npz.{os.getpid()}.part"
    part.write_bytes(file.getvalue())
    part.replace(folder / f"{name}.npz")
    return hashlib.sha256(file.getvalue()).hexdigest()


def read_case(folder: Path, entry: Entry) -> Prepared:
    """The case as it was written. Raises ConfigError for a file that is missing, damaged or another than that."""
    with np.load(io.BytesIO(_bytes_of(folder, entry)), allow_pickle=False) as arrays:
        code, bits, shape = arrays["code"], arrays["bleed"], tuple(arrays["shape"])
    brain = code > 0
    hu = np.where(brain, (code.astype(np.float32) - 1) / CODES_A_HU, 0).astype(np.float32)
    bleed = np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(np.bool_)
    return Prepared(hu=hu, brain=brain, bleed=bleed)


def is_whole(folder: Path, entry: Entry) -> bool:
    """Whether the file of ``entry`` is there as it was written."""
    try:
        _bytes_of(folder, entry)
    except ConfigError:
        return False
    return True


def _bytes_of(folder: Path, entry: Entry) -> bytes:
    path = folder / f"{entry.name}.npz"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The prepared case {path} cannot be read: {error.strerror}.", hint=PREPARE_AGAIN) from error
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ConfigError(f"The prepared case {path} cannot be read: damaged or changed.", hint=PREPARE_AGAIN)
    return data


def write_index(folder: Path, entries: Iterable[Entry]) -> None:
    """Writes the index, sorted by name, whole or not at all."""
    rows = [asdict(entry) for entry in sorted(entries, key=lambda entry: entry.name)]
    part = folder / f"{INDEX_FILE}.{os.getpid()}.part"
    part.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / INDEX_FILE)


def read_index(folder: Path) -> tuple[Entry, ...]:
    """What has been prepared in ``folder``, sorted by name. Raises ConfigError."""
    path = folder / INDEX_FILE
    try:
        return tuple(Entry(**row) for row in json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        hint = "Name a folder that `ichnode cohort prepare` wrote."
        raise ConfigError(f"There is no prepared cohort in {folder}: {error.strerror}.", hint=hint) from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path} is not an index of prepared cases: {error}.", hint=PREPARE_AGAIN) from error
