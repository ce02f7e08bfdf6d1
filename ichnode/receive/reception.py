"""What one association brings, told to the audit trail when a study begins and when the association has ended."""

from collections import Counter, defaultdict

from ichnode.receive.intake import Outcome, Taken
from ichnode.trail import events
from ichnode.trail.trail import Trail


class Reception:
    """One association's instances, by study. A crash leaves the beginnings in the trail, without their ends."""

    def __init__(self, trail: Trail, ae_title: str, address: str) -> None:
        self._trail, self._caller = trail, (ae_title, address)
        self._studies: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._new: set[str] = set()
        self._apart: Counter[tuple[str, str]] = Counter()

    def notes(self, taken: Taken, sop_class_uid: str) -> None:
        """One instance was taken in, or put into quarantine."""
        study = taken.study_instance_uid
        if taken.outcome == Outcome.QUARANTINED:
            self._apart[study, taken.why] += 1
        elif study:
            if study not in self._studies:
                self._trail.write(events.receiving, *self._caller, study, {sop_class_uid: 1})
            self._studies[study][sop_class_uid] += 1
            if taken.outcome == Outcome.KEPT:
                self._new.add(study)

    def ended(self, *, in_order: bool) -> None:
        """The association has ended."""
        for study, counts in self._studies.items():
            is_new = study in self._new
            self._trail.write(events.received, *self._caller, study, counts, is_new=is_new, in_order=in_order)
        for (study, why), count in self._apart.items():
            self._trail.write(events.quarantined, *self._caller, study, count, why)
