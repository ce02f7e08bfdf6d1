"""What became of the instances of one association, in numbers."""

from collections import Counter
from dataclasses import dataclass, field

from ichnode.receive.intake import Outcome, Taken


@dataclass(slots=True)
class Tally:
    """Counts by outcome, and by the reason where there was one."""

    counts: Counter[str] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)

    def notes(self, taken: Taken) -> None:
        """One instance more."""
        self.counts[taken.outcome] += 1
        if taken.why:
            self.why[taken.why] += 1

    def __str__(self) -> str:
        return ", ".join(f"{n} {outcome}" for outcome, n in sorted(self.counts.items()))

    @property
    def refusals(self) -> str:
        """Why instances were refused; empty where none was."""
        if not self.counts[Outcome.REFUSED]:
            return ""
        return "; ".join(f"{n} because {reason}" for reason, n in self.why.items())
