"""The network on torch: for GPUs, and as the reference that the other runtime is compared with."""

from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ichnode.domain.errors import ConfigError, Retryable
from ichnode.domain.values import NetworkInput, Prediction
from ichnode.model.runtime import INPUT_SHAPE
from ichnode.model.weights import check_weights, load_network

CPU_OUT_OF_MEMORY: Final = ("can't allocate memory", "not enough memory")  # torch has no type of its own for it


class TorchRuntime:
    """fp32 on ``device``, without TF32 and with deterministic kernels: the same input gives the same bits again."""

    def __init__(self, folder: Path, *, device: Literal["cpu", "cuda"], threads: int) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                'device is "cuda", but torch finds no GPU.',
                hint='Install the NVIDIA driver and a CUDA build of torch, or set device = "auto".',
            )
        if threads:
            torch.set_num_threads(threads)
        self._identity = check_weights(folder)
        self._device = torch.device(device)
        self._network = load_network(folder).to(self._device)

    @property
    def name(self) -> str:
        """Which runtime and device, for people."""
        return f"torch {self._device.type}"

    def predict(self, x: NetworkInput) -> Prediction:
        """As ``Runtime.predict``; any D, H and W that are multiples of 4."""
        segmentation, expansion = self._run(x.values)
        return Prediction(probability=segmentation, expansion=expansion, geometry=x.geometry, model=self._identity)

    def warm_up(self) -> None:
        """As ``Runtime.warm_up``."""
        self._run(np.zeros(INPUT_SHAPE, np.float32))

    @torch.inference_mode()
    def _run(self, values: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        try:
            with torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False, allow_tf32=False):
                volume = torch.tensor(values, device=self._device)[None, None]  # (1, 1, D, H, W)
                segmentation, expansion = self._network(volume)
                return segmentation[0, 0].sigmoid().cpu().numpy(), float(expansion[0].sigmoid())
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise _out_of_memory(self.name) from error
        except RuntimeError as error:
            if any(words in str(error) for words in CPU_OUT_OF_MEMORY):
                raise _out_of_memory(self.name) from error
            raise


def _out_of_memory(name: str) -> Retryable:
    return Retryable(
        f"Memory ran out while the network ran on {name}.", hint="Run fewer workers, or give the machine more memory."
    )
