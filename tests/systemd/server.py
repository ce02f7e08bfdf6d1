"""A server with ichnode on it, as its administrator sees it: installed, configured, asked as the manual has it."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peers.orthanc import Orthanc, free_port
from tests.peers.tools import CHECKOUT, storescu, wait_until
from tests.systemd.container import Container

SERVICES = ("ichnode-receive", "ichnode-deliver", "ichnode-work@1")
WHEELS, SOURCES = "/srv/wheels", "/srv/sources"  # folders of ours, as the server sees them
WITHOUT_INTERNET = f"sudo PIP_NO_INDEX=1 PIP_FIND_LINKS={WHEELS} sh"
DELIVERED = {"sent", "committed", "confirmed"}  # an older version knows the first alone
ICHNODE = "sudo -u ichnode env ICHNODE_CONFIG=/etc/ichnode/config.toml /opt/ichnode/venv/bin/ichnode"

CONFIG = """\
[[receive.peer]]
ae_title = "CT1"
network = "127.0.0.1/32"

[receive]
host = "127.0.0.1"
port = {port}
min_free_mb = 500

[series]
quiet_s = 3
study_quiet_s = 3

[work]
weights = "/opt/ichnode/weights/ich-zhong2021"

[retention]
target_free_mb = 500

[[destination]]
name = "pacs"
host = "127.0.0.1"
port = {pacs}
ae_title = "ORTHANC"
first_retry_s = 2
max_retry_s = 5
"""


def source(folder: Path, commit: str) -> Path:
    """The project as it was at a commit."""
    made = folder / commit
    if not made.exists():
        made.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", commit], cwd=CHECKOUT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "--extract", f"--directory={made}"], input=archive, check=True)
    return made


def commits(*arguments: str) -> list[str]:
    """The commits that ``git log`` with these arguments names, newest first."""
    command = ["git", "log", "--format=%H", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout.split()


def download_wheels(checkout: Path, wheels: Path) -> None:
    """What an installation needs, as docs/how-to/install.md has it for a server without internet."""
    command = ["pip", "download", "-q", "-c", "deploy/constraints.txt", "--dest", str(wheels), ".", "setuptools"]
    subprocess.run([sys.executable, "-m", *command], cwd=checkout, check=True)


@dataclass
class Server:
    """ichnode on a machine that systemd runs, and the PACS that takes its results."""

    machine: Container
    pacs: Orthanc
    port: int = field(default_factory=free_port)

    def install(self, commit: str) -> str:
        """By the script of this commit, from a folder of wheels; what it says."""
        return self.machine.sh(f"{WITHOUT_INTERNET} {SOURCES}/{commit}/deploy/install.sh")

    def configure(self) -> None:
        """The administrator edits the configuration: who may send, where results go, shorter waits."""
        text = CONFIG.format(port=self.port, pacs=self.pacs.dicom_port)
        (self.machine.root / "etc/ichnode/config.toml").write_text(text)  # in place: owner and mode stay

    def ichnode(self, arguments: str, *, check: bool = True) -> str:
        """The command line, as the manual has it."""
        return self.machine.sh(f"{ICHNODE} {arguments}", check=check)

    def states(self) -> list[str]:
        """What systemd says of each service."""
        return self.machine.look(f"systemctl is-active {' '.join(SERVICES)}").split()

    def property(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.machine.look(f"systemctl show --property={name} --value {unit}").strip()

    def wait_until_up(self) -> None:
        """Waits until every service is active: has said that it is ready."""
        wait_until(lambda: self.states() == ["active"] * 3, "every service is active")

    def send(self, study: Path) -> None:
        """A CT sends a folder by storescu."""
        storescu(self.port, study)

    def rows(self, study: str) -> list[dict[str, Any]]:
        """What ``ichnode show`` knows of a study; nothing when it knows none."""
        said = self.machine.look(f"{ICHNODE} show {study} --json 2>/dev/null")
        return list(json.loads(said)) if said.startswith("[") else []

    def wait_until_analysed(self, study: str, state: str = "running") -> None:
        """Waits until a study's job is in a state."""

        def reached() -> bool:
            return [job["state"] for row in self.rows(study) for job in row["jobs"]] == [state]

        wait_until(reached, f"the job of {study[-12:]} is {state}")

    def assert_delivered_once(self, study: str) -> None:
        """Waits until a study is through. Then the PACS has each object that was made of it, once."""

        def through() -> bool:
            rows = self.rows(study)
            ended = [delivery["state"] in DELIVERED for row in rows for delivery in row["deliveries"]]
            return bool(ended) and all(ended)

        wait_until(through, f"study {study[-12:]} is through")
        [row] = self.rows(study)
        assert [job["state"] for job in row["jobs"]] == ["done"]
        assert self.pacs.uids(study) == sorted(output["sop_instance_uid"] for output in row["outputs"])
        assert {kind: len(found) for kind, found in self.pacs.objects(study).items() if kind != "SC"} == {
            "SEG": 1,
            "SR": 1,
        }
        self.machine.sh(f"{ICHNODE} show {study} | grep -E '^series|job |attempt|delivery .*(sent|committed)'")

    def journal(self, unit: str, pattern: str) -> str:
        """Lines of the journal of this boot that fit, short, into the transcript."""
        command = f"journalctl --boot --unit={unit} --no-pager --no-hostname --output=short | grep -E '{pattern}'"
        return self.machine.sh(command, check=False)

    def restarts(self) -> dict[str, int]:
        """How often systemd has started each service again."""
        return {unit: int(self.property(unit, "NRestarts") or 0) for unit in SERVICES}


def exposures(said: str) -> dict[str, float]:
    """Units and figures out of what ``systemd-analyze security`` prints."""
    return {unit: float(figure) for unit, figure in re.findall(r"^(ichnode\S+)\s+([\d.]+)", said, re.MULTILINE)}
