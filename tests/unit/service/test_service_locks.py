"""The services' locks: who runs, and who may not run twice."""

import threading

import pytest

from ichnode.app import host
from ichnode.app.host import alone, runs, together
from ichnode.config.config import Config
from ichnode.config.node import Node
from ichnode.config.receiving import Receive
from ichnode.domain.errors import ConfigError


@pytest.fixture
def config(tmp_path):
    peer = {"ae_title": "*", "network": "127.0.0.0/8"}
    return Config(node=Node(state_dir=tmp_path), receive=Receive.model_validate({"peer": [peer]}))


def test_a_service_runs_as_long_as_it_holds_its_lock(config, tmp_path):
    assert not runs(config, "deliver")
    assert list(tmp_path.iterdir()) == []
    with alone(config, "deliver"):
        assert runs(config, "deliver")
        assert not runs(config, "receive")
    assert not runs(config, "deliver")


def test_of_workers_there_may_be_several_of_receivers_one(config, monkeypatch):
    monkeypatch.setattr(host, "LOCK_S", 0.0)
    with together(config, "work"), together(config, "work"):
        assert runs(config, "work")
    assert not runs(config, "work")
    with alone(config, "receive"), pytest.raises(ConfigError), alone(config, "receive"):
        pass


def test_who_looks_whether_a_service_runs_does_not_keep_it_from_starting(config):
    looked, started = threading.Event(), threading.Event()

    def look():
        with together(config, "receive"):  # the moment in which `runs` holds it, made longer
            looked.set()
            started.wait(0.2)

    thread = threading.Thread(target=look)
    thread.start()
    looked.wait(5)
    with alone(config, "receive"):
        assert runs(config, "receive")
    thread.join()
