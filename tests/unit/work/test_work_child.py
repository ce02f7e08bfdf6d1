"""The child process when its worker is killed: it ends, quietly."""

from functools import partial

import pytest

from ichnode.work.child import SPAWN, _main
from ichnode.work.task import Ready, Task
from tests.unit.work import performers

DEADLINE_S = 60
TASK = Task(job_id=1, paths=(), at=0, explain="", awaited=True, missing=0, weights=None, predecessors=())


@pytest.mark.parametrize("at_a_task", [True, False], ids=["with an answer to give", "before it has loaded"])
def test_a_child_whose_worker_was_killed_ends_with_one_line(tmp_path, capfd, at_a_task):
    ours, theirs = SPAWN.Pipe()
    child = SPAWN.Process(target=_main, args=(theirs, partial(performers.patient, tmp_path)), daemon=True)
    child.start()
    theirs.close()
    if at_a_task:
        assert isinstance(ours.recv(), Ready)
        ours.send(TASK)

    ours.close()
    (tmp_path / "go").touch()
    child.join(DEADLINE_S)

    assert child.exitcode == 0
    assert capfd.readouterr().err == "the worker is gone: its child ends\n"
