"""Services under one parent: real small processes, each started again when it ends, all ended with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import pytest

from ichnode import supervise as module
from ichnode.supervise import supervise

CHECKOUT = Path(__file__).parents[3]
FATAL = 2
LIMIT_S = 30.0

# Stands in for `ichnode`: `python -m ichnode FOLDER VERB` notes that it started, then does as its verb says.
STAND_IN = """\
import os, pathlib, signal, sys
folder, verb = pathlib.Path(sys.argv[1]), sys.argv[2]
def end(*_):
    (folder / f"{verb}.ended").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
(folder / f"{verb}.{os.getpid()}.started").touch()
if verb == "dies" and len(list(folder.glob("dies.*.started"))) < 3:
    sys.exit(1)
if verb == "fatal":
    sys.exit(2)
if verb == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (folder / "deaf.deaf").touch()
while True:
    signal.pause()
"""


@pytest.fixture(autouse=True)
def stand_in(tmp_path, monkeypatch):
    (tmp_path / "path/ichnode").mkdir(parents=True)
    (tmp_path / "path/ichnode/__main__.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    monkeypatch.chdir(tmp_path)  # `python -m` looks here before anything else
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.05)
    monkeypatch.setattr(module, "POLL_S", 0.01)


def until(condition):
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        Event().wait(0.01)


@pytest.fixture
def start(tmp_path):
    """Supervises in a thread; returns the stop event and a way to await the exit code."""
    stops = []

    def begin(*verbs, alive=lambda: None):
        stop, codes = Event(), []
        work = Thread(
            target=lambda: codes.append(
                supervise([str(tmp_path)], [(verb,) for verb in verbs], stop, fatal=FATAL, alive=alive)
            )
        )
        work.start()
        stops.append((stop, work))

        def ended():
            work.join(LIMIT_S)
            return codes[0]

        return stop, ended

    yield begin
    for stop, work in stops:
        stop.set()
        work.join(LIMIT_S)


def started(folder, verb):
    return [int(path.name.split(".")[1]) for path in folder.glob(f"{verb}.*.started")]


def test_a_service_that_ends_is_started_again(start, tmp_path, caplog):
    start("dies", "runs")
    until(lambda: len(started(tmp_path, "dies")) == 3)
    assert len(started(tmp_path, "runs")) == 1
    assert "dies ended with code 1: started again in" in caplog.text


def test_one_that_is_killed_is_started_again(start, tmp_path):
    start("runs")
    until(lambda: started(tmp_path, "runs"))
    os.kill(started(tmp_path, "runs")[0], signal.SIGKILL)
    until(lambda: len(started(tmp_path, "runs")) == 2)


def test_a_wrong_configuration_ends_them_all(start, tmp_path):
    _, ended = start("runs", "fatal")
    assert ended() == FATAL
    (pid,) = started(tmp_path, "runs") or [None]
    assert pid is None or not Path(f"/proc/{pid}").exists()


def test_stop_ends_them_all_in_order(start, tmp_path):
    stop, ended = start("runs", "too")
    until(lambda: started(tmp_path, "runs") and started(tmp_path, "too"))
    stop.set()
    assert ended() == 0
    assert (tmp_path / "runs.ended").exists()
    assert (tmp_path / "too.ended").exists()


def test_one_that_does_not_end_in_time_is_killed(start, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "GRACE_S", 0.2)
    stop, ended = start("deaf")
    until(lambda: (tmp_path / "deaf.deaf").exists())
    stop.set()
    assert ended() == 0
    assert not Path(f"/proc/{started(tmp_path, 'deaf')[0]}").exists()


def test_the_parent_is_alive_as_long_as_it_looks_after_them(start):
    signs = []
    start("runs", alive=lambda: signs.append(1))
    until(lambda: len(signs) > 3)


def test_the_children_end_with_a_parent_that_is_killed(tmp_path):
    """Left alone they would hold port and lock against the next parent."""
    program = (
        f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n"
        "from threading import Event; from ichnode.supervise import supervise\n"
        f"supervise([{str(tmp_path)!r}], [('runs',)], Event(), fatal=2, alive=lambda: None)\n"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = elsewhere / "parent.py"
    script.write_text(program)
    parent = subprocess.Popen([sys.executable, str(script)])
    until(lambda: started(tmp_path, "runs"))
    parent.kill()
    parent.wait(LIMIT_S)
    until(lambda: (tmp_path / "runs.ended").exists())
