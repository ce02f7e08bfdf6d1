"""Text -> the reading of config.toml: a configuration, or a ConfigError that says what is wrong with it."""

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ichnode.config.file import load_config
from ichnode.domain.errors import ConfigError
from tests.fuzz.limits import bounded

EXAMPLE = Path(__file__).parents[3] / "config.toml"


def one(data: bytes) -> None:
    """Reads one file."""
    path = _folder() / "config.toml"
    path.write_bytes(data)
    with bounded():
        try:
            load_config(path)
        except ConfigError:
            return


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="ichnode-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def words() -> list[str]:
    """Keys and tables of the example, for the fuzzer to put together."""
    lines = [line.split("#")[0].strip(" #\n") for line in EXAMPLE.read_text().splitlines()]
    keys = {line.split("=")[0].strip() + " = " for line in lines if "=" in line}
    return sorted(keys | {line for line in lines if line.startswith("[")} | {'"""', "(?P<hours>", "{", "1e999", "nan"})


def seeds() -> Iterator[tuple[str, bytes]]:
    """The example in parts of less than 4 kB, and what it leaves out."""
    lines = EXAMPLE.read_text().splitlines()
    bare = [line for line in (line.split("  #")[0] for line in lines) if line and not line.startswith("#")]
    tables = "\n".join(bare).replace("\n[", "\n\0[").split("\0")
    yield "node", "".join(t for t in tables if not t.startswith("[[rule")).encode()[:4000]
    yield "rules", "".join(t for t in tables if t.startswith("[[rule"))[:2000].rsplit("[[", 1)[0].encode()
    yield (
        "onset",
        (
            b'[[onset]]\nattribute = "(0033,xx01)"\ncreator = "Site"\n'
            b"pattern = '(?P<hour>\\d\\d):(?P<minute>\\d\\d)'\nmeaning = \"clock\"\n"
        ),
    )
    yield "destination", b'[[destination]]\nname = "PACS"\nhost = "127.0.0.1"\nport = 104\nae_title = "PACS"\n'
    yield "pacs", b'[[pacs]]\nname = "PACS"\nhost = "127.0.0.1"\nport = 104\nae_title = "PACS"\n'
    yield "why", b'[[rule]]\nname = "a"\nwhy = "{slices:>99} {axial!r}"\ndescription = "(a|b)*c"\n'
