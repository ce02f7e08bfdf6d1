"""The published recipe is the paper's; a wrong one is told by its field; the learning rate goes as it says."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import BaseModel

from ichnode.domain.errors import ConfigError
from ichnode.train.recipe import PUBLISHED, Recipe, Schedule, learning_rate, read_recipe, recipe_names

CHECKOUT = Path(__file__).parents[3]
BUILT_IN = CHECKOUT / "ichnode/train/recipes"
GUIDE = (CHECKOUT / "docs/how-to/train.md").read_text(encoding="utf-8")


def test_the_published_recipe_has_the_figures_of_the_paper():
    """Zhong et al., Stroke and Vascular Neurology 2021;6(4):610-614, supplement."""
    recipe = read_recipe(PUBLISHED)

    assert (recipe.epochs, recipe.precision, recipe.trains, recipe.first_bias) == (40, "fp32", "all", 0.0)
    schedule, loss, moved = recipe.schedule, recipe.loss, recipe.augmentation
    assert (schedule.kind, schedule.learning_rate, schedule.steps_at, schedule.factor) == ("steps", 1e-4, (20, 30), 0.1)
    assert schedule.warm_up_steps == 0
    assert (loss.dice, loss.expansion_bce, loss.voxel_bce) == (9, 1, 0)
    assert (moved.copies, moved.scale, moved.shift, moved.turn_deg) == (10, 0.1, 0.1, 5)
    assert not any((moved.plane_only, moved.mirror, moved.gain, moved.offset_hu, moved.noise_hu, moved.heal))
    assert moved.blur_pixels == 0


def test_the_defaults_of_a_recipe_are_the_published_one():
    assert read_recipe(PUBLISHED).model_copy(update={"why": ""}) == Recipe()


@pytest.mark.parametrize("name", recipe_names())
def test_a_built_in_recipe_bears_its_own_name_and_says_why(name):
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.why


def test_what_a_file_leaves_out_is_as_published(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nepochs = 3\n[augmentation]\ncopies = 2\n')

    recipe = read_recipe(str(path))

    assert (recipe.name, recipe.epochs, recipe.augmentation.copies) == ("mine", 3, 2)
    assert recipe.augmentation.scale == 0.1
    assert recipe.schedule == Schedule()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("epochs = 0", "epochs"),
        ('epochs = "1"', "epochs"),
        ('name = "Über"', "name"),
        ("[loss]\ndise = 9", "loss.dise"),
        ("[augmentation]\nscale = 0.6", "augmentation.scale"),
        ("[schedule]\nlearning_rate = 1.0", "schedule.learning_rate"),
        ('[schedule]\nkind = "linear"', "schedule.kind"),
        ('preset = "fov300"', "preset"),
        ('precision = "fp16"', "precision"),
    ],
)
def test_a_wrong_recipe_is_told_by_its_field(tmp_path, text, field):
    path = tmp_path / "wrong.toml"
    path.write_text(text)

    with pytest.raises(ConfigError, match=rf"The recipe {re.escape(str(path))} is wrong: {re.escape(field)}: ") as said:
        read_recipe(str(path))

    assert said.value.hint == "Correct the named fields."


def test_a_recipe_that_is_not_there_is_told_with_those_that_are(tmp_path):
    with pytest.raises(ConfigError, match="There is no recipe zhong2020: No such file") as said:
        read_recipe("zhong2020")
    assert "zhong2021" in said.value.hint
    with pytest.raises(ConfigError, match="There is no recipe"):
        read_recipe(str(tmp_path))


@pytest.mark.parametrize("name", recipe_names())
def test_a_file_that_bears_the_name_of_a_built_in_recipe_has_to_be_it(tmp_path, name):
    path = tmp_path / "mine.toml"
    path.write_text((BUILT_IN / f"{name}.toml").read_text(encoding="utf-8"))
    assert read_recipe(str(path)) == read_recipe(name)

    path.write_text(path.read_text().replace("seed = 1", "seed = 2"))
    with pytest.raises(ConfigError, match=f"mine.toml bears the name {name}, and is not what") as said:
        read_recipe(str(path))

    assert 'name = "mine"' in said.value.hint


def test_a_file_without_a_name_does_not_pass_for_the_published_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 3\n")
    with pytest.raises(ConfigError, match="bears the name zhong2021"):
        read_recipe(str(path))


@pytest.mark.parametrize("data", [b"epochs 3", b"\xff\xfe"])
def test_a_recipe_that_is_not_toml_is_said(tmp_path, data):
    path = tmp_path / "wrong.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="is not TOML"):
        read_recipe(str(path))


@pytest.mark.parametrize(("epoch", "rate"), [(0, 1e-4), (19, 1e-4), (20, 1e-5), (29, 1e-5), (30, 1e-6), (39, 1e-6)])
def test_the_published_rate_falls_to_a_tenth_at_epochs_20_and_30(epoch, rate):
    assert learning_rate(Schedule(), epoch=epoch, step=epoch * 10, steps=400) == pytest.approx(rate)


def test_a_cosine_falls_from_the_rate_to_a_hundredth_of_it():
    schedule = Schedule(kind="cosine", learning_rate=1e-3)
    rates = [learning_rate(schedule, epoch=0, step=step, steps=100) for step in range(101)]

    assert rates[0] == 1e-3
    assert rates[50] == pytest.approx(0.505e-3)
    assert rates[100] == pytest.approx(1e-5)
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("kind", ["steps", "cosine"])
def test_a_warm_up_rises_evenly_to_the_rate(kind):
    schedule = Schedule(kind=kind, learning_rate=1e-3, warm_up_steps=3)
    rates = [learning_rate(schedule, epoch=0, step=step, steps=10_000) for step in range(6)]
    assert rates == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3, 1e-3], rel=1e-5)


@dataclass(frozen=True)
class Row:
    table: str
    field: str
    value: str


def rows_of(part: BaseModel, table="") -> list[Row]:
    rows = []
    for name, value in part:
        if isinstance(value, BaseModel):
            rows += rows_of(value, name)
        else:
            shown = list(value) if isinstance(value, tuple) else value
            rows.append(Row(table, name, str(value).lower() if isinstance(value, bool) else str(shown)))
    return rows


def told_in_the_guide(column: int) -> list[Row]:
    """Of the rows ``| `field` | `zhong2021` | `plane2026` | meaning |``, one table under a heading with its name."""
    table, rows = "", []
    for line in GUIDE.partition("## Every field of a recipe")[2].splitlines():
        if heading := re.fullmatch(r"### `\[(\w+)\]`", line):
            table = heading[1]
        if row := re.fullmatch(r"\| `(\w+)` \|([^|]*)\|([^|]*)\| .{10,} \|", line):
            rows.append(Row(table, row[1], row[column].strip().strip('`"')))
    return rows


def test_the_guide_names_every_field_of_a_recipe_with_its_default():
    assert told_in_the_guide(2) == rows_of(Recipe())


def test_the_guide_says_what_plane2026_differs_in():
    rows = [row for row in told_in_the_guide(3) if row.value and row.field != "why"]
    assert len(rows) > 25
    assert set(rows) <= set(rows_of(read_recipe("plane2026")))


def test_the_recipe_that_the_guide_shows_is_one(tmp_path):
    (text,) = re.findall(r"^```text\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    path = tmp_path / "shown.toml"
    path.write_text(text, encoding="utf-8")

    assert read_recipe(str(path)).name not in recipe_names()


def test_the_guide_names_every_built_in_recipe():
    assert all(f"`{name}`" in GUIDE for name in recipe_names())
