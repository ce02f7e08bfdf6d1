"""config.toml -> Config. An unknown or wrong key is an error that names the key, its line and what is allowed."""

import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from ichnode.config.config import Config
from ichnode.config.values import section_of
from ichnode.domain.errors import ConfigError
from ichnode.domain.onset import OnsetRule
from ichnode.receive.rules import Rule

HINT: Final = "docs/reference/configuration.md lists every key and its values."
KINDS: Final = {"tuple_type": "a list", "model_type": "a table", "model_attributes_type": "a table"}
SEARCH: Final = (Path("config.toml"), Path("/etc/ichnode/config.toml"))


def load_config(path: Path) -> Config:
    """Reads and checks one configuration file. Relative folders in it are relative to it.

    Raises ConfigError that names file, line, key, what is wrong and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        hint = "Name the file with --config or ICHNODE_CONFIG; a commented example is config.toml of the source."
        raise ConfigError(f"Cannot read the configuration {path}: {error}", hint=hint) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="Mend that line.") from error
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        raise _explained(path, text, error) from error
    contradictions = [_said(path, text, keys, what) for keys, what in _contradictions(config)]
    if contradictions:
        raise ConfigError("\n".join(contradictions), hint=HINT)
    base = path.resolve().parent
    work = config.work.model_copy(update={"weights": base / config.work.weights})
    node = config.node.model_copy(update={"state_dir": base / config.node.state_dir})
    tls = config.tls.beside(base)
    exposed = None if tls.key is None else _exposed(path, tls.key)
    if exposed is not None:
        raise exposed
    return config.model_copy(update={"work": work, "node": node, "tls": tls, "audit": config.audit.beside(base)})


def _contradictions(config: Config) -> Iterator[tuple[list[Any], str]]:
    """What is wrong between keys that are each right: the keys that lead to it, and a sentence."""
    remotes_of = {"destination": config.destination, "pacs": config.pacs, "modality": config.modality}
    for section, remotes in remotes_of.items():
        names = [remote.name for remote in remotes]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield [section, index, "name"], f"two [[{section}]] are called {name!r}"
    names = [pacs.name for pacs in config.pacs]
    for key, named in (("count_from", config.series.count_from), ("identity_from", config.series.identity_from)):
        if named and named not in names:
            yield ["series", key], f"no [[pacs]] is called {named!r}; there are {', '.join(names) or 'none'}"
    for index, destination in enumerate(config.destination):
        if destination.confirm_from and destination.confirm_from not in names:
            what = f"no [[pacs]] is called {destination.confirm_from!r}; there are {', '.join(names) or 'none'}"
            yield ["destination", index, "confirm_from"], what
    yield from _contradictions_of_tls(config)
    if config.audit.syslog.host and not (config.audit.syslog.ca or config.tls.ca):
        yield ["audit", "syslog", "host"], "needs audit.syslog.ca or tls.ca: whose certificate shall be believed?"
    for index, rule in enumerate(config.rule or ()):
        try:
            Rule(**rule.model_dump())
        except ConfigError as error:
            yield ["rule", index, "why"], f"{error} {error.hint}"
    for index, onset in enumerate(config.onset):
        try:
            OnsetRule(**onset.model_dump())
        except ConfigError as error:
            yield ["onset", index, "pattern"], f"{error} {error.hint}"


def _contradictions_of_tls(config: Config) -> Iterator[tuple[list[Any], str]]:
    tls = config.tls
    if config.receive.max_memory_mb < config.receive.max_instance_mb:
        yield ["receive", "max_memory_mb"], "is less than max_instance_mb"
    if (tls.certificate is None) != (tls.key is None):
        yield ["tls"], "certificate and key come together: one of them is missing"
    if config.receive.tls_port is not None:
        where: list[Any] = ["receive", "tls_port"]
        if tls.certificate is None:
            yield where, "needs tls.certificate and tls.key"
        if tls.mutual and tls.ca is None:
            yield where, "needs tls.ca, which says whose certificates callers may show; or tls.mutual = false"
        if config.receive.tls_port == config.receive.port:
            yield where, "is the port for plain text: each needs its own"
    for index, peer in enumerate(config.receive.peer):
        for key, is_set in (("tls", peer.tls == "required"), ("tls_names", bool(peer.tls_names))):
            if is_set and config.receive.tls_port is None:
                yield ["receive", "peer", index, key], "there is no receive.tls_port on which it could call"
        if peer.tls_names and not tls.mutual:
            yield ["receive", "peer", index, "tls_names"], "needs tls.mutual = true: else no caller shows a certificate"
    for section in ("destination", "pacs", "modality"):
        for index, remote in enumerate(getattr(config, section)):
            if remote.tls and tls.ca is None:
                yield [section, index, "tls"], "needs tls.ca, which says whose certificate it may show"


def _exposed(path: Path, key: Path) -> ConfigError | None:
    """An error where others on this machine can use the key. A key that is not there is told by who needs it."""
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError:
        return None
    if not mode & 0o007:
        return None
    hint = f"chown ichnode: {key}; chmod 600 {key}. If it has lain open for long, make a new one."
    return ConfigError(f"{path}: tls.key: everyone on this machine can use {key} (mode {mode:04o})", hint=hint)


def _explained(path: Path, text: str, error: ValidationError) -> ConfigError:
    """One sentence a wrong key, each with its line, from the top."""
    errors = error.errors()
    places = {wrong["loc"] for wrong in errors}
    found = []
    for wrong in errors:
        # A list that is too short because its one table is wrong: the table's error says it all.
        if not any(place[: len(wrong["loc"])] == wrong["loc"] for place in places - {wrong["loc"]}):
            keys = list(wrong["loc"])
            found.append((line_of(text, keys), _said(path, text, keys, _what(wrong, keys))))
    return ConfigError("\n".join(sentence for _, sentence in sorted(found)), hint=HINT)


def _said(path: Path, text: str, keys: list[Any], what: str) -> str:
    name = "".join(f"#{key + 1}" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")
    return f"{path}:{line_of(text, keys)}: {name}: {what}"


def _what(wrong: Any, keys: list[Any]) -> str:
    if wrong["type"] == "extra_forbidden":
        return f"unknown key; allowed here are {', '.join(_keys_beside(keys))}"
    if wrong["type"] == "missing":
        return "is missing and has no default"
    if wrong["type"] == "tuple_type" and isinstance(wrong["input"], dict):
        name = ".".join(key for key in keys if isinstance(key, str))
        return f"there may be several: write [[{name}]], a table each, not [{name}]"
    if wrong["type"] in KINDS:
        return f"should be {KINDS[wrong['type']]}, not {wrong['input']!r}"
    message = str(wrong["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return message if wrong["type"] == "value_error" else f"{message}, not {wrong['input']!r}"


def _keys_beside(keys: list[Any]) -> list[str]:
    section: Any = Config
    for key in keys[:-1]:
        if isinstance(key, str):
            section = section_of(section, key)
    return list(section.model_fields)


def line_of(text: str, keys: list[Any]) -> int:
    """The line (from 1) of config.toml that the keys lead to; of the nearest table above where the key is missing."""
    best, depth, here = 1, -1, [""]
    counts: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*(\[\[?)\s*([\w.-]+)\s*\]", line)
        if header:
            name = header[2]
            here = list(name.split("."))
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                here.append(str(counts[name]))
            trail = here
        else:
            key = re.match(r"\s*([\w.-]+)\s*=", line)
            if not key:
                continue
            trail = [k for k in here if k] + key[1].split(".")
        wanted = [str(k) for k in keys]
        if trail == wanted[: len(trail)] and len(trail) > depth:
            best, depth = number, len(trail)
    return best
