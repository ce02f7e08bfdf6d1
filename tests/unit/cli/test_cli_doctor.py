"""doctor: one line a check, each ok, warn or fail with what to do."""

import shutil

import pytest

from ichnode.cli import doctor
from ichnode.cli.context import Exit


@pytest.fixture
def checks(ichnode):
    """The checks by name: (verdict, text, what to do)."""

    def ask():
        return {row["what"]: (row["verdict"], row["text"], row["todo"]) for row in ichnode("doctor", "--json").json}

    return ask


@pytest.fixture
def private(config, tmp_path):
    """A state folder as the installation makes it."""
    (tmp_path / "state").mkdir(mode=0o750)
    return config


@pytest.mark.usefixtures("private")
def test_a_node_that_is_well_has_no_line_that_fails(ichnode, checks, add_remote, start_scp):
    port, _ = start_scp()
    add_remote("destination", port)
    assert ichnode("doctor").code == Exit.OK
    verdicts = {what: verdict for what, (verdict, _, _) in checks().items()}
    assert {what for what, verdict in verdicts.items() if verdict == "ok"} >= {
        "configuration", "state folder", "disk", "queue", "weights", "port", "pacs",
    }  # fmt: skip


def test_a_configuration_that_is_missing_or_wrong_is_the_one_line(ichnode, config):
    config.write_text(config.read_text() + "[node2]\n")
    said = ichnode("doctor")
    assert said.code == Exit.NO
    assert f"fail  configuration: {config}:15: node2: unknown key" in said.out
    assert "      -> docs/reference/configuration.md" in said.out
    config.unlink()
    assert "fail  configuration: Cannot read" in ichnode("doctor").out


@pytest.mark.usefixtures("private")
def test_a_peer_that_does_not_answer_fails_and_says_what_to_check(ichnode, checks, add_remote, free_port):
    add_remote("destination", free_port)
    assert ichnode("doctor").code == Exit.NO
    verdict, text, todo = checks()["pacs"]
    assert (verdict, text) == ("fail", f"no connection to 127.0.0.1:{free_port}: refused, or no route")
    assert "ICHNODE is registered there" in todo


def test_too_little_space_fails(checks, private):
    private.write_text(private.read_text().replace("min_free_mb = 0", "min_free_mb = 1000000000"))
    assert checks()["disk"][0] == "fail"


def test_a_state_folder_open_to_everyone_is_a_warning(checks, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o755)
    assert checks()["state folder"] == (
        "warn",
        f"{tmp_path / 'state'} is open to everyone",
        f"chmod o-rwx {tmp_path / 'state'}",
    )


@pytest.mark.usefixtures("private")
def test_a_state_folder_or_queue_that_cannot_be_used_fails_and_the_rest_is_checked(checks, tmp_path):
    (tmp_path / "state/queue.sqlite").write_text("no database at all")
    assert checks()["queue"][0] == "fail"
    assert "weights" in checks()
    shutil.rmtree(tmp_path / "state")
    (tmp_path / "state").touch()
    assert checks()["state folder"][0] == "fail"


@pytest.mark.usefixtures("private")
def test_an_alarm_in_the_queue_is_a_warning(checks, add_job):
    add_job("1.2.3", "failed")
    verdict, text, todo = checks()["queue"]
    assert (verdict, todo) == ("warn", "`ichnode status` lists them.")
    assert text.endswith("1 alarms")


def test_weights_that_are_not_what_their_card_says_fail(checks, private):
    private.write_text(private.read_text().replace("weights/ich-zhong2021", "weights/none"))
    verdict, text, todo = checks()["weights"]
    assert verdict == "fail"
    assert "card.toml" in text
    assert todo


def test_a_port_that_another_program_holds_is_a_warning(checks, private, start_scp):
    port, _ = start_scp()
    private.write_text(private.read_text().replace("port = 11112", f"port = {port}"))
    verdict, text, _ = checks()["port"]
    assert verdict == "warn"
    assert f"127.0.0.1:{port} is taken" in text


def test_anyone_may_send_is_a_warning(checks, private):
    text = private.read_text().replace('"CT1"', '"*"').replace('"127.0.0.1/32"', '"0.0.0.0/0"')
    private.write_text(text)
    assert checks()["allowed peers"][0] == "warn"


@pytest.mark.usefixtures("private")
def test_a_clock_from_before_this_version_fails(checks, monkeypatch):
    monkeypatch.setattr(doctor.time, "time", lambda: 0.0)
    assert checks()["clock"][0] == "fail"
