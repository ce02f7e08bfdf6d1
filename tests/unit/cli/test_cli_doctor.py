"""doctor: one line a check, each ok, warn or fail with what to do."""

import fcntl
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ichnode.app.host import alone
from ichnode.app.wire import open_database_of
from ichnode.cli import doctor, listening
from ichnode.cli.context import Exit, clock
from ichnode.config.file import load_config
from ichnode.queue import outbox
from tests.certificates import Authority
from tests.peers.tools import CHECKOUT


@pytest.fixture
def checks(ichnode):
    """The checks by name: (verdict, text, what to do)."""

    def ask():
        return {row["what"]: (row["verdict"], row["text"], row["todo"]) for row in ichnode("doctor", "--json").json}

    return ask


@pytest.fixture
def private(config, tmp_path):
    """A state folder as the installation makes it."""
    (tmp_path / "state").mkdir(mode=0o700)
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
    assert "whether the peer runs there" in todo


def test_too_little_space_fails(checks, private):
    private.write_text(private.read_text().replace("min_free_mb = 0", "min_free_mb = 1000000000"))
    assert checks()["disk"][0] == "fail"


@pytest.mark.usefixtures("private")
def test_the_queue_of_an_earlier_version_is_told_and_not_migrated_under_it(checks, tmp_path):
    queue = tmp_path / "state" / "queue.sqlite"
    checks()
    with closing(sqlite3.connect(queue)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = '0001'")

    verdict, text, _ = checks()["queue"]

    assert (verdict, text) == ("warn", "an earlier version's: migrated when the services start")
    with closing(sqlite3.connect(queue)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]


@pytest.mark.usefixtures("private")
def test_what_others_on_the_machine_can_read_is_a_warning(checks, tmp_path):
    state = tmp_path / "state"
    assert checks()["modes"][0] == "ok"
    (state / "instances/open.dcm").touch()
    (state / "instances/open.dcm").chmod(0o640)
    text = f"1 files or folders in {state} are open to other users"
    assert checks()["modes"] == ("warn", text, f"chmod -R go= {state}")
    (state / "instances/open.dcm").chmod(0o600)
    state.chmod(0o750)
    assert checks()["modes"][0] == "warn"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.usefixtures("private")
def test_a_file_that_another_user_has_left_in_the_state_folder_fails(checks, tmp_path):
    stray = tmp_path / "state/stray"
    stray.touch(mode=0o600)
    os.chown(stray, 12345, 12345)
    verdict, text, todo = checks()["owner"]
    assert (verdict, text) == ("fail", f"1 files in {tmp_path / 'state'} belong to another user than root")
    assert todo == f"chown -R root: {tmp_path / 'state'}"
    assert checks()["service user"][0] == "warn"


@pytest.mark.usefixtures("private")
def test_a_configuration_or_weights_that_others_can_write_are_told(checks, config, tmp_path):
    config.chmod(0o644)
    assert "configuration's mode" not in checks()
    config.chmod(0o646)
    assert checks()["configuration's mode"][0] == "fail"
    weights = tmp_path / "weights"
    shutil.copytree(CHECKOUT / "weights/ich-zhong2021", weights)
    text = config.read_text().replace(str(CHECKOUT / "weights/ich-zhong2021"), str(weights))
    config.write_text(text)
    for path in (weights, *weights.iterdir()):
        path.chmod(0o755)
    assert "weights' mode" not in checks()
    (weights / "model.safetensors").chmod(0o664)
    assert checks()["weights' mode"][0] == "warn"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def add_tls(config, files):
    lines = [f'{name} = "{getattr(files, name)}"' for name in ("certificate", "key", "ca")]
    config.write_text(config.read_text() + "[tls]\n" + "\n".join(lines) + "\n")


@pytest.mark.usefixtures("private")
@pytest.mark.parametrize(
    ("days", "verdict", "text"),
    [
        (60, "ok", "the key fits, good until"),
        (12, "warn", "ends in 12 days"),
        (5, "warn", "ends in 5 days"),
        (-1, "fail", "ended on"),
    ],
)
def test_the_end_of_a_certificate_is_told_30_days_before(checks, config, authority, days, verdict, text):
    add_tls(config, authority.issue(days=days))

    assert checks()["certificates"][0] == verdict
    assert text in checks()["certificates"][1]


@pytest.mark.parametrize(
    ("days", "code", "begins"), [(12, Exit.OK, "warn   "), (5, Exit.NO, "ALARM  "), (-1, Exit.NO, "ALARM  ")]
)
def test_a_certificate_is_a_warning_from_30_days_before_its_end_and_an_alarm_from_7(
    ichnode, config, authority, days, code, begins
):
    add_tls(config, authority.issue(days=days))

    said = ichnode("status")

    assert said.code == code
    assert [line for line in said.out.splitlines() if line.startswith(f"{begins}The certificate ")]
    told = ichnode("status", "--json").json
    assert (len(told["alarms"]), len(told["warnings"])) == ((0, 1) if code == Exit.OK else (1, 0))


@pytest.mark.usefixtures("private")
def test_a_ca_that_ended_while_another_is_good_is_a_warning(checks, ichnode, config, authority, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(authority.ca.read_bytes() + Authority(tmp_path / "old").ended().read_bytes())
    add_tls(config, replace(authority.issue(), ca=bundle))

    verdict, text, todo = checks()["certificates"]

    assert (verdict, f"Certificate 2 of {bundle} ended on " in text) == ("warn", True)
    assert "pkey" not in todo
    assert ichnode("status").code == Exit.OK


@pytest.mark.usefixtures("private")
def test_doctor_says_by_which_command_a_certificate_is_looked_at(checks, config, authority):
    files, other = authority.issue(days=12), authority.issue()
    add_tls(config, files)
    todo = checks()["certificates"][2]
    assert f"openssl x509 -in {files.certificate} -noout -subject -enddate" in todo
    assert "pkey" not in todo

    config.write_text(config.read_text().replace(str(files.key), str(other.key)))

    assert f"openssl pkey -in {other.key} -pubout" in checks()["certificates"][2]


@pytest.mark.usefixtures("private")
def test_a_key_that_does_not_fit_or_is_encrypted_fails_and_asks_nobody(checks, config, authority):
    files, other = authority.issue(), authority.issue()
    add_tls(config, replace(files, key=other.key))
    assert "key values mismatch" in checks()["certificates"][1]
    sealed = files.key.with_suffix(".sealed")
    command = ["openssl", "pkcs8", "-topk8", "-in", files.key, "-out", sealed, "-passout", "pass:geheim"]
    subprocess.run(command, check=True, capture_output=True)
    sealed.chmod(0o600)
    config.write_text(config.read_text().replace(str(other.key), str(sealed)))
    verdict, text, _ = checks()["certificates"]
    assert verdict == "fail"
    assert "not encrypted" in text


def test_a_key_that_everyone_can_read_is_no_configuration(ichnode, config, authority):
    files = authority.issue()
    add_tls(config, files)
    files.key.chmod(0o644)
    said = ichnode("config", "check")
    assert said.code == Exit.USAGE
    assert "tls.key" in said.err
    assert f"chmod 600 {files.key}" in said.err


def test_no_secret_is_shown(ichnode, config, authority):
    files = authority.issue()
    add_tls(config, files)
    said = ichnode("config", "check", "--json")
    assert said.json["tls"]["key"] == str(files.key)
    secret = [line for line in files.key.read_text().splitlines() if not line.startswith("-")]
    assert not any(line in said.out for line in secret)


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
    assert text.endswith("1 alarm")


@pytest.mark.usefixtures("private")
def test_an_object_that_was_tried_in_vain_is_a_warning(checks, config, add_remote, add_job):
    add_remote("destination", 104)
    made_at = time.time() - 100
    add_job("1.2.3", "done", now=made_at)
    assert checks()["queue"][0] == "ok"
    with closing(open_database_of(load_config(config))) as db:
        outbox.again(db, 1, reason="no connection", next_at=4e9, now=time.time())

    verdict, text, todo = checks()["queue"]

    assert (verdict, todo) == ("warn", "`ichnode status` says why.")
    assert text == f"1 object waits for pacs since {clock(made_at)}, 0 alarms"


@pytest.mark.usefixtures("private")
def test_services_that_do_not_run_are_a_warning(checks, running):
    assert checks()["services"] == ("ok", "receiver, worker and deliverer run", "")
    running.clear()
    verdict, text, _ = checks()["services"]
    assert (verdict, text) == ("warn", "no receiver runs, no worker runs, no deliverer runs")


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


@pytest.fixture
def other_program():
    """The port that a process of its own listens on."""
    listens = "s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print(s.getsockname()[1], flush=True)"
    command = [sys.executable, "-c", f"import socket, sys; {listens}; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline())
        process.stdin.close()


def test_a_port_that_another_program_holds_while_the_receiver_runs_elsewhere_is_a_warning(
    checks, private, authority, other_program, free_port
):
    text = private.read_text().replace("port = 11112", f"port = {free_port}\ntls_port = {other_program}", 1)
    private.write_text(text)
    add_tls(private, authority.issue())
    with alone(load_config(private), "receive"):  # its configuration was changed since it was started
        verdict, said, todo = checks()["TLS port"]
    assert (verdict, said) == ("warn", f"127.0.0.1:{other_program} is taken, and not by the receiver, which runs")
    assert "once it is started again" in todo


def test_a_port_is_not_said_to_be_the_receivers_where_this_user_cannot_see_that(
    checks, private, authority, other_program, monkeypatch
):
    private.write_text(private.read_text().replace("port = 11112", f"port = 11112\ntls_port = {other_program}", 1))
    add_tls(private, authority.issue())
    monkeypatch.setattr(listening, "_open_files", lambda _process: frozenset())  # as of another user's processes
    with alone(load_config(private), "receive"):
        assert checks()["TLS port"][1].endswith("Only the user of the service can see that")


@pytest.fixture
def privileged_port():
    """A port that only root may open, where nobody listens."""
    first_open = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first_open == 0:
        pytest.skip("every user may open every port here")
    return next(port for port in range(first_open - 1, 0, -1) if not listening.sockets(port))


def _ask_for_port(config, port):
    config.write_text(config.read_text().replace("port = 11112", f"port = {port}", 1))
    return load_config(config)


def test_a_port_that_this_user_may_not_open_is_not_taken_and_says_what_to_do(config, privileged_port, plain_user):
    node = _ask_for_port(config, privileged_port)
    plain_user()
    check = doctor.check_port(node)
    assert check.verdict == "warn"
    assert check.text == f"127.0.0.1:{privileged_port} cannot be opened by this user: Permission denied"
    assert "'Port 104'" in check.todo
    assert "Port 104" in (CHECKOUT / "docs/how-to/install.md").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can listen there")
def test_a_port_that_this_user_may_not_open_and_another_program_holds_is_taken(config, privileged_port, plain_user):
    node = _ask_for_port(config, privileged_port)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", privileged_port))
        holder.listen()
        plain_user()
        check = doctor.check_port(node)
    assert check.text.startswith(f"127.0.0.1:{privileged_port} is taken")


def test_an_address_that_is_not_this_machines_is_said(checks, private, other_program):
    text = private.read_text().replace(
        'host = "127.0.0.1"\nport = 11112', f'host = "192.0.2.1"\nport = {other_program}'
    )
    private.write_text(text)
    verdict, said, todo = checks()["port"]
    why = "cannot be opened by this user: Cannot assign requested address"
    assert (verdict, said) == ("warn", f"192.0.2.1:{other_program} {why}")
    assert "receive.host" in todo


def test_anyone_may_send_is_a_warning(checks, private):
    text = private.read_text().replace('"CT1"', '"*"').replace('"127.0.0.1/32"', '"0.0.0.0/0"')
    private.write_text(text)
    assert checks()["allowed peers"][0] == "warn"


@pytest.mark.usefixtures("private")
def test_a_clock_from_before_this_version_fails(checks, monkeypatch):
    monkeypatch.setattr(doctor.time, "time", lambda: 0.0)
    assert checks()["clock"][0] == "fail"


def test_a_receiver_that_lets_nobody_in_under_our_title_is_not_asked(checks, private, free_port, tmp_path):
    text = private.read_text().replace("port = 11112", f"port = {free_port}", 1)
    private.write_text(text.replace('ae_title = "*"', 'ae_title = "SCANNER"'))
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", free_port))
        holder.listen()
        verdict, said, _ = checks()["port"]
        assert (verdict, said.endswith("and the receiver does not run")) == ("warn", True)
        with (tmp_path / "state" / "receive.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            verdict, said, _ = checks()["port"]
        told = f"{free_port}: the receiver listens; it does not admit ICHNODE, so no C-ECHO was tried"
        assert (verdict, said) == ("ok", told)


def test_the_port_for_tls_is_looked_at_as_well(checks, private, authority, free_port, tmp_path):
    assert "TLS port" not in checks()
    text = private.read_text().replace("port = 11112", f"port = 11112\ntls_port = {free_port}", 1)
    private.write_text(text)
    add_tls(private, authority.issue())
    assert checks()["TLS port"][:2] == ("ok", f"127.0.0.1:{free_port} is free; no receiver listens there")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", free_port))
        holder.listen()
        verdict, said, todo = checks()["TLS port"]
        assert (verdict, said.endswith("and the receiver does not run")) == ("warn", True)
        assert "ss -ltnp" in todo
        with (tmp_path / "state" / "receive.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert checks()["TLS port"][:2] == ("ok", f"{free_port}: the receiver listens")
