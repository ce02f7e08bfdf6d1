"""The haematoma-volume model that the network is compared with: expansion from baseline volume alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ichnode.evaluate.logistic import LogisticFit, NoFit, fit_logistic


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeModel:
    """log odds of expansion = intercept + slope × volume in mL, as fitted on a training split."""

    fit: LogisticFit

    def probability(self, volumes_ml: ArrayLike) -> NDArray[np.float64]:
        """Probability (N,) in [0, 1] of expansion at baseline volumes (N,) in mL."""
        return self.fit.probability(volumes_ml)


def fit_volume_model(outcomes: ArrayLike, volumes_ml: ArrayLike) -> VolumeModel | NoFit:
    """Fits the volume model on ``volumes_ml`` (N,) and whether each haematoma expanded (N,) bool.

    The volume enters as it is, as in the paper: a logarithm would only bend the probabilities, not the ranking, so
    that the AUC is the same while the slope is positive. Returns why there is no model where there is none. Raises
    ValueError for samples that do not fit. Source: Zhong 2021, supplement.
    """
    fit = fit_logistic(outcomes, volumes_ml)
    return VolumeModel(fit=fit) if isinstance(fit, LogisticFit) else fit
