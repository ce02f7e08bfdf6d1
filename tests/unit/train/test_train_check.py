"""What is refused before hours are spent, as far as no whole run is needed to see it."""

import pytest
import torch

from ichnode.domain.errors import ConfigError
from ichnode.model.network import ExpansionNet
from ichnode.train.check import RESULTS, check_machine, check_places
from ichnode.train.fit import Cases, Machine, Watch, fit


def test_a_compiler_that_is_not_there_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    check_machine(Machine())
    with pytest.raises(ConfigError, match=r"finds no C\+\+ compiler") as said:
        check_machine(Machine(compiled=True))
    assert "leave --compile out" in said.value.hint

    (tmp_path / "g++").touch(mode=0o755)
    check_machine(Machine(compiled=True))


@pytest.mark.parametrize("written", [RESULTS[:1], RESULTS])
def test_a_run_that_died_as_it_wrote_its_first_weights_may_go_on(source_of, case, recipe, tmp_path, written):
    """They are written before the checkpoint that knows of them, and are the run's own all the same."""

    class Died(BaseException):
        pass

    def die(_network, _progress):
        for name in written:
            (tmp_path / name).write_bytes(b"")
        raise Died

    cases = Cases(train=(source_of("a", case(1)),), val=(source_of("b", case(2), split="val"),))
    torch.manual_seed(1)
    with pytest.raises(Died):
        fit(ExpansionNet(), cases, recipe(), Machine(threads=1, workers=0), tmp_path, watch=Watch(best=die))

    check_places(tmp_path, None)
