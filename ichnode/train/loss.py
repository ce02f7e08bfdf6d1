"""What training minimises."""

from torch import Tensor
from torch.nn import functional

from ichnode.train.recipe import Loss


def segmentation_loss(logits: Tensor, bleed: Tensor, weights: Loss) -> Tensor:
    """``dice`` × (1 - soft Dice) + ``voxel_bce`` × mean cross-entropy; ``logits`` and ``bleed`` of one shape."""
    found = logits.sigmoid()
    smooth = weights.smooth_voxels if bool(bleed.any()) else weights.smooth_empty_voxels
    dice = (2 * (found * bleed).sum() + smooth) / (found.sum() + bleed.sum() + smooth)
    loss = weights.dice * (1 - dice)
    if weights.voxel_bce:
        loss = loss + weights.voxel_bce * functional.binary_cross_entropy_with_logits(logits, bleed)
    return loss


def expansion_loss(logit: Tensor, expanded: bool, weights: Loss) -> Tensor:
    """``expansion_bce`` × cross-entropy of one outcome; ``logit`` (1,)."""
    return weights.expansion_bce * functional.binary_cross_entropy_with_logits(
        logit, logit.new_full(logit.shape, float(expanded))
    )
