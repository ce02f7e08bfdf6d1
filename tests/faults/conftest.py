"""Fixtures of the tests that break something."""

from tests.peers.fixtures import make_node, make_orthanc, network_cache, orthanc

__all__ = ["make_node", "make_orthanc", "network_cache", "orthanc"]
