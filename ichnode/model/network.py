"""The network of Zhong et al. 2021 as a torch module: a 3-D U-Net that segments, and a head that predicts expansion.

The structure is consistent with the published count of 3,802,578 parameters; other structures reach the same number.
Source: Zhong et al., Stroke and Vascular Neurology 2021;6(4):610-614, supplement.
"""

from typing import Final

import torch
from torch import Tensor, nn

PARAMETERS: Final = 3_802_578
STRIDE: Final = 4  # D, H and W of the input must be multiples: two levels are halved


def block(inputs: int, outputs: int, *, stride: int = 1, bias: bool = True) -> nn.Sequential:
    """3×3×3 convolution, InstanceNorm without affine parameters, ReLU."""
    convolution = nn.Conv3d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=bias)
    return nn.Sequential(convolution, nn.InstanceNorm3d(outputs), nn.ReLU(inplace=True))


def up(inputs: int, outputs: int) -> nn.ConvTranspose3d:
    """2×2×2 transposed convolution that doubles D, H and W."""
    return nn.ConvTranspose3d(inputs, outputs, kernel_size=2, stride=2, bias=False)


class ExpansionNet(nn.Module):
    """Haematoma segmentation and expansion from one brain-stripped, normalised CT volume."""

    def __init__(self) -> None:
        super().__init__()
        self.level1 = nn.Sequential(block(1, 16, bias=False), block(16, 16), block(16, 16))
        self.level2 = nn.Sequential(block(16, 32, stride=2, bias=False), block(32, 32), block(32, 32))
        self.level3 = nn.Sequential(block(32, 64, stride=2, bias=False), block(64, 64), block(64, 64))
        self.bridge = nn.Sequential(block(64, 128), *(block(128, 128) for _ in range(4)))
        self.up2 = up(128, 64)
        self.merge2 = nn.Sequential(block(96, 64), block(64, 64), block(64, 64))
        self.up1 = up(64, 32)
        self.merge1 = nn.Sequential(block(48, 32), block(32, 32), block(32, 32))
        self.out = nn.Conv3d(32, 1, kernel_size=1)
        self.head = nn.Sequential(block(128, 128), block(128, 128))
        self.dense = nn.Linear(128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of haematoma for every voxel, and of expansion for every volume.

        ``x`` (N, 1, D, H, W) float; D, H and W multiples of 4. Returns ((N, 1, D, H, W), (N,)).
        """
        level1, level2, bridge = self._encode(x)
        y = torch.cat([self.up2(bridge), level2], dim=1)  # (N, 64 + 32, D/2, H/2, W/2)
        y = self.merge2(y)  # (N, 64, D/2, H/2, W/2)
        y = torch.cat([self.up1(y), level1], dim=1)  # (N, 32 + 16, D, H, W)
        y = self.merge1(y)  # (N, 32, D, H, W)
        return self.out(y), self.expansion(bridge)  # (N, 1, D, H, W), (N,)

    @torch.no_grad()
    def trunk(self, x: Tensor) -> Tensor:
        """What the trunk makes of ``x``, (N, 128, D/4, H/4, W/4): all that the head sees, with nothing to learn."""
        return self._encode(x)[2]

    def expansion(self, bridge: Tensor) -> Tensor:
        """Logits (N,) of expansion from what ``trunk`` returned."""
        features = self.head(bridge)
        with torch.autocast(features.device.type, enabled=False):  # bf16 would round off what tells the means apart
            pooled = features.float().mean(dim=(2, 3, 4))  # (N, 128)
            logits: Tensor = self.dense(pooled).squeeze(1)  # (N,)
        return logits

    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        level1 = self.level1(x)  # (N, 16, D, H, W)
        level2 = self.level2(level1)  # (N, 32, D/2, H/2, W/2)
        level3 = self.level3(level2)  # (N, 64, D/4, H/4, W/4)
        return level1, level2, self.bridge(level3)  # (N, 128, D/4, H/4, W/4)
