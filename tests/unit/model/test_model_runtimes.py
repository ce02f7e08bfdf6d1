import subprocess
import sys
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch

from ichnode.domain.errors import ConfigError, Retryable
from ichnode.model import openvino_runtime
from ichnode.model.openvino_runtime import ExactInstanceNorm, OpenVinoRuntime
from ichnode.model.runtime import INPUT_SHAPE, open_runtime
from ichnode.model.torch_runtime import TorchRuntime
from ichnode.model.weights import check_weights

SMALL = (16, 64, 48)  # not the shape that is traced


def on_openvino(weights, cache, shape=SMALL):
    return OpenVinoRuntime(weights, cache=cache, threads=1, shape=shape)


@pytest.mark.parametrize("shape", [SMALL, INPUT_SHAPE])
def test_both_runtimes_give_the_same_probabilities(shipped, tmp_path, head, shape):
    x = head(shape)
    reference = TorchRuntime(shipped, device="cpu", threads=2).predict(x)

    found = on_openvino(shipped, tmp_path, shape).predict(x)

    assert np.ptp(reference.probability) > 0.25  # they say something
    np.testing.assert_allclose(found.probability, reference.probability, rtol=0, atol=1e-3)
    assert found.expansion == pytest.approx(reference.expansion, abs=1e-3)
    assert found.model == reference.model == check_weights(shipped)
    assert found.geometry is reference.geometry is x.geometry


@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_the_same_input_gives_the_same_bits_again(weights, tmp_path, head, device, monkeypatch):
    monkeypatch.setattr("ichnode.model.runtime.INPUT_SHAPE", SMALL)
    runtime = open_runtime(weights, device=device, cache=tmp_path / "cache", threads=1)

    first, second = runtime.predict(head(SMALL)), runtime.predict(head(SMALL))

    assert first.probability.dtype == np.float32
    assert first.probability.shape == SMALL
    assert first.probability.tobytes() == second.probability.tobytes()
    assert first.expansion == second.expansion


def test_auto_takes_openvino_where_there_is_no_gpu(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("ichnode.model.runtime.INPUT_SHAPE", SMALL)

    runtime = open_runtime(weights, device="auto", cache=tmp_path, threads=1)
    runtime.warm_up()

    assert runtime.name == "OpenVINO cpu"


def test_the_reference_may_be_asked_for(weights, tmp_path):
    assert open_runtime(weights, device="torch-cpu", cache=tmp_path, threads=0).name == "torch cpu"


def test_cuda_without_a_gpu_is_a_fault_of_the_configuration(weights, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(ConfigError, match="no GPU") as caught:
        open_runtime(weights, device="cuda", cache=tmp_path, threads=1)

    assert "auto" in caught.value.hint


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried 1 bytes"),
    ],
)
def test_running_out_of_memory_may_work_later(weights, tmp_path, head, monkeypatch, error):
    def fail(*_):
        raise error

    reference = TorchRuntime(weights, device="cpu", threads=1)
    other = on_openvino(weights, tmp_path)
    monkeypatch.setattr(reference, "_network", fail)
    monkeypatch.setattr(other, "_compiled", fail)

    for runtime in (reference, other):
        with pytest.raises(Retryable, match="Memory ran out"):
            runtime.predict(head(SMALL))


def test_a_defect_is_not_mistaken_for_want_of_memory(weights, tmp_path):
    x = np.zeros((16, 64, 47), np.float32)

    for runtime in (TorchRuntime(weights, device="cpu", threads=1), on_openvino(weights, tmp_path)):
        with pytest.raises(RuntimeError, match="47"):
            runtime._run(x)


@torch.inference_mode()
def test_the_exact_norm_is_the_norm_that_the_network_was_trained_with():
    x = torch.rand(1, 3, 8, 16, 16, dtype=torch.float64)

    torch.testing.assert_close(ExactInstanceNorm(1e-5)(x), torch.nn.InstanceNorm3d(3)(x))


@pytest.fixture
def conversions(monkeypatch):
    """Counts the conversions, of a small network in place of the real one."""
    real, calls = openvino.convert_model, []
    small = torch.nn.Sequential(torch.nn.Conv3d(1, 2, 3, padding=1), torch.nn.InstanceNorm3d(2)).eval()
    monkeypatch.setattr(openvino_runtime, "load_network", lambda _: small)
    monkeypatch.setattr(openvino, "convert_model", lambda *a, **k: calls.append(1) or real(*a, **k))
    return calls


def convert(cache, sha256="5ha"):
    return openvino_runtime.converted(openvino.Core(), Path("weights"), cache, sha256)


def test_a_model_is_converted_once(tmp_path, conversions):
    cache = tmp_path / "not" / "yet"

    made, kept = convert(cache), convert(cache)

    assert len(conversions) == 1
    x = np.random.default_rng(0).random((1, 1, 16, 32, 32), np.float32)
    first, second = (openvino.compile_model(model, "CPU")(x)[0] for model in (made, kept))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("damage", "name"),
    [("cut", "model.xml"), ("one bit", "model.bin"), ("gone", "model.bin"), ("gone", "SHA256SUMS")],
)
def test_a_damaged_converted_model_is_made_again(tmp_path, conversions, damage, name):
    convert(tmp_path)
    (path,) = tmp_path.glob(f"*/{name}")
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 0x80
        path.write_bytes(data)

    convert(tmp_path)
    assert len(conversions) == 2

    convert(tmp_path)
    assert len(conversions) == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_other_weights_get_a_converted_model_of_their_own(tmp_path, conversions):
    convert(tmp_path, "one")
    convert(tmp_path, "two")

    assert len(conversions) == 2
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == ["one", "two"]


def test_a_worker_that_comes_second_leaves_the_model_of_the_first(tmp_path, monkeypatch, conversions):
    real = openvino.save_model

    def save_after_another_worker(*args, **kwargs):
        monkeypatch.setattr(openvino, "save_model", real)
        convert(tmp_path)
        real(*args, **kwargs)

    monkeypatch.setattr(openvino, "save_model", save_after_another_worker)
    convert(tmp_path)
    assert len(conversions) == 2

    convert(tmp_path)
    assert len(conversions) == 2
    assert [path.name for path in sorted(tmp_path.glob("*/*"))] == ["SHA256SUMS", "model.bin", "model.xml"]


@pytest.mark.usefixtures("conversions")
def test_a_cache_that_cannot_be_written_is_a_fault_of_the_configuration(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ConfigError, match="cannot be kept") as caught:
        convert(tmp_path / "file")

    assert "writable" in caught.value.hint


def test_openvino_is_kept_from_reporting_its_use_to_its_maker():
    script = """if True:
        import sys
        import ichnode.model.openvino_runtime
        from openvino.tools.ovc import telemetry_utils
        assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"
        assert not [name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module]
    """
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
