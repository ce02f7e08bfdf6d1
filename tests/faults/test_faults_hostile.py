"""Peers that mean harm, over bare sockets, and an honest modality beside them: its study passes all the same."""

import statistics

import pytest

from tests.faults.hostile import ATTACKS, memory_mb, nothing, study_s
from tests.peers.node import Node

SLICES, ROUNDS = 20, 3
MOST_GROWTH_MB = 150
GRACE_S = 0.5  # of a study of one second: what a loaded machine adds by itself


@pytest.fixture(scope="module")
def node(make_node) -> Node:
    """A node whose receiver alone runs, with the limits of the shipped configuration. It knows CT1 and nobody else."""
    node = make_node()
    node.configure([], {"receive": {"host": "127.0.0.1", "min_free_mb": 100}})
    text = node.config.read_text().replace('ae_title = "*"', 'ae_title = "CT1"')
    node.config.write_text(text)
    node.start("receive")
    study_s(node.port, 2)
    return node


def measured(node: Node, attack) -> float:
    """Median seconds of an honest study under an attack."""
    with attack(node.port):
        return statistics.median(study_s(node.port, SLICES) for _ in range(ROUNDS))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_honest_study_passes_within_twice_its_time_and_memory_is_bounded(node, name):
    before_mb = memory_mb(node.pid("receive"))
    quiet_s = measured(node, nothing)

    attacked_s = measured(node, ATTACKS[name])

    grown_mb = memory_mb(node.pid("receive")) - before_mb
    print(f"{name}: {SLICES} slices {quiet_s:.2f} s quiet, {attacked_s:.2f} s attacked, memory {grown_mb:+.0f} MB")
    assert attacked_s < 2 * quiet_s + GRACE_S
    assert grown_mb < MOST_GROWTH_MB


def test_what_attacked_is_told_once_each_and_not_a_thousand_times(node):
    with node.db.read() as connection:
        alarms = connection.exec_driver_sql("SELECT text FROM audit WHERE alarm").scalars().all()
    assert 2 <= len(alarms) < 20, alarms
    assert any("not on the list of allowed peers" in text for text in alarms)
    assert any("too many connections that ask for nothing" in text for text in alarms)
