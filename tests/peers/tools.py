"""Programs of others that the tests run: found, or the test is skipped and says which one is missing."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ICHNODE_DATA", CHECKOUT.parent / "shared" / "data"))
TOOLS = Path(os.environ.get("ICHNODE_TOOLS", CHECKOUT.parent / "shared" / "tools"))
FROM_PYPI = {"dciodvfy", "segimage2itkimage", "tid1500reader"}
DEADLINE_S = 240.0
POLL_S = 0.1


def missing(what: str) -> None:
    """Skips the test for want of a peer; fails it where every peer has to be there (ICHNODE_REQUIRE_PEERS=1)."""
    if os.environ.get("ICHNODE_REQUIRE_PEERS") == "1":
        pytest.fail(f"{what} is missing, and ICHNODE_REQUIRE_PEERS=1 wants every peer", pytrace=False)
    pytest.skip(f"{what} is missing")


def program(name: str) -> str:
    """The path of a program. Those of PyPI lie beside the interpreter: Debian's dciodvfy is too old to know newer
    attributes. Dcmtk's do not: pynetdicom puts programs of the same names there."""
    beside = str(Path(sys.executable).parent)
    if name in FROM_PYPI:
        found = shutil.which(name, path=beside)
    else:
        folders = [folder for folder in os.environ.get("PATH", "").split(os.pathsep) if folder != beside]
        found = shutil.which(name, path=os.pathsep.join([*folders, "/usr/local/sbin", "/usr/sbin"]))
    if found is None:
        missing(f"the program {name}")
    return str(found)


def data(*parts: str) -> Path:
    """A folder or file of the real head CT, which is no part of the project."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        missing(f"the real head CT {path}")
    return path


def output_of(name: str, *arguments: str, check: bool = True) -> str:
    """What a program says, on both channels. Fails the test when the program does."""
    done = subprocess.run(
        [program(name), *arguments], capture_output=True, text=True, errors="replace", timeout=DEADLINE_S, check=False
    )
    said = done.stdout + done.stderr
    assert not check or done.returncode == 0, f"{name} ended with {done.returncode}: {said[-2000:]}"
    return said


def wait_until(condition: Callable[[], bool], what: str, *, limit_s: float = DEADLINE_S) -> None:
    """Waits until the condition holds; fails the test at the deadline."""
    pause, deadline = threading.Event(), time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {limit_s:g} s in vain: {what}"
        pause.wait(POLL_S)


def storescu(port: int, folder: Path, *options: str, check: bool = True) -> str:
    """Dcmtk sends every file of a folder to the node over one association."""
    arguments = ("-v", *options, "-aet", "CT1", "-aec", "ICHNODE", "+sd", "+r", "127.0.0.1", str(port), str(folder))
    return output_of("storescu", *arguments, check=check)


def errors_of(path: Path) -> list[str]:
    """What dciodvfy holds against an object."""
    return [line for line in output_of("dciodvfy", "-new", str(path), check=False).splitlines() if "Error" in line]


def volume_by_dcmqi_ml(segmentation: Path, folder: Path) -> float:
    """What dcmqi makes of a SEG: voxels times their spacing, mL."""
    output_of("segimage2itkimage", "--inputDICOM", str(segmentation), "--outputDirectory", str(folder), "-t", "nii")
    [image] = [nibabel.load(path) for path in folder.glob("*.nii*")]
    return float(np.count_nonzero(np.asarray(image.dataobj)) * np.prod(image.header.get_zooms()) / 1000)
