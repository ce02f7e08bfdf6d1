import importlib.util
import re
from pathlib import Path

import pytest

from ichnode.cli.context import Exit

SERVICES = ("ichnode-receive.service", "ichnode-work@.service", "ichnode-deliver.service")
EXPOSURE_LIMIT = "25"  # tenths: at most 2.5 of 10


def unit_text(deploy, name: str) -> str:
    return (deploy / "systemd" / name).read_text(encoding="utf-8")


def copy_units(deploy, folder: Path) -> None:
    """Copies with a program in ExecStart that exists on this machine: verify looks for it."""
    for unit in (deploy / "systemd").iterdir():
        text = unit.read_text(encoding="utf-8").replace("/opt/ichnode/venv/bin/ichnode", "/bin/true")
        (folder / unit.name.replace("@.", "@1.")).write_text(text, encoding="utf-8")


def test_systemd_verifies_every_unit(deploy, tmp_path, systemd_analyze, run):
    copy_units(deploy, tmp_path)

    verified = run([systemd_analyze, "verify", *sorted(tmp_path.glob("*.service")), tmp_path / "ichnode.target"])

    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_verification_would_notice_a_misspelt_directive(deploy, tmp_path, systemd_analyze, run):
    copy_units(deploy, tmp_path)
    unit = tmp_path / "ichnode-receive.service"
    unit.write_text(unit.read_text(encoding="utf-8").replace("WatchdogSec=", "WatchDogSecs="), encoding="utf-8")

    assert "WatchDogSecs" in run([systemd_analyze, "verify", unit]).stderr


@pytest.mark.parametrize("name", SERVICES)
def test_the_exposure_of_every_service_is_at_most_two_and_a_half(name, deploy, systemd_analyze, run):
    unit = deploy / "systemd" / name

    scored = run([systemd_analyze, "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_LIMIT}", unit])

    assert scored.returncode == 0, scored.stdout.splitlines()[-1]


def test_the_exposure_check_would_notice_a_missing_sandbox(deploy, tmp_path, systemd_analyze, run):
    unit = tmp_path / "ichnode-receive.service"
    sandbox = ("Protect", "Private", "Restrict", "SystemCall", "Capability")
    kept = [line for line in unit_text(deploy, unit.name).splitlines() if not line.startswith(sandbox)]
    unit.write_text("\n".join(kept), encoding="utf-8")

    scored = run([systemd_analyze, "security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", unit])

    assert scored.returncode != 0


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_reports_itself_and_comes_back(name, deploy):
    lines = unit_text(deploy, name).splitlines()

    assert {"Type=notify", "Restart=always", "User=ichnode", "StateDirectory=ichnode"} <= set(lines)
    assert any(line.startswith("WatchdogSec=") for line in lines)
    assert "Environment=ICHNODE_CONFIG=/etc/ichnode/config.toml" in lines


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_runs_a_verb_that_the_command_line_has(name, deploy):
    program, verb = re.search(r"^ExecStart=(\S+) (\w+)$", unit_text(deploy, name), re.MULTILINE).groups()

    assert program == "/opt/ichnode/venv/bin/ichnode"
    assert importlib.util.find_spec(f"ichnode.cli.{verb}") is not None


@pytest.mark.parametrize("name", SERVICES)
def test_a_wrong_configuration_does_not_start_a_service_over_and_over(name, deploy):
    assert f"RestartPreventExitStatus={int(Exit.USAGE)}" in unit_text(deploy, name).splitlines()


def test_only_the_worker_lives_without_a_network(deploy):
    assert [name for name in SERVICES if "PrivateNetwork=yes" in unit_text(deploy, name)] == ["ichnode-work@.service"]


def test_the_target_starts_every_service(deploy):
    target = unit_text(deploy, "ichnode.target")

    assert all(name.replace("@.", "@1.") in target for name in SERVICES)
