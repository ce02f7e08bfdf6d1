"""``ichnode doctor``: who else on this machine can read or change what the node keeps and uses; certificates."""

import os
import pwd
import stat
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from ichnode.app.certificates import certificate_faults
from ichnode.cli.check import Check, Verdict
from ichnode.config.config import Config
from ichnode.domain.tls import TlsFiles
from ichnode.tls.certificates import ends_at

MOST_FILES: Final = 50_000  # one open file among so many is seldom alone
OTHERS: Final = 0o077
OTHERS_WRITE: Final = 0o022


def privacy(config: Config, path: Path) -> Iterator[Check]:
    """``path``: of the configuration."""
    if config.node.state_dir.is_dir():
        yield from _kept(config.node.state_dir)
    yield from _writable("configuration's mode", [path.resolve()], "decides where images come from and go to")
    weights = config.work.weights
    files = [weights, *sorted(weights.glob("*"))] if weights.is_dir() else []
    yield from _writable("weights' mode", files, "decides what is found")
    yield from _certificates(config)


def _kept(folder: Path) -> Iterator[Check]:
    """Modes and owners of all that lies in the state folder."""
    owner = folder.stat().st_uid
    wrong: Counter[str] = Counter()
    for entry in islice(_walk(folder), MOST_FILES):
        try:
            found = entry.lstat()
        except FileNotFoundError:  # the services are at work
            continue
        wrong["open"] += bool(stat.S_IMODE(found.st_mode) & OTHERS) and not entry.is_symlink()
        wrong["foreign"] += found.st_uid != owner
    user = _name_of(owner)
    if owner == 0:
        todo = "Run the services as a user of their own: docs/how-to/install.md."
        yield Check(Verdict.WARN, "service user", f"{folder} belongs to root", todo)
    if wrong["foreign"]:
        text = f"{wrong['foreign']} files in {folder} belong to another user than {user}"
        yield Check(Verdict.FAIL, "owner", text, f"chown -R {user}: {folder}")
    if wrong["open"]:
        text = f"{wrong['open']} files or folders in {folder} are open to other users"
        yield Check(Verdict.WARN, "modes", text, f"chmod -R go= {folder}")
    else:
        yield Check(Verdict.OK, "modes", f"all in {folder} is for {user} alone")


def _writable(what: str, paths: list[Path], why: str) -> Iterator[Check]:
    exposed = [path for path in paths if path.exists() and stat.S_IMODE(path.stat().st_mode) & OTHERS_WRITE]
    if exposed:
        every = any(stat.S_IMODE(path.stat().st_mode) & stat.S_IWOTH for path in exposed)
        names = " ".join(str(path) for path in exposed)
        text = f"others may write {names}: whoever does {why}"
        yield Check(Verdict.FAIL if every else Verdict.WARN, what, text, f"chmod go-w {names}")


def _certificates(config: Config) -> Iterator[Check]:
    faults, files = certificate_faults(config), config.tls.files
    for fault in (*faults.alarms, *faults.warnings):
        is_used = " ends in " in fault or fault in faults.warnings
        verdict = Verdict.WARN if is_used else Verdict.FAIL
        yield Check(verdict, "certificates", fault, _shown_by(files, used=is_used or " ended on " in fault))
    until = None if faults.alarms or faults.warnings else ends_at(files)
    if until is not None:
        day = time.strftime("%Y-%m-%d", time.gmtime(until))
        yield Check(Verdict.OK, "certificates", f"the key fits, good until {day}")


def _shown_by(files: TlsFiles, *, used: bool) -> str:
    """The commands that show what is in the files; for files that cannot be ``used``, also what fits what."""
    named = [path for path in (files.certificate, files.ca) if path is not None]
    shown = [f"openssl x509 -in {path} -noout -subject -enddate" for path in named]
    if not used and files.certificate is not None:
        pair = f"openssl x509 -in {files.certificate} -noout -pubkey", f"openssl pkey -in {files.key} -pubout"
        shown += [f"the same twice: {pair[0]} and {pair[1]}"]
    return f"See {'; '.join(shown)}. New ones: docs/how-to/tls.md."


def _walk(folder: Path) -> Iterator[Path]:
    yield folder
    for where, folders, files in os.walk(folder):
        yield from (Path(where, name) for name in (*folders, *files))


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
