import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def pinned() -> dict[str, str]:
    lines = (REPOSITORY / "deploy" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(re.fullmatch(r"([a-z0-9-]+)==(\S+)", line).groups() for line in lines if line and line[0] != "#")


@pytest.fixture(scope="module")
def locked() -> dict[str, list[str]]:
    """Each pin of the files with digests, and its digests."""
    found: dict[str, list[str]] = {}
    for name in ("locked.txt", "locked-test.txt"):
        for entry in (REPOSITORY / "deploy" / name).read_text(encoding="utf-8").replace("\\\n", "").splitlines():
            if entry and entry[0] != "#":
                pin, *digests = entry.split()
                assert pin not in found
                found[pin] = digests
    return found


@pytest.fixture(scope="module")
def needed() -> dict[str, str]:
    """Every distribution that pyproject.toml asks for, through all generations, with its installed version."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    waiting = [Requirement(line) for line in project["dependencies"] + extras["train"] + extras["test"]]
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        installed = distribution(requirement.name)
        found[key[0]] = Version(installed.version).public
        further = [Requirement(line) for line in installed.requires or []]
        waiting += [one for one in further if applies(one, requirement.extras)]
    return {name: version for name, version in found.items() if name != "ichnode"}  # "test" asks for "train" of our own


def applies(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


def test_every_distribution_that_is_needed_is_pinned_to_what_the_tests_run_with(pinned, needed):
    # torch's CUDA libraries come and go with its build, and it pins them itself
    unpinned_on_purpose = re.compile(r"nvidia-|cuda-|triton$")

    wanted = {name: version for name, version in needed.items() if not unpinned_on_purpose.match(name)}
    assert wanted.items() <= pinned.items()


def test_torch_is_pinned_exactly(pinned):
    assert pinned["torch"] == "2.13.0"


def test_every_pin_but_torch_and_the_fuzzer_has_its_digests(pinned, locked):
    # torch's builds differ from index to index; nothing but fuzzing needs atheris
    wanted = {f"{name}=={version}" for name, version in pinned.items() if name not in ("torch", "atheris")}

    assert set(locked) == wanted
    for pin, digests in locked.items():
        assert digests, pin
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", digest) for digest in digests), pin


def test_what_the_node_runs_on_is_locked_without_the_tests_packages():
    lines = (REPOSITORY / "deploy" / "locked.txt").read_text(encoding="utf-8").splitlines()
    node = {line.split("==")[0] for line in lines if "==" in line and line[0] not in "# "}

    assert {"pydicom", "setuptools", "sympy"} <= node
    assert not node & {"pytest", "matplotlib", "torch"}
