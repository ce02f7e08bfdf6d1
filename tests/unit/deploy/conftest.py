import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

DEPLOY = Path(__file__).parents[3] / "deploy"


class Run(Protocol):
    def __call__(self, command: Sequence[str | Path], **env: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def deploy() -> Path:
    return DEPLOY


@pytest.fixture(scope="session")
def systemd_analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None and os.environ.get("ICHNODE_REQUIRE_PEERS") == "1":
        pytest.fail("systemd-analyze is required (ICHNODE_REQUIRE_PEERS=1) and absent")
    if program is None:
        pytest.skip("systemd-analyze is absent (Debian package systemd)")
    return program


@pytest.fixture(scope="session")
def run() -> Run:
    def run(command: Sequence[str | Path], **env: str) -> subprocess.CompletedProcess[str]:
        """Output and exit status of ``command``; ``env`` is added to the environment."""
        return subprocess.run(command, text=True, capture_output=True, check=False, env={**os.environ, **env})

    return run
