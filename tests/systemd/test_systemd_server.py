"""One server from its installation to its removal: each test goes on where the one before left it."""

import shutil

import pytest

from tests.peers.series import study_of
from tests.peers.tools import wait_until
from tests.systemd.server import ICHNODE, SERVICES, SOURCES, exposures

WATCHDOG_S, RESTART_S = 60, 5


@pytest.fixture(scope="module")
def server(make_server):
    return make_server("server")


def test_it_is_installed_by_the_documented_steps(server, present):
    said = server.install(present)

    assert "ok    configuration: /etc/ichnode/config.toml" in said
    assert "ok    weights: ich-zhong2021" in said
    assert server.states() == ["inactive"] * 3, "nothing is started"
    server.configure()
    assert "fail" not in server.ichnode("doctor")


def test_the_services_come_up(server):
    server.machine.sh("systemctl start ichnode.target")

    assert server.states() == ["active"] * 3
    server.machine.sh("systemctl --no-pager list-units 'ichnode*'")
    assert server.machine.look("stat -c '%a %U' /var/lib/ichnode").split() == ["700", "ichnode"]


def test_the_command_on_the_path_is_the_services_whoever_calls(server):
    for caller in ("root", "ichnode"):
        said = server.machine.sh(f"sudo -u {caller} ichnode --config /etc/ichnode/config.toml status")
        assert "0 images kept" in said
        assert "no worker runs" not in said
    assert server.machine.sh("cd / && sudo ichnode status") == said, "it finds the configuration"
    assert server.machine.look("find /var/lib/ichnode ! -user ichnode") == ""


def test_each_service_is_shut_in(server):
    found = exposures(server.machine.sh("systemd-analyze security --no-pager | grep ichnode"))

    assert {unit: figure <= 2.5 for unit, figure in found.items()} == dict.fromkeys(
        ("ichnode-receive.service", "ichnode-deliver.service", "ichnode-work@1.service"), True
    )
    for unit in SERVICES:
        inside = f"/proc/{server.property(unit, 'MainPID')}"
        status = server.machine.look(f"grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' {inside}/status").split()
        assert status[1::2] == ["0" * 16, "0" * 16, "1", "2"]
    devices = server.machine.sh(f"tail -n +3 /proc/{server.property('ichnode-work@1', 'MainPID')}/net/dev")
    assert [line.split(":")[0].strip() for line in devices.splitlines()] == ["lo"], "the worker has no network"


def test_a_study_passes(server, studies):
    server.send(studies[0])

    server.assert_delivered_once(study_of(studies[0]))


def test_kill_9_of_every_service_in_mid_job_is_made_good(server, studies):
    before = server.restarts()
    server.send(studies[1])
    server.wait_until_analysed(study_of(studies[1]))

    for unit in SERVICES:
        server.machine.sh(f"kill -9 $(systemctl show --property=MainPID --value {unit})")

    wait_until(lambda: server.restarts() == {unit: count + 1 for unit, count in before.items()}, "all start again")
    server.wait_until_up()
    server.journal("'ichnode-*'", "status=9/KILL|restart counter")
    server.assert_delivered_once(study_of(studies[1]))


def test_a_hung_service_is_caught_by_the_watchdog(server, studies):
    before = server.restarts()
    server.send(studies[2])
    server.wait_until_analysed(study_of(studies[2]))

    for unit in SERVICES:
        server.machine.sh(f"kill -STOP $(systemctl show --property=MainPID --value {unit})")

    caught = {unit: count + 1 for unit, count in before.items()}
    wait_until(lambda: server.restarts() == caught, "all are caught", limit_s=WATCHDOG_S + RESTART_S + 60)
    server.wait_until_up()
    assert server.journal("'ichnode-*'", "Watchdog timeout|SIGABRT|restart counter").count("Watchdog timeout") == 3
    server.assert_delivered_once(study_of(studies[2]))


def test_a_reboot_in_mid_study_loses_nothing(server, studies, tmp_path):
    """One study is being analysed, of another every second image is there; the CT sends the rest when we are back."""
    slices = sorted(studies[4].iterdir())
    half, rest = tmp_path / "half", tmp_path / "rest"
    for folder, part in ((half, slices[::2]), (rest, slices[1::2])):
        folder.mkdir()
        for path in part:
            shutil.copy(path, folder)
    server.send(studies[3])
    server.wait_until_analysed(study_of(studies[3]))
    server.send(half)

    server.machine.reboot()

    server.wait_until_up()
    server.machine.sh("journalctl --list-boots --no-pager | cat")
    server.send(rest)
    for study in (studies[3], studies[4]):
        server.assert_delivered_once(study_of(study))
    assert server.rows(study_of(studies[4]))[0]["instances"] == len(slices)


def test_the_death_of_every_process_at_once_loses_nothing(server, studies):
    server.send(studies[5])
    server.wait_until_analysed(study_of(studies[5]))

    server.machine.crash()

    server.wait_until_up()
    server.assert_delivered_once(study_of(studies[5]))


def test_a_wrong_configuration_is_said_and_not_tried_over_and_over(server):
    server.machine.sh("sed -i '1i nonsense = 1' /etc/ichnode/config.toml")
    server.machine.sh("systemctl restart ichnode-deliver", check=False)

    assert "nonsense: unknown key" in server.journal("ichnode-deliver", "nonsense")
    wait_until(lambda: server.states()[1] == "failed", "systemd has given up", limit_s=3 * RESTART_S)
    server.machine.sh("sed -i 1d /etc/ichnode/config.toml; systemctl restart ichnode-deliver")


def test_its_removal_leaves_the_data(server, present):
    listing = "cd /var/lib/ichnode && find . -path ./cache -prune -o -type f ! -name 'queue.sqlite-*' -print | sort"
    held = server.machine.look(listing)

    server.machine.sh(f"sudo sh {SOURCES}/{present}/deploy/uninstall.sh")

    assert held.count("\n") > 100
    assert server.machine.look(listing) == held
    assert server.machine.look("ps -u ichnode --no-headers") == ""
    assert server.machine.look("systemctl list-unit-files --no-legend 'ichnode*'") == ""
    assert server.machine.look("ls /opt; find /etc /usr/local -name 'ichnode*'").split() == ["/etc/ichnode"]
    assert "CT1" in server.machine.look("cat /etc/ichnode/config.toml")


def test_installed_again_it_goes_on_with_its_data(server, present, studies):
    server.install(present)
    server.machine.sh("systemctl start ichnode.target")

    server.wait_until_up()
    server.assert_delivered_once(study_of(studies[0]))
    server.send(studies[6])
    server.assert_delivered_once(study_of(studies[6]))
    server.machine.sh(f"{ICHNODE} status")
