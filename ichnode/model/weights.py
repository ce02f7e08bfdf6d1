"""A folder of weights: ``model.safetensors`` and the card that says what they are. Never a pickle."""

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import safetensors.torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError

from ichnode.domain.errors import ConfigError
from ichnode.domain.spread import Spread
from ichnode.domain.values import ModelIdentity
from ichnode.model.network import ExpansionNet

WEIGHTS_FILE: Final = "model.safetensors"
CARD_FILE: Final = "card.toml"


class Figure(BaseModel):
    """How one figure of the network's input spreads over the cases that the weights were trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    mean: float
    sd: float = Field(gt=0)
    lowest: float
    highest: float


class Card(BaseModel):
    """What a set of weights is, was made from and may be used for. Fields after MONAI's ``metadata.json``.

    ``changelog``: version to what changed. ``preset``: the geometry that the network was trained on. Components of
    the mask under ``min_component_ml`` are dropped. ``threshold`` and ``expansion_threshold``: operating points in
    (0, 1) of the two outputs. ``expansion``: what the second output is worth. ``eval_metrics``: figures, the data that
    they were measured on, and the command. ``sha256``: of model.safetensors, hex. ``inputs``: how named figures of the
    network's input spread over the training cases; none: what is unlike them cannot be told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    version: str = Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")
    changelog: dict[str, str]
    task: str
    data_source: str
    data_licence: str
    preset: Literal["fov224", "fov112"]
    min_component_ml: float = Field(ge=0)
    threshold: float = Field(gt=0, lt=1)
    expansion: Literal["untrained on patients", "trained"]
    expansion_threshold: float = Field(gt=0, lt=1)
    eval_metrics: dict[str, str | float]
    intended_use: str
    sha256: str
    inputs: dict[str, Figure] = Field(default_factory=dict)

    @property
    def identity(self) -> ModelIdentity:
        """The part of the card that goes into every result."""
        return ModelIdentity(name=self.name, version=self.version, sha256=self.sha256)

    @property
    def spreads(self) -> dict[str, Spread]:
        """``inputs``, as the quality gates take them."""
        return {name: Spread(**figure.model_dump()) for name, figure in self.inputs.items()}


def read_card(folder: Path) -> Card:
    """The card in ``folder``. Raises ConfigError that names the file and the key that is missing, unknown or wrong."""
    path = folder / CARD_FILE
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        return Card.model_validate(fields)
    except OSError as error:
        raise ConfigError(
            f"The weights' card {path} cannot be read: {error.strerror}.",
            hint="Point the configuration at a folder that holds card.toml and model.safetensors.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The weights' card {path} is not TOML: {error}.", hint="Restore the card.") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(
            f"The weights' card {path} is wrong: {faults}.", hint="Restore the card, or correct the named keys."
        ) from error


def check_weights(folder: Path) -> ModelIdentity:
    """Whose weights lie in ``folder``, when they are the very ones that the card describes. Raises ConfigError."""
    card = read_card(folder)
    _read_weights(folder, card)
    return card.identity


def load_network(folder: Path) -> ExpansionNet:
    """The network with the weights of ``folder``, on the CPU, in evaluation mode. Raises ConfigError."""
    data = _read_weights(folder, read_card(folder))
    network = ExpansionNet()
    try:
        network.load_state_dict(safetensors.torch.load(data))
    except (SafetensorError, RuntimeError) as error:
        raise ConfigError(
            f"{folder / WEIGHTS_FILE} does not hold this network: {str(error).splitlines()[0]}",
            hint="Use weights that were made for this version of ichnode.",
        ) from error
    return network.eval()


def save_weights(network: ExpansionNet, folder: Path, card: Card) -> Card:
    """Write ``network`` as fp32 and ``card`` with its sha256 to ``folder``; returns the card as written."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().cpu().float().contiguous() for name, tensor in network.state_dict().items()}
    data = safetensors.torch.save(tensors)
    _replace(folder / WEIGHTS_FILE, data)
    return save_card(folder, card.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()}))


def save_card(folder: Path, card: Card) -> Card:
    """Write ``card`` alone to ``folder``; returns it."""
    fields = card.model_dump()
    tables = {key: fields.pop(key) for key in ("changelog", "eval_metrics")}
    tables |= {f"inputs.{_key(name)}": figure for name, figure in fields.pop("inputs").items()}
    lines = _toml(fields)
    for key, table in tables.items():
        lines += ["", f"[{key}]", *_toml(table)]
    _replace(folder / CARD_FILE, ("\n".join(lines) + "\n").encode())
    return card


def _read_weights(folder: Path, card: Card) -> bytes:
    path = folder / WEIGHTS_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"The weights {path} cannot be read: {error.strerror}.", hint="Restore the folder of weights."
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != card.sha256:
        raise ConfigError(
            f"The weights {path} are not those of their card: sha256 is {found[:12]}…, the card says "
            f"{card.sha256[:12]}….",
            hint="The file is damaged or was exchanged: restore model.safetensors and card.toml together.",
        )
    return data


def _toml(table: Mapping[str, str | float]) -> list[str]:
    # A JSON string without raw non-ASCII escapes is a TOML basic string; keys are quoted for versions like "0.1.0".
    return [f"{_key(key)} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else json.dumps(key)


def _replace(path: Path, data: bytes) -> None:
    """Write so that a reader sees the old file or the new one, never a part."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(data)
    part.replace(path)
