"""What one round sends to a destination, told to the audit trail before it begins and when it has ended."""

from collections import Counter
from collections.abc import Sequence

from ichnode.deliver.classify import Outcome
from ichnode.domain.outputs import Peer
from ichnode.queue.outbox import Due
from ichnode.trail import events
from ichnode.trail.trail import Trail


class Dispatch:
    """The objects of one study on their way to one peer. A crash leaves the beginning in the trail, without its end."""

    def __init__(self, trail: Trail, peer: Peer, items: Sequence[Due]) -> None:
        self._trail, self._peer = trail, peer
        self._study = items[0].study_instance_uid if items else ""
        self._taken: Counter[str] = Counter()
        self._refused = 0
        if items:
            counts = Counter(item.output.sop_class_uid for item in items)
            trail.write(events.sending, peer, self._study, counts)

    def answered(self, item: Due, outcome: Outcome) -> None:
        """The peer took one, or did not."""
        self._taken[item.output.sop_class_uid] += outcome == Outcome.SENT
        self._refused += outcome in (Outcome.DEAD, Outcome.AGAIN)

    def ended(self) -> None:
        """The round has ended. Where the peer could not be reached nothing was transferred, and nothing is told."""
        counts = +self._taken
        if counts or self._refused:
            self._trail.write(events.sent, self._peer, self._study, counts, self._refused)
