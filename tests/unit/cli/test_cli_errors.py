"""What goes wrong is one sentence and a hint, with the exit code that the help promises; never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from ichnode import __version__
from ichnode.cli import alarms
from ichnode.cli.config import check_state_dir
from ichnode.cli.context import EXIT_MEANING, Exit
from ichnode.config.file import load_config

HEAD = Path(__file__).parents[3] / "ichnode/demo/head-ct"


def test_the_version_is_printed(ichnode):
    assert ichnode("--version").out == f"ichnode {__version__}\n"


def test_the_help_names_every_exit_code(ichnode):
    text = " ".join(ichnode("--help").out.split())
    assert set(EXIT_MEANING) == set(Exit)
    assert all(f"{code:d} {meaning}" in text for code, meaning in EXIT_MEANING.items())


def test_without_a_configuration_the_places_searched_are_named(ichnode, tmp_path, monkeypatch):
    monkeypatch.delenv("ICHNODE_CONFIG", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    said = ichnode("status")
    assert said.code == Exit.USAGE
    assert said.err.startswith("ichnode: There is neither config.toml nor /etc/ichnode/config.toml.\n         Name one")


def test_a_named_configuration_that_is_not_there_is_said(ichnode, tmp_path):
    said = ichnode("--config", tmp_path / "none.toml", "config", "check")
    assert said.code == Exit.USAGE
    assert f"Cannot read the configuration {tmp_path / 'none.toml'}" in said.err


def test_a_wrong_key_is_named_with_line_and_allowed_keys(ichnode, config):
    config.write_text(config.read_text().replace("port = 11112", "prot = 11112"))
    said = ichnode("status")
    assert said.code == Exit.USAGE
    assert f"{config}:6: receive.prot: unknown key; allowed here are host, port, " in said.err
    assert "docs/reference/configuration.md" in said.err


def test_a_state_folder_that_cannot_be_made_is_said(ichnode, tmp_path):
    (tmp_path / "state").write_text("a file, not a folder")
    for verb in (["status"], ["show", "1"], ["replay", "1.2"], ["resend", "--dead"]):
        said = ichnode(*verb)
        assert said.code == Exit.USAGE
        assert f"The state folder {tmp_path / 'state'} cannot be used" in said.err
        assert "node.state_dir" in said.err


def test_config_check_says_what_the_services_would_say_of_the_state_folder_and_the_weights(ichnode, config, tmp_path):
    (tmp_path / "state").write_text("a file, not a folder")
    said = ichnode("config", "check")
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert f"The state folder {tmp_path / 'state'} cannot be used: Not a directory." in said.err
    (tmp_path / "state").unlink()
    assert ichnode("config", "check").code == Exit.OK
    assert not (tmp_path / "state").exists()  # made here it would be this user's, and the service's no more

    config.write_text(config.read_text().replace("weights/ich-zhong2021", "weights/none"))
    said = ichnode("config", "check")
    assert (said.code, said.out) == (Exit.USAGE, "")
    assert "weights/none/card.toml cannot be read: No such file or directory." in said.err


def test_a_state_folder_that_this_user_may_not_look_at_is_no_wrong_configuration(tmp_path, plain_user):
    closed = tmp_path / "closed"
    (closed / "state").mkdir(parents=True)
    closed.chmod(0)
    plain_user()
    with pytest.raises(PermissionError):
        (closed / "state").exists()

    check_state_dir(closed / "state")


@pytest.mark.parametrize("verb", ["receive", "work", "deliver", "run"])
def test_a_service_that_cannot_start_ends_with_the_exit_code_of_a_wrong_configuration(config, tmp_path, verb):
    (tmp_path / "state").write_text("a file, not a folder")
    command = [sys.executable, "-m", "ichnode", "--config", str(config), verb]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == Exit.USAGE
    assert f"The state folder {tmp_path / 'state'} cannot be used" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def test_a_queue_that_is_no_database_is_said(ichnode, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/queue.sqlite").write_text("this is not a database")
    said = ichnode("status")
    assert said.code == Exit.LATER
    sentence, hint, *_ = said.err.splitlines()
    assert sentence == "ichnode: The queue cannot be used: DatabaseError: file is not a database."
    assert hint.startswith("         `ichnode doctor`")


def test_a_file_without_permission_says_as_whom_to_run(ichnode, monkeypatch):
    def refused(_db, **_words):
        raise PermissionError(13, "Permission denied", "/var/lib/ichnode/queue.sqlite")

    monkeypatch.setattr(alarms.views, "status", refused)
    said = ichnode("status")
    assert said.code == Exit.USAGE
    assert "No permission for /var/lib/ichnode/queue.sqlite." in said.err
    assert "sudo -u ichnode" in said.err


def test_a_full_disk_is_said(ichnode, monkeypatch):
    def full(_db, **_words):
        raise OSError(28, "No space left on device", "/var/lib/ichnode/x")

    monkeypatch.setattr(alarms.views, "status", full)
    said = ichnode("status")
    assert said.code == Exit.LATER
    assert "/var/lib/ichnode/x: No space left on device" in said.err


def test_a_defect_is_told_by_its_place_and_never_by_its_message(ichnode, monkeypatch):
    def defect(_db, **_words):
        raise KeyError("MUELLER^ANNA")

    monkeypatch.setattr(alarms.views, "status", defect)
    said = ichnode("status")
    assert said.code == Exit.DEFECT
    assert "A defect of ichnode: KeyError at " in said.err
    assert "test_cli_errors.py" in said.err
    assert "MUELLER" not in said.err


@pytest.mark.parametrize("address", ["10.1.2.3", "10.1.2.3:", ":104", "host:port", "host:70000", "host:0", "host:-1"])
def test_an_address_that_is_not_host_and_port_is_refused(ichnode, tmp_path, address):
    (tmp_path / "file").touch()
    said = ichnode("send", tmp_path / "file", address)
    assert said.code == Exit.USAGE
    assert f"{address} is not HOST:PORT." in said.err
    assert "10.1.2.3:11112" in said.err


def test_an_ae_title_that_is_none_is_refused(ichnode):
    said = ichnode("echo", "127.0.0.1:104", "--called", "MORE-THAN-SIXTEEN")
    assert said.code == Exit.USAGE
    assert "'MORE-THAN-SIXTEEN' is not an AE title." in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["show"],
        ["status", "--yaml"],
        ["send", "/nowhere/at/all", "h:1"],
        ["replay", "--since", "yesterday"],
    ],
)
def test_a_wrong_command_line_has_the_exit_code_of_one(ichnode, arguments):
    assert ichnode(*arguments).code == Exit.USAGE


def test_the_module_runs_as_a_program():
    command = [sys.executable, "-m", "ichnode", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"ichnode {__version__}\n"


def test_an_unknown_series_of_a_folder_is_said_as_that(ichnode, tmp_path):
    said = ichnode("analyse", HEAD, "--series", "1.2.3", "--out", tmp_path / "out")
    assert said.code == Exit.NO
    assert f"{HEAD} holds no series 1.2.3." in said.err
    assert not (tmp_path / "out").exists()


def test_the_doctor_makes_no_state_folder(ichnode, config):
    folder = load_config(config).node.state_dir
    assert not folder.exists()
    assert f"warn  state folder: {folder} is not there yet" in ichnode("doctor").out
    assert not folder.exists()
