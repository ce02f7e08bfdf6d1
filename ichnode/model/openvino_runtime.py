"""The network on OpenVINO: four times as fast as torch on a CPU, with the same answer.

Conversion takes seconds and memory, so it is done once and kept. The kept model carries the digest of its weights in
its name and digests of its own files inside: what does not fit is converted again.
"""

import hashlib
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ichnode.domain.errors import ConfigError, Retryable
from ichnode.domain.values import NetworkInput, Prediction
from ichnode.model.weights import check_weights, load_network

# OpenVINO reports its use to its maker over the internet unless this package is missing. A hospital's node must not
# call out, so the package is made to look missing, before the import below.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

MODEL_FILE, TENSORS_FILE, DIGESTS_FILE = "model.xml", "model.bin", "SHA256SUMS"
TRACE_SHAPE: Final = (1, 1, 16, 32, 32)  # small: tracing runs the network once; the real shape is set afterwards
OUT_OF_MEMORY: Final = ("bad_alloc", "bad allocation", "allocate memory", "out of memory")


class OpenVinoRuntime:
    """fp32 on the CPU, compiled for inputs of ``shape`` (D, H, W)."""

    def __init__(self, folder: Path, *, cache: Path, threads: int, shape: tuple[int, int, int]) -> None:
        self._identity = check_weights(folder)
        self._shape = shape
        core = openvino.Core()
        model = converted(core, folder, cache, self._identity.sha256)
        model.reshape([1, 1, *shape])
        # The hint matters: on CPUs with bfloat16 units the default would be bfloat16.
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        self._compiled = core.compile_model(model, "CPU", settings)

    @property
    def name(self) -> str:
        """Which runtime and device, for people."""
        return "OpenVINO cpu"

    def predict(self, x: NetworkInput) -> Prediction:
        """As ``Runtime.predict``, for inputs of the shape that it was compiled for."""
        segmentation, expansion = self._run(x.values)
        return Prediction(probability=segmentation, expansion=expansion, geometry=x.geometry, model=self._identity)

    def warm_up(self) -> None:
        """As ``Runtime.warm_up``."""
        self._run(np.zeros(self._shape, np.float32))

    def _run(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        try:
            segmentation, expansion = self._compiled(np.ascontiguousarray(values, np.float32)[None, None]).values()
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, MemoryError) or any(words in str(error) for words in OUT_OF_MEMORY):
                raise Retryable(
                    f"Memory ran out while the network ran on {self.name}.",
                    hint="Run fewer workers, or give the machine more memory.",
                ) from error
            raise
        return _sigmoid(segmentation[0, 0]), float(_sigmoid(expansion)[0])


def converted(core: Any, folder: Path, cache: Path, sha256: str) -> Any:
    """The openvino.Model of the weights in ``folder``: from ``cache`` when it is there and whole, else made and kept.

    Several workers may do this at once: each has its own model in hand, and whoever is first leaves it in the cache.
    Raises ConfigError when ``cache`` cannot be written.
    """
    kept = cache / f"{sha256}-openvino-{openvino.__version__.split('-')[0]}"
    if _is_whole(kept):
        return core.read_model(kept / MODEL_FILE)
    network = with_exact_norms(load_network(folder))
    with warnings.catch_warnings():  # OpenVINO still calls torch.jit.trace, which torch announces to drop
        warnings.filterwarnings("ignore", message="`torch.jit.trace", category=DeprecationWarning)
        model = openvino.convert_model(network, example_input=torch.zeros(TRACE_SHAPE))
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _keep(model, kept)
    except OSError as error:
        raise ConfigError(
            f"The converted model cannot be kept in {cache}: {error.strerror}.",
            hint="Make the folder writable for the worker, and see that its disk has 20 MB free.",
        ) from error
    return model


class ExactInstanceNorm(nn.Module):
    """InstanceNorm without affine parameters whose means are taken one axis after the other.

    OpenVINO's own kernel adds up all voxels in one fp32 sum, which is 1e-3 off for two million voxels; the errors of 17
    layers then exceed what two runtimes may differ by. Short sums are 100 times as exact, at a quarter more time.
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, D, H, W) to the same shape, each (D, H, W) with mean 0 and variance 1."""
        centred = x - _mean(x)
        return centred * torch.rsqrt(_mean(centred * centred) + self.eps)


def with_exact_norms(network: nn.Module) -> nn.Module:
    """``network`` with each InstanceNorm3d exchanged, in place, for an ExactInstanceNorm."""
    for name, child in network.named_children():
        if isinstance(child, nn.InstanceNorm3d):
            setattr(network, name, ExactInstanceNorm(child.eps))
        else:
            with_exact_norms(child)
    return network


def _mean(x: Tensor) -> Tensor:
    # Sums and means take turns because OpenVINO merges neighbouring reductions of one kind into a single long sum.
    sums = x.sum(4, keepdim=True).mean(3, keepdim=True).sum(2, keepdim=True)
    return sums / (x.shape[4] * x.shape[2])


def _keep(model: Any, kept: Path) -> None:
    """Put ``model`` at ``kept`` in one step; a broken one there makes way, one that another worker just put stays."""
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=kept.parent) as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        openvino.save_model(model, made / MODEL_FILE, compress_to_fp16=False)
        (made / DIGESTS_FILE).write_text(_digests(made))
        if kept.exists() and not _is_whole(kept):
            kept.rename(Path(scratch) / "broken")
        if not kept.exists():
            made.rename(kept)


def _is_whole(kept: Path) -> bool:
    try:
        return (kept / DIGESTS_FILE).read_text() == _digests(kept)
    except (OSError, UnicodeDecodeError):
        return False


def _digests(folder: Path) -> str:
    """In the format of sha256sum, so that a person can check too."""
    names = (MODEL_FILE, TENSORS_FILE)
    return "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # exp of a large number is inf, and 1 / (1 + inf) is the right 0
        return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
