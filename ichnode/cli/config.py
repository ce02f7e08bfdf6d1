"""``ichnode config``: is the configuration right, and what may stand in it."""

from typing import Any

import typer
from pydantic_core import PydanticUndefined

from ichnode.cli.context import OUT, AsJson, options, print_json
from ichnode.config import Config, Section, section_of

app = typer.Typer(help="Check config.toml, or print what may stand in it.", no_args_is_help=True)


@app.command()
def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Is config.toml right? Each wrong key is named with its line and what is allowed. Exit code 2 when it is not."""
    path = options(context).path()
    config = options(context).load()
    if as_json:
        print_json(config.model_dump(mode="json"))
        return
    OUT.print(f"{path} is right.", markup=False)
    OUT.print(f"  listens as {config.node.ae_title} on {config.receive.host}:{config.receive.port}", markup=False)
    for destination in config.destination:
        objects = ", ".join(destination.objects)
        OUT.print(f"  sends {objects} to {destination.name} ({destination.host}:{destination.port})", markup=False)


@app.command()
def reference() -> None:
    """Print the reference of every key, as Markdown (docs/reference/configuration.md)."""
    typer.echo(reference_page(), nl=False)


def reference_page() -> str:
    """Every table and key of config.toml with type, default and meaning. Markdown."""
    lines = ["# Configuration reference", "", "Printed by `ichnode config reference`; a test holds it to the code.", ""]
    for key in Config.model_fields:
        lines += _section(key, section_of(Config, key), many="tuple" in str(Config.model_fields[key].annotation))
    return "\n".join(lines)


def _section(name: str, section: type[Section], *, many: bool) -> list[str]:
    title = f"[[{name}]]" if many else f"[{name}]"
    lines = [f"## `{title}`", "", " ".join((section.__doc__ or "").split()), ""]
    lines += ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    inner: list[str] = []
    for key, field in section.model_fields.items():
        below = section_of(section, key)
        if below is not section:
            inner += _section(f"{name}.{key}", below, many="tuple" in str(field.annotation))
            continue
        default = "**required**" if field.default is PydanticUndefined else f"`{_toml(field.default)}`"
        lines.append(f"| `{key}` | {default} | {_allowed(section, key)} | {field.description} |")
    return [*lines, "", *inner]


def _toml(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def _allowed(section: type[Section], key: str) -> str:
    schema: dict[str, Any] = section.model_json_schema()
    found = schema["properties"][key]
    parts = [_resolve(schema, part) for part in found.get("anyOf", [found])]
    return " or ".join(dict.fromkeys(_words(schema, part) for part in parts if part.get("type") != "null"))


def _resolve(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    return dict(schema["$defs"][part["$ref"].rsplit("/", 1)[1]]) if "$ref" in part else part


def _words(schema: dict[str, Any], part: dict[str, Any]) -> str:
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    if part.get("type") == "array":
        return "list of " + _words(schema, _resolve(schema, part["items"]))
    words = str(part.get("format", part.get("type", "")))
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "maxLength": "characters ≤"}
    bounds = [f"{sign} {part[name]:g}" for name, sign in limits.items() if name in part]
    return " ".join([words, *bounds])
