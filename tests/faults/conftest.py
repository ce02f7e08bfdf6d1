"""Fixtures of the tests that break something."""

from tests.peers.fixtures import make_node, make_orthanc, network_cache, orthanc
from tests.unit.deliver.conftest import add_result, db, destination, free_port, outputs, silent_peer, start_scp

__all__ = [
    "add_result",
    "db",
    "destination",
    "free_port",
    "make_node",
    "make_orthanc",
    "network_cache",
    "orthanc",
    "outputs",
    "silent_peer",
    "start_scp",
]
