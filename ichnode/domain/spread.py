"""How a figure spreads over the cases that a network was trained on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean and standard deviation of a figure over the training cases, and what it was at least and at most."""

    mean: float
    sd: float
    lowest: float
    highest: float
