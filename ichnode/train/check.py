"""What is refused before hours are spent on it, and before anything is written."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

import torch

from ichnode.cohort.prepared import read_case
from ichnode.domain.errors import ConfigError
from ichnode.model.weights import CARD_FILE, WEIGHTS_FILE
from ichnode.train.checkpoint import CHECKPOINT_FILE, Progress
from ichnode.train.fit import Cases, Machine
from ichnode.train.samples import Source

RESULTS: Final = (WEIGHTS_FILE, CARD_FILE)


def check_machine(machine: Machine) -> None:
    """Raises ConfigError for a GPU or a compiler that is wanted and not there."""
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("torch finds no GPU.", hint="Install the NVIDIA driver and a CUDA build of torch.")
    if machine.compiled and shutil.which(os.environ.get("CXX", "g++")) is None:
        raise ConfigError("--compile finds no C++ compiler.", hint="Install g++, or leave --compile out.")


def check_places(out: Path, start: Path | None) -> None:
    """Raises ConfigError when weights that the run has not made would be written over."""
    if start is not None and start.resolve() == out.resolve():
        raise ConfigError(
            f"The weights in {out} would be written over those that the run starts from.", hint="Name another --out."
        )
    others = [name for name in RESULTS if (out / name).exists()]
    if others and not (out / CHECKPOINT_FILE).exists():
        raise ConfigError(
            f"{out} holds {others[0]} but no checkpoint: other weights would be written over.",
            hint="Name another --out.",
        )


def check_results(out: Path, progress: Progress) -> None:
    """Raises ConfigError when a run that goes on has lost the weights that it chose."""
    missing = [name for name in RESULTS if not (out / name).exists()]
    if progress.best_epoch is not None and missing:
        raise ConfigError(
            f"The run in {out} chose the weights of epoch {progress.best_epoch}, but {missing[0]} is not there.",
            hint="Put it back, or begin anew with another --out.",
        )


def check_cases(cases: Cases, *, head_alone: bool) -> None:
    """Raises ConfigError for cases that teach nothing or nothing can be chosen by, or that are of both splits."""
    if not cases.train or not cases.val:
        raise ConfigError(
            f"The cohorts have {len(cases.train)} cases to train on and {len(cases.val)} to choose by.",
            hint="Both splits, train and val, need cases: see the column `split` of cohort.csv.",
        )
    if head_alone and not all(
        any(one.entry.expanded is not None for one in split) for split in (cases.train, cases.val)
    ):
        raise ConfigError(
            "The recipe trains the expansion head, but no outcome is known in train or in val.", hint="Add outcomes."
        )
    patients = {one.entry.patient: one for one in cases.train}
    images = {_ct(one): one for one in cases.train}
    for one in cases.val:
        for what, learnt in (("patient", patients.get(one.entry.patient)), ("CT", images.get(_ct(one)))):
            if learnt is not None:
                raise ConfigError(
                    f"Case {one.entry.name} of val in {one.folder} has the {what} of case {learnt.entry.name} of train "
                    f"in {learnt.folder}: the weights would be chosen by what they learnt.",
                    hint="One patient belongs to one split, over all cohorts.",
                )


def _ct(one: Source) -> str:
    """Digest of the images as the network is shown them: the same in any cohort, whoever drew the mask."""
    return hashlib.sha256(read_case(one.folder, one.entry).hu.tobytes()).hexdigest()
