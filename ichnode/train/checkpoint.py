"""All that a cut run needs to go on as if it had not been cut: tensors and JSON texts in a safetensors file."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ichnode.domain.errors import ConfigError
from ichnode.model.network import ExpansionNet

CHECKPOINT_FILE: Final = "checkpoint.safetensors"
_KEY: Final = "run"
_TENSORS: Final = "tensors"  # how many there are


@dataclass(kw_only=True)
class Progress:
    """Where a run stands. ``run``: what it is, each part by its name or digest; a run goes on only as itself.

    ``sums`` and ``counts``: of the losses by their term since the epoch began; ``rows``: the finished epochs of the
    curve; ``seconds`` at work and ``waited_s`` of them for showings, over all sessions.
    """

    run: dict[str, str]
    step: int = 0
    best: float | None = None
    best_epoch: int | None = None
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    waited_s: float = 0.0

    def add(self, losses: Mapping[str, float]) -> None:
        """Counts the losses of one step."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def mean_losses(self) -> dict[str, float]:
        """The mean of each loss over the steps that had it, since this was last asked."""
        means = {f"loss_{name}": total / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means


def save_checkpoint(folder: Path, network: ExpansionNet, optimizer: torch.optim.Adam, progress: Progress) -> None:
    """Writes the checkpoint durably, whole or not at all."""
    tensors = {f"network.{name}": tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    for number, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state.get(parameter, {}).items():
            tensors[f"adam.{number}.{name}"] = value.detach().cpu().contiguous()
    path = folder / CHECKPOINT_FILE
    part = path.with_name(f"{path.name}.part")  # one name: what a killed run left is written over
    save_file(tensors, part, metadata={_KEY: json.dumps(asdict(progress)), _TENSORS: str(len(tensors))})
    _sync(part)
    part.replace(path)
    _sync(folder)


def load_checkpoint(
    folder: Path, network: ExpansionNet, optimizer: torch.optim.Adam, run: dict[str, str]
) -> Progress | None:
    """Puts network and optimizer where the run of ``folder`` was cut; None where there is nothing to go on from.

    Raises ConfigError for the checkpoint of another run, saying in what it differs, and for a damaged one.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            texts = file.metadata() or {}
            progress = Progress(**json.loads(texts[_KEY]))
            then = progress.run
            other = [f"{name} ({then[name]} then, {now} now)" for name, now in run.items() if then[name] != now]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            whole = len(tensors) == int(texts[_TENSORS])
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _damaged(path, str(error)) from error
    if not whole:
        raise _damaged(path, "a tensor is missing")
    if other:
        raise ConfigError(
            f"The checkpoint {path} is that of another run, with another {', another '.join(other)}.",
            hint="Name another --out, or go on with the very options that it was begun with.",
        )
    network.load_state_dict(_under(tensors, "network."))
    for number, parameter in enumerate(_parameters(optimizer)):
        state = _under(tensors, f"adam.{number}.")
        if state:
            optimizer.state[parameter] = {
                name: value if name == "step" else torch.empty_like(parameter).copy_(value)  # its order in memory too
                for name, value in state.items()
            }
    return progress


def _damaged(path: Path, why: str) -> ConfigError:
    return ConfigError(f"The checkpoint {path} is damaged: {why}.", hint="Name another --out to begin anew.")


def _sync(path: Path) -> None:
    """Waits until a file, or the entries of a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _parameters(optimizer: torch.optim.Adam) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
