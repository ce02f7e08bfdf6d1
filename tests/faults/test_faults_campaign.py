"""A small campaign of ``kill -9`` at random moments; ``python -m tests.faults.campaign`` runs a long one."""

from tests.faults.campaign import run


def test_of_studies_received_worked_and_delivered_under_random_kills_none_is_lost_or_doubled(
    make_node, orthanc, tmp_path
):
    figures = run(make_node(), orthanc, tmp_path, kills=6, studies=2, seed=5)

    account = figures.ledger
    assert sum(figures.kills.values()) == 6
    assert (account.once, account.lost, account.doubled) == (figures.studies, 0, 0), figures
    assert (account.instances_missing, account.missing, account.orphans) == (0, 0, 0), figures
    assert (account.integrity, account.trail) == ("ok", "whole"), figures
