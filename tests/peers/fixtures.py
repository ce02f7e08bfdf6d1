"""Fixtures of the tests with real parts: a PACS and a node, each in a folder of its own, never left running."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.peers.node import Node
from tests.peers.orthanc import Orthanc

MakeOrthanc = Callable[[], Orthanc]
MakeNode = Callable[[], Node]


@pytest.fixture(scope="session")
def network_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the converted network is kept: one for all nodes of a run."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def make_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeOrthanc]:
    """Makes an Orthanc that is not started yet."""
    with ExitStack() as stack:

        def make() -> Orthanc:
            orthanc = Orthanc(tmp_path_factory.mktemp("orthanc"))
            stack.callback(orthanc.stop)
            return orthanc

        yield make


@pytest.fixture(scope="module")
def make_node(tmp_path_factory: pytest.TempPathFactory, network_cache: Path) -> Iterator[MakeNode]:
    """Makes a node that is not configured and not started yet."""
    with ExitStack() as stack:

        def make() -> Node:
            node = Node(tmp_path_factory.mktemp("node"), network_cache)
            stack.callback(node.close)
            return node

        yield make


@pytest.fixture(scope="module")
def orthanc(make_orthanc: MakeOrthanc) -> Orthanc:
    """A running Orthanc for the tests of one module."""
    orthanc = make_orthanc()
    orthanc.start()
    return orthanc
