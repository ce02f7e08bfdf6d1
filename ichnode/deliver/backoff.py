"""How long to wait before the next attempt."""

from dataclasses import dataclass
from random import Random
from typing import Final

LARGEST_EXPONENT: Final = 32  # 2.0 ** attempts overflows after six weeks of hourly attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential, with full jitter, and without an end: a peer may be away for days.

    The wait is drawn evenly from 0 to ``first_s`` · 2^attempts, at most ``max_s``: many objects (or nodes) that failed
    at one moment do not come back at one moment.
    """

    first_s: float = 60.0
    max_s: float = 3600.0

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.max_s:
            raise ValueError(f"A back-off needs 0 < first_s <= max_s, not {self.first_s} and {self.max_s}.")

    def delay_s(self, attempts: int, rng: Random) -> float:
        """Seconds to wait after an attempt that ``attempts`` others went before."""
        ceiling_s = min(self.max_s, self.first_s * 2.0 ** min(attempts, LARGEST_EXPONENT))
        return rng.uniform(0, ceiling_s)
