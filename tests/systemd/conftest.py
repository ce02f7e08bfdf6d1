"""Servers with a real systemd. They are built only where ICHNODE_SYSTEMD names a folder for them: run.sh does."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.peers.fixtures import make_orthanc, orthanc
from tests.peers.orthanc import Orthanc
from tests.peers.tools import CHECKOUT, program
from tests.systemd.container import Container, debian
from tests.systemd.server import SOURCES, WHEELS, Server, commits, download_wheels, source

__all__ = ["make_orthanc", "orthanc"]

STUDIES, FIRST_SEED = 7, 5000
MakeServer = Callable[[str], Server]


@pytest.fixture(scope="session")
def folder() -> Path:
    """Where Debian, wheels and phantoms are kept from run to run, and the transcripts are left."""
    if not os.environ.get("ICHNODE_SYSTEMD"):
        pytest.skip("real servers are run on demand: sh tests/systemd/run.sh")
    assert os.geteuid() == 0, "systemd-nspawn needs root"
    assert sys.version_info[:2] == (3, 11), "the wheels are for Debian 12: take Python 3.11"
    for name in ("debootstrap", "systemd-nspawn", "Orthanc", "storescu"):
        program(name)
    path = Path(os.environ["ICHNODE_SYSTEMD"]).resolve()
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def present() -> str:
    """The commit that is tested: the newest, or what ICHNODE_SYSTEMD_COMMIT names."""
    return commits(os.environ.get("ICHNODE_SYSTEMD_COMMIT", "HEAD"))[0]


@pytest.fixture(scope="session")
def older(present: str) -> str:
    """The last commit with the first database: an upgrade from it goes through every migration."""
    second = commits(present, "--diff-filter=A", "--", "ichnode/queue/migrations/versions")[-2]
    return commits(f"{second}~1")[0]


@pytest.fixture(scope="session")
def studies(folder: Path) -> list[Path]:
    """Synthetic heads with a bleed of 30 mL, a folder of images each."""
    wanted = f"phantom --out {folder / 'studies'} --count {STUDIES} --seed {FIRST_SEED} --volume-ml 30 --jobs 2"
    subprocess.run([sys.executable, "-m", "ichnode", *wanted.split()], cwd=CHECKOUT, check=True)
    return [folder / "studies" / f"phantom-{FIRST_SEED + k:06d}" / "ct" for k in range(STUDIES)]


@pytest.fixture(scope="module")
def make_server(folder: Path, orthanc: Orthanc, present: str, older: str) -> Iterator[MakeServer]:
    """Makes a fresh Debian that runs, with the sources and the wheels to install from."""
    wheels, sources = folder / "wheels", folder / "sources"
    for one in (older, present):
        download_wheels(source(sources, one), wheels)
    with ExitStack() as stack:

        def make(name: str) -> Server:
            root = folder / name
            subprocess.run(["rm", "-rf", root], check=True)
            subprocess.run(
                ["cp", "--archive", debian(folder), root], check=True
            )  # it has devices, which Python would read
            transcript = folder / f"{name}.md"
            transcript.write_text(f"# {name}: {present[:7]} on a fresh Debian 12\n")
            machine = Container(root, transcript, ((wheels, WHEELS), (sources, SOURCES)))
            stack.callback(subprocess.run, ["rm", "-rf", root], check=True)
            stack.callback(machine.close)
            machine.boot()
            return Server(machine, orthanc)

        yield make


@pytest.fixture(autouse=True)
def heading(request: pytest.FixtureRequest) -> None:
    """Each test's name heads its part of the transcript."""
    server = request.getfixturevalue("server")
    server.machine.head(request.node.name.removeprefix("test_").replace("_", " "))
