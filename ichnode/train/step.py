"""One step of training: a showing goes through the network, its losses come back as gradients."""

import hashlib
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from ichnode.domain.errors import IchnodeError
from ichnode.model.network import ExpansionNet
from ichnode.train.loss import expansion_loss, segmentation_loss
from ichnode.train.recipe import Recipe
from ichnode.train.samples import UNKNOWN, Showing


class Diverged(IchnodeError):
    """The loss is no number any more."""


class Trainee:
    """A network on its device, with what the recipe lets it learn and how it is called.

    ``compiled``: through torch.compile. ``optimizer``: Adam over the parameters that the recipe trains; the others are
    frozen.
    """

    def __init__(self, network: ExpansionNet, recipe: Recipe, device: torch.device, *, compiled: bool) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.recipe = recipe
        self.device = device
        self.optimizer = torch.optim.Adam(self._learning(), lr=recipe.schedule.learning_rate)
        self._both: Callable[[Tensor], tuple[Tensor, Tensor]] = self.network.forward
        self._trunk: Callable[[Tensor], Tensor] = self.network.trunk
        self._kept: dict[bytes, Tensor] = {}
        if compiled:
            self._both, self._trunk = torch.compile(self._both), torch.compile(self._trunk)

    def __call__(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of haematoma (1, D, H, W) and of expansion (1,), fp32, for one network input (1, D, H, W)."""
        with self._precision():
            logits, expansion = self._both(self._volume(values))
        return logits[0].float(), expansion.float()

    def expansion(self, values: Tensor) -> Tensor:
        """Logit of expansion (1,), fp32, for one network input (1, D, H, W); the trunk learns nothing from it.

        A frozen trunk says the same of a showing that comes again: where showings do, it is asked once.
        """
        with self._precision():
            logit: Tensor = self.network.expansion(self._seen(values))
        return logit

    def _seen(self, values: Tensor) -> Tensor:
        if not self.recipe.augmentation.recurs:
            return self._trunk(self._volume(values))
        key = hashlib.sha256(values.numpy().tobytes()).digest()
        if key not in self._kept:
            seen = self._trunk(self._volume(values))
            self._kept[key] = seen.bfloat16() if self.recipe.precision == "bf16" else seen
        return self._kept[key]

    def learn(self, showing: Showing, rate: float) -> dict[str, float]:
        """One step of Adam with learning rate ``rate``; returns those losses that count, "segmentation" and
        "expansion".

        Raises Diverged, and leaves the weights as they were, when a loss or a slope is not finite.
        """
        losses = self._losses(showing)
        told = {name: float(loss.detach()) for name, loss in losses.items()}
        if losses:
            self.optimizer.zero_grad(set_to_none=True)
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            if not self._finite(told):
                raise Diverged(
                    f"The loss or its slope is no number any more: {told}.",
                    hint="The last checkpoint and the best weights are kept: lower the learning rate, or use fp32.",
                )
            self.optimizer.param_groups[0]["lr"] = rate
            self.optimizer.step()
        return told

    def _finite(self, told: Mapping[str, float]) -> bool:
        slopes = [one.grad.norm() for one in self.network.parameters() if one.grad is not None]
        return all(math.isfinite(value) for value in told.values()) and bool(torch.stack(slopes).isfinite().all())

    def _losses(self, showing: Showing) -> Mapping[str, Tensor]:
        values, bleed, outcome = showing
        weights = self.recipe.loss
        known = outcome != UNKNOWN and weights.expansion_bce > 0
        if self.recipe.trains == "head":
            return {"expansion": expansion_loss(self.expansion(values), outcome > 0, weights)} if known else {}
        logits, expansion = self(values)
        losses = {"segmentation": segmentation_loss(logits, bleed.to(self.device), weights)}
        if known:
            losses["expansion"] = expansion_loss(expansion, outcome > 0, weights)
        return losses

    def _learning(self) -> list[torch.nn.Parameter]:
        if self.recipe.trains == "head":
            self.network.requires_grad_(requires_grad=False)
            self.network.head.requires_grad_()
            self.network.dense.requires_grad_()
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def _volume(self, values: Tensor) -> Tensor:
        return values[None].to(self.device).contiguous(memory_format=torch.channels_last_3d)

    def _precision(self) -> AbstractContextManager[object]:
        mixed = self.recipe.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16) if mixed else nullcontext()
