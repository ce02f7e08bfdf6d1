"""One training from cohorts to a folder of weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from ichnode.cohort.table import CARD_FILE
from ichnode.cohort.table import Card as CohortCard
from ichnode.cohort.table import read_card as read_cohort_card
from ichnode.model.network import ExpansionNet
from ichnode.model.weights import load_network, read_card, save_weights
from ichnode.train.check import check_cases, check_machine, check_places, check_results
from ichnode.train.checkpoint import Progress
from ichnode.train.curves import write_curve
from ichnode.train.fit import Cases, Machine, Step, Watch, fit
from ichnode.train.recipe import Recipe
from ichnode.train.samples import sources
from ichnode.train.weights_card import card_of

RECIPE_FILE: Final = "recipe.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to train: prepared ``folders``, ``out`` for the results, ``start`` for weights to go on from."""

    folders: Sequence[Path]
    recipe: Recipe
    machine: Machine
    out: Path
    start: Path | None
    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """How far a training came. ``best``: the score of the weights that were kept, None before the first epoch's end.

    ``waited``: share of ``seconds`` that the device waited for showings.
    """

    finished: bool
    step: int
    best: float | None
    best_epoch: int | None
    seconds: float
    waited: float


def train_weights(
    wanted: Wanted, *, tell: Callable[[Step], None] = lambda _: None, stop: Callable[[], bool] = lambda: False
) -> Trained:
    """Trains, keeping the best weights by validation, the card, the recipe and the curve in ``wanted.out``.

    Raises ConfigError for cases, a machine or an ``out`` that cannot be trained with, Diverged.
    """
    cases = Cases(
        train=sources(wanted.folders, "train", wanted.recipe.preset),
        val=sources(wanted.folders, "val", wanted.recipe.preset),
    )
    check_machine(wanted.machine)
    check_places(wanted.out, wanted.start)
    check_cases(cases, head_alone=wanted.recipe.trains == "head")
    cohorts = [read_cohort_card(folder / CARD_FILE) for folder in wanted.folders]
    before = read_card(wanted.start) if wanted.start is not None else None
    card = card_of(wanted.name, wanted.version, wanted.recipe, cohorts, before)
    network = _first(wanted)
    wanted.out.mkdir(parents=True, exist_ok=True)

    def keep(best: ExpansionNet, progress: Progress) -> None:
        learnt = {wanted.version: _in_words(wanted, cases, cohorts, progress)}
        save_weights(best, wanted.out, card.model_copy(update={"changelog": learnt}))
        (wanted.out / RECIPE_FILE).write_text(wanted.recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")

    progress, finished = fit(
        network,
        cases,
        wanted.recipe,
        wanted.machine,
        wanted.out,
        start=before.sha256[:16] if before is not None else "random",
        watch=Watch(
            begun=lambda progress: check_results(wanted.out, progress),
            tell=tell,
            epoch=lambda rows: write_curve(wanted.out, rows),
            best=keep,
            stop=stop,
        ),
    )
    return Trained(
        finished=finished,
        step=progress.step,
        best=progress.best,
        best_epoch=progress.best_epoch,
        seconds=progress.seconds,
        waited=progress.waited_s / max(progress.seconds, 1e-9),
    )


def _first(wanted: Wanted) -> ExpansionNet:
    """The network to begin with: other weights, or random ones from the recipe's seed."""
    if wanted.start is not None:
        return load_network(wanted.start)
    torch.manual_seed(wanted.recipe.seed)
    network = ExpansionNet()
    assert network.out.bias is not None
    torch.nn.init.constant_(network.out.bias, wanted.recipe.first_bias)
    return network


def _in_words(wanted: Wanted, cases: Cases, cohorts: Sequence[CohortCard], progress: Progress) -> str:
    outcomes = sum(one.entry.expanded is not None for one in cases.train)
    began = "random weights" if wanted.start is None else f"{wanted.start.name}"
    return (
        f"Recipe {wanted.recipe.name} from {began}: {len(cases.train)} training cases ({outcomes} with an outcome) of "
        f"{', '.join(one.name for one in cohorts)}; {progress.step} steps, chosen after epoch {progress.best_epoch} on "
        f"{len(cases.val)} validation cases."
    )
