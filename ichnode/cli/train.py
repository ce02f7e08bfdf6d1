"""``ichnode train``. Room ``train`` needs the extra "train"."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ichnode.cli.context import ERR, OUT, AsJson, Exit, check_writable, need_extra, print_json
from ichnode.train.recipe import PUBLISHED, read_recipe, recipe_names

if TYPE_CHECKING:
    from ichnode.train.fit import Step
    from ichnode.train.run import Trained


def train(
    cohort: Annotated[
        list[Path],
        typer.Option(
            exists=True,
            file_okay=False,
            help="A prepared cohort, or the folder that `cohort prepare` wrote. Repeatable.",
        ),
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="Where weights, card, curve and checkpoint go.")],
    recipe: Annotated[str, typer.Option(help=f"A recipe: {', '.join(recipe_names())}, or a TOML file.")] = PUBLISHED,
    start: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="A folder of weights to go on from.")
    ] = None,
    name: Annotated[str, typer.Option(help="The weights' name; else the recipe's.")] = "",
    version: Annotated[str, typer.Option(help="The weights' version.")] = "0.1.0",
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="What the network is trained on.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="Threads on the CPU; 0: torch's choice.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make the showings ready.")] = 1,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the network first: a minute, then faster. Needs a C++ compiler.")
    ] = False,
    checkpoint_steps: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Train the network on prepared cohorts. A run that was cut goes on when the same command is given again.

    Ctrl-C and SIGTERM end it after the step in hand, with a checkpoint. Exit code 4: cut, to be gone on with."""
    need_extra("matplotlib", "A training")
    from ichnode.cohort.prepare import prepared_folders
    from ichnode.train.fit import Machine
    from ichnode.train.run import Wanted, train_weights

    chosen = read_recipe(recipe)
    wanted = Wanted(
        folders=prepared_folders(cohort, chosen.preset),
        recipe=chosen,
        machine=Machine(
            device=device, threads=threads, compiled=compiled, workers=workers, checkpoint_steps=checkpoint_steps
        ),
        out=out,
        start=start,
        name=name or chosen.name,
        version=version,
    )
    check_writable(out)
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _frame: asked.append(got))
    with _bar() as tell:
        result = train_weights(wanted, tell=tell, stop=lambda: bool(asked))
    _say(result, out, as_json)
    raise typer.Exit(Exit.OK if result.finished else Exit.LATER)


@contextmanager
def _bar() -> Iterator[Callable[["Step"], None]]:
    """A bar on standard error with the time left, the loss, and the share of the time spent waiting for showings."""
    parts = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*parts, console=ERR, transient=True) as bar:
        task = bar.add_task("first step", total=None)

        def tell(step: "Step") -> None:
            words = f"epoch {step.epoch + 1}  loss {step.loss:.3f}  waited {step.waited:.1%}"
            bar.update(task, completed=step.done, total=step.steps, description=words)

        yield tell


def _say(result: "Trained", out: Path, as_json: bool) -> None:
    waited = f"The device waited {result.waited:.1%} of the time for showings."
    if as_json:
        print_json(asdict(result))
    elif result.finished:
        chosen = f"weights of epoch {result.best_epoch}, which the validation gave {result.best:.3f}"
        OUT.print(f"Trained: {out}, {chosen}. {waited}", markup=False, soft_wrap=True)
    else:
        text = f"Stopped after step {result.step}; the same command goes on from there. {waited}"
        OUT.print(text, markup=False, soft_wrap=True)
