"""The training loop: one showing a step, a checkpoint every few, a validation and a row of the curve an epoch."""

import ctypes
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import torch

from ichnode.model.network import ExpansionNet
from ichnode.train.checkpoint import Progress, load_checkpoint, save_checkpoint
from ichnode.train.recipe import Recipe, learning_rate
from ichnode.train.samples import Showings, Source, stream
from ichnode.train.step import Trainee
from ichnode.train.validate import validate, validate_outcomes

M_TRIM_THRESHOLD: Final = -1  # glibc's mallopt(3)
M_MMAP_MAX: Final = -4
INT_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """On what a run is made. ``compiled``: through torch.compile. ``workers``: processes that make showings."""

    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 0
    compiled: bool = False
    workers: int = 1
    checkpoint_steps: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """The cases that are learnt from and those that the weights are chosen by."""

    train: Sequence[Source]
    val: Sequence[Source]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is told after every step. ``waited``: share of the time so far that the device waited for showings."""

    done: int
    steps: int
    epoch: int
    loss: float
    waited: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who hears of a run: ``begun`` before the first step of a session, ``tell`` after every step, ``epoch`` with the
    rows of the curve so far, ``best`` with the network whenever a validation is the best so far. ``stop`` is asked
    after every step."""

    begun: Callable[[Progress], None] = lambda _progress: None
    tell: Callable[[Step], None] = lambda _step: None
    epoch: Callable[[Sequence[dict[str, float]]], None] = lambda _rows: None
    best: Callable[[ExpansionNet, Progress], None] = lambda _network, _progress: None
    stop: Callable[[], bool] = lambda: False


def fit(
    network: ExpansionNet,
    cases: Cases,
    recipe: Recipe,
    machine: Machine,
    folder: Path,
    *,
    start: str = "",
    watch: Watch = Watch(),
) -> tuple[Progress, bool]:
    """Trains ``network`` and returns how far it came and whether it came to the end.

    ``folder`` keeps the checkpoint; where one lies there already, the run goes on from it, on the CPU bit for bit as if
    it had never been cut. ``start`` says what the network began as.

    Raises Diverged when the loss is not finite, ConfigError for a checkpoint that is damaged or of another run.
    """
    _keep_memory(machine)
    trainee = Trainee(network.train(), recipe, torch.device(machine.device), compiled=machine.compiled)
    run = _parts_of(recipe, cases, machine, start)
    progress = load_checkpoint(folder, network, trainee.optimizer, run)
    if progress is None:  # from now on what lies in the folder is this run's
        progress = Progress(run=run)
        save_checkpoint(folder, network, trainee.optimizer, progress)
    watch.begun(progress)
    showings = Showings(cases.train, recipe)
    clock = _Clock(progress)
    for showing in stream(showings, progress.step, machine.workers, pin=trainee.device.type == "cuda"):
        clock.ready()
        epoch = progress.step // showings.an_epoch
        rate = learning_rate(recipe.schedule, epoch=epoch, step=progress.step, steps=len(showings))
        losses = trainee.learn(showing, rate)
        progress.step += 1
        progress.add(losses)
        clock.done()
        told = Step(
            done=progress.step,
            steps=len(showings),
            epoch=epoch,
            loss=sum(losses.values()),
            waited=progress.waited_s / progress.seconds,
        )
        watch.tell(told)
        ended = progress.step % showings.an_epoch == 0
        if ended:
            _end_epoch(trainee, cases, progress, epoch=epoch + 1, rate=rate, watch=watch)
        stopped = watch.stop()
        if ended or stopped or progress.step % machine.checkpoint_steps == 0:
            save_checkpoint(folder, network, trainee.optimizer, progress)
        if stopped:
            break
        clock.ask()
    return progress, progress.step == len(showings)


def _end_epoch(trainee: Trainee, cases: Cases, progress: Progress, *, epoch: int, rate: float, watch: Watch) -> None:
    """Validates, adds a row to the curve, and hands over the network when it is the best so far."""
    trainee.network.eval()
    head_alone = trainee.recipe.trains == "head"
    seen = validate_outcomes(trainee.expansion, cases.val) if head_alone else validate(trainee, cases.val)
    trainee.network.train()
    row = {"epoch": epoch, "step": progress.step, "learning_rate": rate, **progress.mean_losses(), **seen.row()}
    times = {"seconds": round(progress.seconds, 1), "waited_share": round(progress.waited_s / progress.seconds, 4)}
    progress.rows.append(row | times)
    if progress.best is None or seen.score > progress.best:
        progress.best, progress.best_epoch = seen.score, epoch
        watch.best(trainee.network, progress)
    watch.epoch(progress.rows)


class _Clock:
    """Keeps ``seconds`` and ``waited_s`` of a progress, which go on from what they were."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.last = time.monotonic()

    def ask(self) -> None:
        """A showing is asked for."""
        self._add()

    def ready(self) -> None:
        """It is there: all since it was asked for was waiting."""
        self.progress.waited_s += self._add()

    def done(self) -> None:
        """The step is made."""
        self._add()

    def _add(self) -> float:
        now = time.monotonic()
        passed, self.last = now - self.last, now
        self.progress.seconds += passed
        return passed


def _keep_memory(machine: Machine) -> None:
    """On the CPU: freed memory is kept for the next step, not handed back to the system page by page (2x as fast)."""
    if machine.threads:
        torch.set_num_threads(machine.threads)
    if machine.device != "cpu" or os.name != "posix":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc alone has it
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, INT_MAX)


def _parts_of(recipe: Recipe, cases: Cases, machine: Machine, start: str) -> dict[str, str]:
    """What must be the same for a run to go on as itself, the long parts by their digest."""
    entries = [one.entry for one in (*cases.train, *cases.val)]
    return {
        "recipe": _digest(recipe.model_dump_json()),
        "cases": _digest("\n".join(f"{one.split} {one.name} {one.source} {one.sha256}" for one in entries)),
        "start": start,
        "device": machine.device,
        "compiled": str(machine.compiled),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
