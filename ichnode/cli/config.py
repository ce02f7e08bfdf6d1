"""``ichnode config``: is the configuration right, and what may stand in it."""

import errno
import os
from pathlib import Path
from typing import Any

import typer
from pydantic_core import PydanticUndefined

from ichnode.app.certificates import certificate_faults, check_certificates
from ichnode.cli.context import OUT, AsJson, options, print_json
from ichnode.config.config import Config
from ichnode.config.values import Section, section_of
from ichnode.domain.errors import ConfigError

app = typer.Typer(help="Check config.toml, or print what may stand in it.", no_args_is_help=True)


@app.command()
def check(context: typer.Context, as_json: AsJson = False) -> None:
    """Is config.toml valid, and can what it names be used: TLS files, weights? Each wrong key is named with its line.

    Exit code 2 when it is not."""
    path = options(context).path()
    config = options(context).load()
    check_certificates(config)
    check_state_dir(config.node.state_dir)
    _check_weights(config.work.weights)
    if as_json:
        print_json(config.model_dump(mode="json"))
        return
    OUT.print(f"{path} is valid.", markup=False, soft_wrap=True)
    OUT.print(f"  listens as {config.node.ae_title} on {config.receive.host}:{config.receive.port}", markup=False)
    if config.receive.tls_port is not None:
        callers = "callers show a certificate" if config.tls.mutual else "callers need no certificate"
        OUT.print(f"  and over TLS on {config.receive.host}:{config.receive.tls_port}; {callers}", markup=False)
    OUT.print(f"  analyses with the weights {config.work.weights}", markup=False)
    for destination in config.destination:
        objects, tls = ", ".join(destination.objects), " over TLS" if destination.tls else ""
        OUT.print(f"  sends {objects} to {destination.name} ({destination.host}:{destination.port}{tls})", markup=False)
    found = certificate_faults(config)
    for fault in (*found.alarms, *found.warnings):
        OUT.print(f"warn   {fault}", style="yellow", markup=False, soft_wrap=True)


def check_state_dir(folder: Path) -> None:
    """Raises ConfigError for what can never be a folder. Makes nothing, and asks no rights: this may be another user
    than the service's, and what it may not look at is taken to be right."""
    try:
        is_folder = next(path for path in (folder, *folder.parents) if path.exists()).is_dir()
    except PermissionError:
        return
    if not is_folder:
        hint = "Name a folder in node.state_dir, or one that can be made."
        raise ConfigError(f"The state folder {folder} cannot be used: {os.strerror(errno.ENOTDIR)}.", hint=hint)


def _check_weights(folder: Path) -> None:
    """Raises ConfigError as the worker does."""
    from ichnode.model.weights import check_weights  # loads torch

    check_weights(folder)


@app.command()
def reference() -> None:
    """Print the reference of every key, as Markdown (docs/reference/configuration.md)."""
    typer.echo(reference_page(), nl=False)


def reference_page() -> str:
    """Every table and key of config.toml with type, default and meaning. Markdown."""
    lines = ["# Configuration reference", "", "Printed by `ichnode config reference`; a test holds it to the code.", ""]
    for key in Config.model_fields:
        field = Config.model_fields[key]
        lines += _section(key, section_of(Config, key), field.default, many="tuple" in str(field.annotation))
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, section: type[Section], given: Any, *, many: bool) -> list[str]:
    """One table and those below it. ``given``: the value that stands in for a table which is not there."""
    title = f"[[{name}]]" if many else f"[{name}]"
    lines = [f"## `{title}`", "", " ".join((section.__doc__ or "").split()), ""]
    rows: list[str] = []
    inner: list[str] = []
    for key, field in section.model_fields.items():
        value = getattr(given, key, field.default)
        below = section_of(section, key)
        if below is not section:
            inner += _section(f"{name}.{key}", below, value, many="tuple" in str(field.annotation))
            continue
        default = "**required**" if value is PydanticUndefined else "" if value is None else f"`{_toml(value)}`"
        rows.append(f"| `{key}` | {default} | {_allowed(section, key)} | {field.description} |")
    if rows:
        lines += ["| key | default | allowed | meaning |", "|---|---|---|---|", *rows, ""]
    return [*lines, *inner]


def _toml(value: Any) -> str:
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
    kind = str(part.get("format", part.get("type", "")))
    words = {"ipv4network": "IPv4 network", "ipv6network": "IPv6 network", "string": "text"}.get(kind, kind)
    if "maxLength" in part:
        words += f" of at most {part['maxLength']} characters"
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
    return words + "".join(f", {sign} {part[name]}" for name, sign in limits.items() if name in part)
