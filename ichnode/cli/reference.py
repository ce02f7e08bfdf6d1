"""``ichnode reference``: the command-line reference, as Markdown (docs/reference/cli.md)."""

import inspect
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import typer

from ichnode.cli.context import EXIT_MEANING

HEAD: Final = """\
# Command-line reference

Printed by `ichnode reference`; a test holds it to the code. `ichnode --help` and `ichnode VERB --help` say the same.

Answers go to standard output, errors and progress to standard error. With `--json` the answer is one JSON document.

## Exit codes

| code | meaning |
|---|---|
"""


def reference(context: typer.Context) -> None:
    """Print the reference of every verb, as Markdown (docs/reference/cli.md)."""
    typer.echo(reference_page(context.find_root().command), nl=False)


def reference_page(root: Any) -> str:
    """Every verb of ``root`` (a click group) with its arguments and options. Markdown."""
    codes = "".join(f"| {code:d} | {meaning} |\n" for code, meaning in EXIT_MEANING.items())
    options = ["## Before the verb", "", *_table(root)]
    panels: dict[str, list[str]] = {}
    for name, command in root.commands.items():
        if not command.hidden:
            panels.setdefault(command.rich_help_panel, []).extend(_verb(f"ichnode {name}", command))
    verbs = [line for panel, lines in panels.items() for line in (f"## {panel}", "", *lines)]
    return HEAD + codes + "\n" + "\n".join([*options, *verbs]).rstrip() + "\n"


def _verb(name: str, command: Any) -> Iterator[str]:
    if hasattr(command, "commands"):
        for below, inner in command.commands.items():
            yield from _verb(f"{name} {below}", inner)
        return
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    words = [p.metavar if p.required else f"[{p.metavar}]" for p in arguments]
    yield from (f"### `{' '.join([name, *words])}`", "", *_paragraphs(command.help), *_table(command))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.strip().split("\n\n"):
        yield from (" ".join(paragraph.split()), "")


def _table(command: Any) -> Iterator[str]:
    kinds = get_type_hints(inspect.unwrap(command.callback))
    rows = [_row(p, kinds[p.name]) for p in command.params if p.name in kinds]  # --help is the same everywhere
    if rows:
        yield from ("| | value | default | meaning |", "|---|---|---|---|", *rows, "")


def _row(parameter: Any, annotation: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    flags = [*parameter.opts, *parameter.secondary_opts]
    name = ", ".join(f"`{word}`" for word in ([parameter.metavar.replace("|", r"\|")] if is_argument else flags))
    kind = annotation
    if get_origin(annotation) is not Literal:  # what may be None, and each of a list, is said by its one other part
        kind = next((part for part in get_args(annotation) if part is not type(None)), annotation)
    return f"| {name} | {_value(parameter, kind)} | {_default(parameter, kind)} | {parameter.help} |"


def _value(parameter: Any, kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(kind))
    if issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    if parameter.min is not None:
        return f"{parameter.min} to {parameter.max}" if parameter.max is not None else f"{parameter.min} or more"
    return {bool: "", int: "number", float: "number", Path: "path", datetime: "date, as 2024-01-31"}.get(kind, "text")


def _default(parameter: Any, kind: type) -> str:
    if parameter.required:
        return "**required**"
    if isinstance(parameter.show_default, str):
        return parameter.show_default
    if kind is bool:
        return f"`{parameter.opts[0]}`" if parameter.default else ""
    is_set = parameter.default not in (None, "", [], ())
    return f"`{parameter.default}`" if is_set else f"`${parameter.envvar}`" if parameter.envvar else ""
