"""What became of the instances of one association, in numbers."""

from collections import Counter
from dataclasses import dataclass, field

from ichnode.receive.intake import Outcome, Taken


@dataclass(slots=True)
class Tally:
    """Counts by outcome, and by the reason where there was one. ``awaited``: the instances that there was no room for
    and that have not come again, SOP Instance UID to Series Instance UID."""

    counts: Counter[str] = field(default_factory=Counter)
    why: Counter[str] = field(default_factory=Counter)
    awaited: dict[str, str] = field(default_factory=dict)

    def notes(self, taken: Taken, sop_instance_uid: str, *, awaited_in: str = "") -> None:
        """One instance more. ``awaited_in``: the series that waits for it, where there was no room for it."""
        self.awaited.pop(sop_instance_uid, None)
        if awaited_in:
            self.awaited[sop_instance_uid] = awaited_in
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
