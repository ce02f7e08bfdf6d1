"""The order in which cases are shown, and the processes that make the showings ready before they are asked for.

Everything about showing number N follows from the recipe's seed and N alone: a run that was cut goes on as if it had
not been.
"""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ichnode.cohort.prepared import Entry, read_case, read_index
from ichnode.domain.errors import ConfigError
from ichnode.train.augment import show
from ichnode.train.recipe import Recipe

PREFETCH: Final = 4  # showings that a process keeps ready
UNKNOWN: Final = -1.0  # an outcome that nobody knows, where it travels as a number

Showing = tuple[Tensor, Tensor, float]  # network input and bleed, (1, D, H, W) float32 each; outcome 0, 1 or UNKNOWN


@dataclass(frozen=True, slots=True)
class Source:
    """One prepared case and the folder it lies in."""

    folder: Path
    entry: Entry


def sources(folders: Sequence[Path], split: str, preset: str) -> tuple[Source, ...]:
    """All cases of ``split`` in prepared ``folders``. Raises ConfigError for another preset or a name used twice."""
    found = tuple(Source(folder, entry) for folder in folders for entry in read_index(folder) if entry.split == split)
    other = [one for one in found if one.entry.preset != preset]
    if other:
        raise ConfigError(
            f"{other[0].folder} was prepared for {other[0].entry.preset}; the recipe trains on {preset}.",
            hint=f"Run `ichnode cohort prepare --preset {preset}` into another folder.",
        )
    names = [one.entry.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"Case {twice[0]} is in two of the cohorts.", hint="Give each case a name of its own.")
    return found


class Showings(Dataset[Showing]):
    """Showing number N of a whole training."""

    def __init__(self, cases: Sequence[Source], recipe: Recipe) -> None:
        self.cases = tuple(cases)
        self.recipe = recipe

    @property
    def an_epoch(self) -> int:
        """Showings in one epoch."""
        return len(self.cases) * self.recipe.augmentation.copies

    def __len__(self) -> int:
        return self.an_epoch * self.recipe.epochs

    def __getitem__(self, number: int) -> Showing:
        epoch, place = divmod(number, self.an_epoch)
        order = np.random.default_rng((self.recipe.seed, epoch)).permutation(self.an_epoch)
        case = self.cases[order[place] % len(self.cases)]
        rng = np.random.default_rng((self.recipe.seed, epoch, place))
        values, bleed, healed = show(read_case(case.folder, case.entry), self.recipe, rng)
        known = case.entry.expanded is not None and not healed
        return values, bleed, float(bool(case.entry.expanded)) if known else UNKNOWN


def stream(showings: Showings, start: int, workers: int, *, pin: bool) -> Iterator[Showing]:
    """Showings ``start`` and later, in order, made by ``workers`` processes ahead of their use (0: when asked for).

    Raises ConfigError for a case that cannot be read.
    """
    loader = DataLoader(
        _Answers(showings),
        batch_size=None,
        sampler=range(start, len(showings)),
        num_workers=workers,
        prefetch_factor=PREFETCH if workers else None,
        pin_memory=pin,
        worker_init_fn=_deaf,
    )
    for answer in loader:
        if isinstance(answer, ConfigError):
            raise answer
        yield answer


class _Answers(Dataset[Showing | ConfigError]):
    """Showings whose errors travel as values: raised in a worker, they would come back as the text of a traceback."""

    def __init__(self, showings: Showings) -> None:
        self.showings = showings

    def __getitem__(self, number: int) -> Showing | ConfigError:
        try:
            return self.showings[number]
        except ConfigError as error:
            return error


def _deaf(_worker: int) -> None:
    """Ctrl-C and a service manager's SIGTERM reach the workers too, but when they end is for the run to say."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
