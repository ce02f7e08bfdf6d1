"""The three state machines, each one table; whatever is not in its table is refused."""

from enum import StrEnum
from typing import Final

from ichnode.domain.errors import IllegalMove


class SeriesState(StrEnum):
    """Where one revision of a series stands."""

    RECEIVING = "receiving"  # slices may still come
    SETTLED = "settled"  # complete, or given up waiting: its set of slices is final
    SUPERSEDED = "superseded"  # late slices made a later revision


class Transfer(StrEnum):
    """How the association that last brought a slice of a series stands: RAM forgets it at a kill -9."""

    NONE = "none"  # not over the network, or not known
    OPEN = "open"
    CLOSED = "closed"  # released in order
    CUT = "cut"  # aborted, or we died under it: quiet does not mean complete


class Decision(StrEnum):
    """What became of a settled series."""

    PENDING = "pending"  # other series of the study are still awaited
    ANALYSE = "analyse"
    SKIP = "skip"  # accepted, stored, not analysed: the text says why


class JobState(StrEnum):
    """Where one job stands."""

    QUEUED = "queued"
    RUNNING = "running"  # leased to a worker
    DONE = "done"
    REJECTED = "rejected"  # never analysable; the reason is a sentence
    FAILED = "failed"  # attempts used up


class DeliveryState(StrEnum):
    """Where one object's way to one destination stands."""

    PENDING = "pending"
    SENT = "sent"  # the destination answered success or a warning
    DEAD = "dead"  # permanently refused: a person must look


_S, _J, _D = SeriesState, JobState, DeliveryState

MOVES: Final[frozenset[tuple[StrEnum, StrEnum]]] = frozenset(
    {
        (_S.RECEIVING, _S.SETTLED),
        (_S.SETTLED, _S.SUPERSEDED),
        (_J.QUEUED, _J.RUNNING),
        (_J.QUEUED, _J.REJECTED),  # its revision was superseded before it began
        (_J.RUNNING, _J.DONE),
        (_J.RUNNING, _J.REJECTED),
        (_J.RUNNING, _J.FAILED),
        (_J.RUNNING, _J.QUEUED),  # given back, or a lease that ran out
        (_D.PENDING, _D.SENT),
        (_D.PENDING, _D.DEAD),
        (_D.DEAD, _D.PENDING),  # by hand: resend
        (_D.SENT, _D.PENDING),  # by hand: resend
    }
)


def check_move(old: StrEnum, new: StrEnum) -> None:
    """Raises IllegalMove unless the machine that ``old`` belongs to may go from ``old`` to ``new``."""
    if (old, new) not in MOVES:
        raise IllegalMove(f"{type(old).__name__} cannot go from {old} to {new}")
