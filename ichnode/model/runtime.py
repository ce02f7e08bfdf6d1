"""What executes the network: one protocol, two runtimes behind it."""

from pathlib import Path
from typing import Final, Literal, Protocol

from ichnode.domain.values import NetworkInput, Prediction

Device = Literal["auto", "cpu", "cuda", "torch-cpu"]
INPUT_SHAPE: Final = (32, 256, 256)


class Runtime(Protocol):
    """A network with its weights, ready to predict."""

    @property
    def name(self) -> str:
        """Which runtime and device, for people: "OpenVINO cpu", "torch cuda"."""

    def predict(self, x: NetworkInput) -> Prediction:
        """Haematoma (D, H, W) and expansion, both as probabilities, for one volume.

        Raises Retryable when memory runs out.
        """

    def warm_up(self) -> None:
        """Predict once, on nothing, so that the first patient does not wait for allocations and kernel choice."""


def open_runtime(folder: Path, *, device: Device, cache: Path, threads: int) -> Runtime:
    """The runtime for ``device`` with the weights of ``folder``.

    "auto" takes torch on CUDA where there is a GPU, else OpenVINO; "cpu" is OpenVINO, "torch-cpu" the reference.
    ``cache`` keeps the model that was converted for OpenVINO. ``threads`` 0: as many as the runtime thinks fit.

    Raises ConfigError for weights that do not match their card, and for "cuda" without a GPU.
    """
    # Imported here: the one that is not needed costs a second and its memory.
    if device == "cpu" or (device == "auto" and not _has_cuda()):
        from ichnode.model.openvino_runtime import OpenVinoRuntime

        return OpenVinoRuntime(folder, cache=cache, threads=threads, shape=INPUT_SHAPE)
    from ichnode.model.torch_runtime import TorchRuntime

    return TorchRuntime(folder, device="cpu" if device == "torch-cpu" else "cuda", threads=threads)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
