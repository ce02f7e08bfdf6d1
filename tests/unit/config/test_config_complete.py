"""The example, the reference and the code say the same; none may forget a key, a command or an option."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from ichnode.app.wire import rules_of
from ichnode.cli.config import reference_page
from ichnode.cli.main import app, main
from ichnode.config.config import Config
from ichnode.config.file import load_config
from ichnode.config.values import Section, section_of
from ichnode.receive.rules import DEFAULT_RULES

CHECKOUT = Path(__file__).parents[3]
EXAMPLE = (CHECKOUT / "config.toml").read_text(encoding="utf-8")


def tables(section: type[Section], name: str = ""):
    """Every table below a section: its name, its class, and the default that stands in for it."""
    for key, field in section.model_fields.items():
        below = section_of(section, key)
        if below is not section:
            yield f"{name}{key}", below, field.default
            yield from tables(below, f"{name}{key}.")


TABLES = list(tables(Config))


def test_the_example_is_valid_and_says_what_holds_anyway():
    config = load_config(CHECKOUT / "config.toml")
    for name, _, default in TABLES:
        if name in ("node", "series", "work", "retention", "schedule"):
            given = getattr(config, name)
            update = {key: CHECKOUT / getattr(default, key) for key in ("weights", "state_dir") if hasattr(given, key)}
            assert given == default.model_copy(update=update), name
    assert config.report == Config.model_fields["report"].default
    for key, field in type(config.receive).model_fields.items():
        assert key == "peer" or getattr(config.receive, key) == field.default, key


@pytest.mark.parametrize(("name", "section"), [(name, section) for name, section, _ in TABLES])
def test_every_key_stands_in_the_example(name, section):
    """Also in a comment, as of [[pacs]], which a node need not have; the conditions of a rule are in the reference."""
    blocks = re.split(r"^(?:# )?\[\[?([\w.]+)\]\]?.*$", EXAMPLE, flags=re.MULTILINE)
    written = "".join(text for table, text in zip(blocks[1::2], blocks[2::2], strict=True) if table == name)
    optional = {"rule": {key for key, field in section.model_fields.items() if not field.is_required()}}
    for key in section.model_fields.keys() - optional.get(name, set()):
        if section_of(section, key) is section:
            assert re.search(rf"^(?:# )?{key} = ", written, re.MULTILINE), f"{name}.{key}"


def test_every_key_of_the_example_has_a_comment():
    for line in EXAMPLE.splitlines():
        if re.match(r"\w+ = ", line) and not line.startswith(("name", "why", "ae_title", "accept_also")):
            before = EXAMPLE[: EXAMPLE.index(line)]
            assert "[[rule]]" in before or "  # " in line, line


def test_the_rules_of_the_example_are_the_built_in_ones():
    assert "rule" in tomllib.loads(EXAMPLE)
    assert rules_of(load_config(CHECKOUT / "config.toml")) == DEFAULT_RULES


def test_the_configuration_reference_is_what_the_code_says():
    written = (CHECKOUT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    assert written == reference_page(), "run: ichnode config reference > docs/reference/configuration.md"


@pytest.mark.parametrize(("name", "section"), [(name, section) for name, section, _ in TABLES])
def test_every_key_stands_in_the_reference_with_its_meaning(name, section):
    page = reference_page()
    block = re.split(rf"^## `\[\[?{re.escape(name)}\]\]?`$", page, flags=re.MULTILINE)[1].split("\n## ")[0]
    for key, field in section.model_fields.items():
        if section_of(section, key) is section:
            row = next(line for line in block.splitlines() if line.startswith(f"| `{key}` |"))
            assert field.description
            assert row.endswith(f"| {field.description} |")
            assert all(cell.strip() or at == 2 for at, cell in enumerate(row.split("|")[1:-1], 1)), row


def test_the_command_line_reference_is_what_the_code_says(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ichnode", "reference"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    written = (CHECKOUT / "docs/reference/cli.md").read_text(encoding="utf-8")
    assert written == capsys.readouterr().out, "run: ichnode reference > docs/reference/cli.md"


def commands(group, name="ichnode"):
    for verb, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {verb}")
        elif not command.hidden:
            yield f"{name} {verb}", command


def test_every_command_argument_and_option_stands_in_the_reference():
    import typer

    page = (CHECKOUT / "docs/reference/cli.md").read_text(encoding="utf-8")
    every = list(commands(typer.main.get_command(app)))
    assert len(every) >= 15
    for name, command in every:
        block = re.split(rf"^### `{name}(?: .*)?`$", page, flags=re.MULTILINE)[1].split("\n### ")[0]
        for parameter in command.params:
            words = (
                [parameter.metavar.replace("|", r"\|")] if parameter.param_type_name == "argument" else parameter.opts
            )
            for word in words:
                assert f"`{word}`" in block, f"{name} {word}"
            assert parameter.help, f"{name} {parameter.name}"
            assert parameter.help in block, f"{name} {parameter.name}"
