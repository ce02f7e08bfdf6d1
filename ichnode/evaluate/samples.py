"""What every statistic here asks of its samples."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z_95: Final = 1.959963984540054  # 97.5 % point of the normal distribution: two-sided 95 % intervals


def labelled(outcomes: ArrayLike, values: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """``outcomes`` (N,) as bool and ``values`` (N,) as float64, a pair a case.

    Raises ValueError for another shape, for outcomes that are not yes or no, and for values that are not finite:
    cases without an outcome or without a value are to be left out, and counted, before.
    """
    told = np.asarray(outcomes)
    numbers = np.asarray(values, np.float64)
    if told.ndim != 1 or told.shape != numbers.shape:
        raise ValueError(f"{told.shape} outcomes do not fit {numbers.shape} values.")
    if told.dtype == object or not np.isin(told, (0, 1)).all():
        raise ValueError("An outcome is neither yes nor no.")
    if not np.isfinite(numbers).all():
        raise ValueError("A value is not a finite number.")
    return told.astype(np.bool_), numbers
