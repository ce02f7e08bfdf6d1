"""A service and its host: signals, systemd's notifications, log lines without a patient."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys

import pytest

from ichnode.service import HumanLines, JsonLines, Watchdog, notify, stop_on_signals, trace


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """A real notification socket; what it was told."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(str(tmp_path / "notify"))
    channel.settimeout(5)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    yield channel
    channel.close()


def test_systemd_is_told(systemd):
    notify("READY=1")
    assert systemd.recv(99) == b"READY=1"


def test_systemd_is_told_through_an_abstract_socket(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("")  # Linux chooses an abstract name
        channel.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + channel.getsockname()[1:].decode())
        notify("STOPPING=1")
        assert channel.recv(99) == b"STOPPING=1"


def test_without_systemd_nobody_is_told(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


def test_the_watchdog_is_told_three_times_within_its_time_however_often_one_is_alive(systemd, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    watchdog = Watchdog()
    now = 1000.0
    monkeypatch.setattr("ichnode.service.time.monotonic", lambda: now)
    systemd.setblocking(False)
    told = []
    for _ in range(301):  # 30 s, ten calls a second
        watchdog.alive()
        now += 0.1
        try:
            told.append(systemd.recv(99))
        except BlockingIOError:
            continue
    assert told == [b"WATCHDOG=1"] * 3


def test_without_a_watchdog_nobody_is_told(systemd, monkeypatch):
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    Watchdog().alive()
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(99)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_sets_the_event(number):
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        stop = stop_on_signals()
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(5)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def test_a_signal_that_comes_while_the_event_is_locked_does_not_hang():
    """The handler runs in the main thread, at any line of it: also where that holds the lock of the event."""
    program = (
        "import os, signal, sys; from ichnode.service import stop_on_signals\n"
        "stop = stop_on_signals()\n"
        "with stop._cond:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.exit(0 if stop.wait(20) else 1)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


def _open(header):
    return header["PatientName"]


@pytest.fixture
def record():
    """A log record of an exception that quotes a patient, behind another one."""
    try:
        try:
            _open({})
        except KeyError as error:
            raise ValueError("cannot read MUELLER^ANNA") from error
    except ValueError:
        made = logging.getLogger("ichnode.work.loop").makeRecord(
            "ichnode.work.loop", logging.ERROR, __file__, 1, "job %d: failed", (7,), sys.exc_info()
        )
    made.job, made.action = 7, "fail"
    return made


def test_a_json_line_has_message_ids_and_the_place_of_the_exception_but_not_its_words(record):
    line = JsonLines().format(record)
    said = json.loads(line)
    assert "\n" not in line
    assert (said["message"], said["level"], said["logger"]) == ("job 7: failed", "error", "ichnode.work.loop")
    assert (said["job"], said["action"]) == (7, "fail")
    assert said["exception"].startswith("ValueError at test_service.py:")
    assert " caused by KeyError at test_service.py:" in said["exception"]
    assert said["exception"].endswith(" _open")
    assert "MUELLER" not in line
    assert "PatientName" not in line


def test_a_line_for_a_terminal_says_the_same_in_one_line(record):
    line = HumanLines().format(record)
    assert line[8:].startswith(" error   work     job 7: failed  [job=7 action=fail]  ValueError at test_service.py:")
    assert "MUELLER" not in line
    assert "\n" not in line


def test_the_place_of_no_exception_is_nothing():
    assert trace(None) == ""


def said_by(program: str) -> tuple[str, str]:
    """What a program of its own says, on standard output and on standard error."""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    return ended.stdout, ended.stderr


def test_logs_go_to_standard_error_and_pynetdicom_is_silent():
    """pynetdicom logs identifiers of peers' requests: patients."""
    out, err = said_by("""
import logging
from ichnode.service import set_up_logging
set_up_logging("info")
logging.getLogger("ichnode.receive.scp").info("listening", extra={"action": "listen"})
logging.getLogger("ichnode.receive.scp").debug("a detail")
logging.getLogger("pynetdicom.assoc").error("MUELLER^ANNA")
""")
    assert out == ""
    assert [json.loads(line)["message"] for line in err.splitlines()] == ["listening"]


def test_a_thread_that_breaks_does_not_print_what_a_peer_sent():
    """Python's own hook prints the message: found by fuzzing, over a command that pynetdicom could not decode."""
    _out, err = said_by("""
import threading
from ichnode.service import set_up_logging
set_up_logging("info")
def breaks():
    raise ValueError("MUELLER^ANNA")
thread = threading.Thread(target=breaks)
thread.start()
thread.join()
""")
    (line,) = err.splitlines()
    assert json.loads(line)["message"].startswith("a thread ended: ValueError at ")
    assert "MUELLER" not in line
