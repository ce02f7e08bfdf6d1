"""``ichnode evaluate``: weights on labelled cohorts, as a page and as JSON."""

import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ichnode import __version__
from ichnode.cli.context import ERR, OUT, Exit, check_writable, need_extra
from ichnode.domain.errors import ConfigError
from ichnode.model.runtime import Device

if TYPE_CHECKING:
    from ichnode.analyse import Network
    from ichnode.cohort.table import Cohort
    from ichnode.evaluate.cases import Excluded, Measured
    from ichnode.evaluate.result import CohortResult

FIT_SPLIT = "train"  # the volume model is fitted on it, whatever split is measured

Cohorts = Annotated[
    list[Path], typer.Option("--cohort", exists=True, file_okay=False, help="A cohort; name several one by one.")
]
Split = Annotated[str, typer.Option(help="The split to measure: train, val or test.")]
OnDevice = Annotated[Device, typer.Option(help="What runs the network.")]
Threads = Annotated[int, typer.Option(min=0, help="Threads of the network; 0: as many as fit.")]
Cache = Annotated[Path | None, typer.Option(help="Folder where answers are kept, so that a cut run goes on.")]


def evaluate(
    cohort: Cohorts,
    weights: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of the weights.")],
    out: Annotated[Path, typer.Option(help="Folder for evaluation.html and evaluation.json.")],
    split: Split = "val",
    device: OnDevice = "auto",
    threads: Threads = 0,
    cache: Cache = None,
    record: Annotated[bool, typer.Option("--record", help="Write the key figures into the weights' card.")] = False,
) -> None:
    """Measure weights on labelled cohorts: a page with figures and pictures, and the same as JSON.

    Every case goes the way of a study through the node. A run that was cut goes on where it stopped. Exit code 1 when
    a case could not be read or measured."""
    need_extra("matplotlib", "An evaluation")
    from ichnode.evaluate.page import contact_sheet, render  # torch and the rest: only when they are needed
    from ichnode.evaluate.result import Evaluation, as_json, eval_metrics, slug
    from ichnode.evaluate.sheet import write_sheet
    from ichnode.model.weights import save_card

    cohorts = read_cohorts(cohort, split)
    kept = cache or out / "cache"
    for folder in (out, kept):
        check_writable(folder)
    network = open_network(weights, device=device, threads=threads, cache=kept)
    results = tuple(_measured(one, split, network, kept) for one in cohorts)
    evaluation = Evaluation(
        card=network.card,
        at=datetime.now().astimezone(),
        version=__version__,
        runtime=network.runtime.name,
        command=shlex.join(["ichnode", *sys.argv[1:]]),
        cohorts=results,
    )
    (out / "evaluation.json").write_text(as_json(evaluation), encoding="utf-8")
    (out / "evaluation.html").write_text(render(evaluation), encoding="utf-8")
    for result in results:
        if groups := contact_sheet(result.measured):
            write_sheet(groups, out / f"cases-{slug(result.card.name)}.png", pixels=result.card.shareable)
    if record and (figures := eval_metrics(evaluation)):
        save_card(weights, network.card.model_copy(update={"eval_metrics": figures}))
    elif record:
        ERR.print("Nothing was measured: the card stays as it is.", style="bold red", markup=False)
    for result in results:
        _tell(result)
    if network.card.expansion != "trained" and any(result.expansion for result in results):
        words = "The network's expansion was not trained on patients: what its AUC says of patients is nothing."
        OUT.print(words, style="yellow", markup=False, soft_wrap=True)
    OUT.print(f"{out / 'evaluation.html'}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.NO if any(result.excluded or result.unfitted for result in results) else Exit.OK)


def read_cohorts(folders: Iterable[Path], split: str) -> list["Cohort"]:
    """The cohorts, each with a case in ``split``; equal names get the folder's. Raises ConfigError."""
    from ichnode.cohort.table import read_cohort
    from ichnode.evaluate.result import slug

    cohorts = [read_cohort(folder) for folder in folders]
    for cohort in cohorts:
        if not cohort.split(split):
            known = ", ".join(sorted({case.split for case in cohort.cases}))
            raise ConfigError(f"{cohort.folder} has no case in the split {split!r}.", hint=f"It has {known}.")
    names = Counter(cohort.card.name for cohort in cohorts)
    cohorts = [_renamed(cohort) if names[cohort.card.name] > 1 else cohort for cohort in cohorts]
    if len({slug(cohort.card.name) for cohort in cohorts}) < len(cohorts):
        told = ", ".join(cohort.card.name for cohort in cohorts)
        raise ConfigError(f"Two cohorts have the same name: {told}.", hint="Rename one, in its cohort.toml.")
    return cohorts


def open_network(weights: Path, *, device: Device, threads: int, cache: Path) -> "Network":
    """The network as the node opens it, ready to answer. Raises ConfigError."""
    from ichnode.analyse import Network
    from ichnode.model.runtime import open_runtime
    from ichnode.model.weights import read_card

    card = read_card(weights)
    runtime = open_runtime(weights, device=device, cache=cache / "runtime", threads=threads)
    runtime.warm_up()
    return Network(runtime=runtime, card=card)


def walked(cohort: "Cohort", split: str, network: "Network", kept: Path) -> "Iterator[Measured | Excluded]":
    """Every answer of a split, with a progress bar on standard error."""
    from ichnode.evaluate.walk import walk

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    what = f"{network.card.name} on {cohort.card.name}, {split}"
    with Progress(*columns, console=ERR) as progress:
        yield from progress.track(walk(cohort, split, network, kept), len(cohort.split(split)), description=what)


def _renamed(cohort: "Cohort") -> "Cohort":
    name = f"{cohort.card.name} ({cohort.folder.resolve().name})"
    return replace(cohort, card=cohort.card.model_copy(update={"name": name}))


def _measured(cohort: "Cohort", split: str, network: "Network", kept: Path) -> "CohortResult":
    from ichnode.evaluate.result import cohort_result
    from ichnode.evaluate.walk import baselines

    answers = list(walked(cohort, split, network, kept))
    train = list(baselines(cohort, FIT_SPLIT, kept))
    return cohort_result(cohort.card, split, answers, train, network.card.expansion_threshold)


def _tell(result: "CohortResult") -> None:
    """The key figures of a cohort on standard output, and every case that was left out."""
    OUT.print(f"{result.card.name}, {result.split}: n = {len(result.measured)}", style="bold", markup=False)
    if result.segmentation:
        dice, error = result.segmentation.dice, result.segmentation.abs_error_ml
        OUT.print(
            f"  Dice median {dice.median:.3f} [{dice.lower_quartile:.3f}, {dice.upper_quartile:.3f}], "
            f"volume error median {error.median:.2f} mL",
            markup=False,
        )
    if result.bleedless:
        found = result.bleedless.found_ml
        told = f"  without a bleed: found median {found.median:.2f} mL, highest {found.maximum:.2f} mL, n = {found.n}"
        OUT.print(told, markup=False)
    for predictor in result.expansion.predictors if result.expansion else ():
        if predictor.auc:
            OUT.print(f"  {predictor.label}: AUC {predictor.auc.value:.2f}, n = {predictor.n}", markup=False)
    tell_left_out(result.excluded)
    tell_left_out(result.unfitted, " of the volume model")


def tell_left_out(cases: "Iterable[Excluded]", of: str = "") -> None:
    """Every case that was left out, with its reason, on standard error."""
    for case in cases:
        ERR.print(f"  {case.name} left out{of}: {case.reason}", style="bold red", markup=False, soft_wrap=True)
