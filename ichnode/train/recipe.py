"""A training recipe: every figure of it a field of one TOML file."""

import json
import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ichnode.domain.errors import ConfigError

PUBLISHED: Final = "zhong2021"
_BUILT_IN: Final = resources.files("ichnode.train") / "recipes"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Schedule(_Part):
    """Adam's learning rate over the epochs: constant, ``factor`` at each epoch of ``steps_at``, or along a cosine.

    ``warm_up_steps``: the rate rises linearly over as many. Adam's first steps are as long as its rate whatever the
    slope, and would undo the weights that a run starts from.
    """

    kind: Literal["steps", "cosine"] = "steps"
    learning_rate: float = Field(default=1e-4, gt=0, le=0.1)
    steps_at: tuple[int, ...] = (20, 30)
    factor: float = Field(default=0.1, gt=0, le=1)
    warm_up_steps: int = Field(default=0, ge=0)


class Loss(_Part):
    """Weights of the terms: ``dice`` × (1 - soft Dice) + ``expansion_bce`` × BCE of the outcome, where it is known.

    ``voxel_bce`` adds the cross-entropy of the voxels (mean), which gives heads without a bleed a slope. The Dice
    term is smoothed with ``smooth_voxels``; with ``smooth_empty_voxels`` where there is no bleed.
    """

    dice: float = Field(default=9.0, ge=0)
    expansion_bce: float = Field(default=1.0, ge=0)
    voxel_bce: float = Field(default=0.0, ge=0)
    smooth_voxels: float = Field(default=1.0, gt=0)
    smooth_empty_voxels: float = Field(default=1.0, gt=0)


class Augmentation(_Part):
    """How each showing of a case differs. Bounds of uniform draws; ``copies``: showings of a case in one epoch.

    ``scale`` and ``shift`` are shares (of 1, of the image's size), ``turn_deg`` about each axis, or about the
    patient's long axis alone when ``plane_only``, which also shifts by whole slices: 5 mm slices stay as sharp as the
    node sees them. ``mirror``: left and right exchanged half of the time. ``gain``, ``offset_hu``, ``noise_hu``,
    ``blur_pixels``: of the densities. ``heal``: share of the showings whose bleed is painted over from the other
    hemisphere, so that the network sees real heads without one.
    """

    copies: int = Field(default=10, ge=1)
    scale: float = Field(default=0.1, ge=0, lt=0.5)
    shift: float = Field(default=0.1, ge=0, lt=0.5)
    turn_deg: float = Field(default=5.0, ge=0, le=45)
    plane_only: bool = False
    mirror: bool = False
    gain: float = Field(default=0.0, ge=0, lt=0.5)
    offset_hu: float = Field(default=0.0, ge=0)
    noise_hu: float = Field(default=0.0, ge=0)
    blur_pixels: float = Field(default=0.0, ge=0)
    heal: float = Field(default=0.0, ge=0, le=1)

    @property
    def recurs(self) -> bool:
        """Whether a case has no more than two showings, itself and its mirror image."""
        return not any(self.model_dump(exclude={"copies", "plane_only", "mirror"}).values())


class Recipe(_Part):
    """How a network is trained. The defaults are the published recipe.

    ``trains``: all, or the expansion head alone over a trunk that stays as it is. Batches are of one volume, as
    published. Source: Zhong et al., SVN 2021;6(4):610, supplement.
    """

    name: str = Field(default=PUBLISHED, pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    why: str = ""
    preset: Literal["fov224", "fov112"] = "fov224"
    epochs: int = Field(default=40, ge=1)
    seed: int = Field(default=1, ge=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    trains: Literal["all", "head"] = "all"
    first_bias: float = 0.0
    schedule: Schedule = Schedule()
    loss: Loss = Loss()
    augmentation: Augmentation = Augmentation()


def recipe_names() -> tuple[str, ...]:
    """The recipes that ichnode brings along."""
    return tuple(sorted(Path(item.name).stem for item in _BUILT_IN.iterdir() if item.name.endswith(".toml")))


def read_recipe(name_or_path: str) -> Recipe:
    """A built-in recipe by its name, or one from a TOML file.

    Raises ConfigError that names the field, and for a file that calls itself as a built-in recipe which it is not.
    """
    built_in = name_or_path in recipe_names()
    path = _BUILT_IN / f"{name_or_path}.toml" if built_in else Path(name_or_path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        recipe = Recipe.model_validate_json(json.dumps(values, default=str))  # as JSON an array may be a tuple
    except OSError as error:
        raise ConfigError(
            f"There is no recipe {name_or_path}: {error.strerror}.",
            hint=f"Name one of {', '.join(recipe_names())}, or a TOML file.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The recipe {path} is not TOML: {error}.", hint="Correct the line.") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"The recipe {path} is wrong: {faults}.", hint="Correct the named fields.") from error
    if not built_in and recipe.name in recipe_names() and recipe != read_recipe(recipe.name):
        what = f"The recipe {path} bears the name {recipe.name}, and is not what ichnode calls by it."
        raise ConfigError(what, hint='Give it a name of its own: name = "mine".')
    return recipe


def learning_rate(schedule: Schedule, *, epoch: int, step: int, steps: int) -> float:
    """The rate at ``epoch`` and ``step`` of all ``steps``, both counted from 0."""
    if schedule.kind == "cosine":
        rate = schedule.learning_rate * (0.01 + 0.99 * math.cos(math.pi / 2 * step / steps) ** 2)
    else:
        rate = schedule.learning_rate * schedule.factor ** sum(epoch >= at for at in schedule.steps_at)
    return rate * min((step + 1) / (schedule.warm_up_steps + 1), 1.0)
