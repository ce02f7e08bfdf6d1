"""What became of the instances of one association, in numbers."""

from collections import Counter
from dataclasses import dataclass, field

from ichnode.receive.intake import OUT_OF_RESOURCES, Outcome, Taken


@dataclass(slots=True)
class Tally:
    """Counts by outcome, and by the reason where there was one. ``awaited``: UIDs of instances that there was no room
    for, and that have not come again."""

    counts: Counter[str] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)
    awaited: set[str] = field(default_factory=set)

    def notes(self, taken: Taken, sop_instance_uid: str) -> None:
        """One instance more."""
        if taken.status == OUT_OF_RESOURCES:
            self.awaited.add(sop_instance_uid)
        else:
            self.awaited.discard(sop_instance_uid)
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
