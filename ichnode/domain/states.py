"""The state machines, all in one table; whatever is not in its table is refused."""

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
    CUT = "cut"  # aborted, refused for want of room, or we died under it: quiet does not mean complete


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
    COMMITTED = "committed"  # it has taken the object into its safekeeping: storage commitment
    CONFIRMED = "confirmed"  # a query finds the object there
    UNCOMMITTED = "uncommitted"  # sent, but it neither commits to it nor lists it: a person must look
    DEAD = "dead"  # permanently refused: a person must look


class Closing(StrEnum):
    """What is still to follow after an object was sent; its file is kept until then."""

    NOTHING = "nothing"
    COMMIT = "commit"  # its destination is asked for storage commitment
    CONFIRM = "confirm"  # it is looked for by C-FIND


class RequestState(StrEnum):
    """Where one storage commitment request of ours stands."""

    OPEN = "open"  # written down, perhaps sent; a report may come
    REFUSED = "refused"  # the destination did not take the request
    OVERDUE = "overdue"  # no report in time: asked again; a late one still counts
    REPORTED = "reported"


class PromiseState(StrEnum):
    """Where one storage commitment request of a peer to us stands."""

    DUE = "due"  # taken; the report has to go out
    REPORTED = "reported"
    GIVEN_UP = "given_up"  # for a week the report could not be delivered: a person must look


_S, _J, _D, _R, _P = SeriesState, JobState, DeliveryState, RequestState, PromiseState

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
        (_D.SENT, _D.PENDING),  # by hand: resend; or the destination says that it has not got it
        (_D.SENT, _D.COMMITTED),
        (_D.SENT, _D.CONFIRMED),
        (_D.SENT, _D.UNCOMMITTED),
        (_D.UNCOMMITTED, _D.COMMITTED),  # a late report
        (_D.UNCOMMITTED, _D.CONFIRMED),
        (_D.UNCOMMITTED, _D.SENT),  # the configuration asks for no more
        (_D.UNCOMMITTED, _D.PENDING),  # by hand: resend
        (_D.COMMITTED, _D.PENDING),  # by hand: resend
        (_D.CONFIRMED, _D.PENDING),  # by hand: resend
        (_R.OPEN, _R.REPORTED),
        (_R.OPEN, _R.REFUSED),
        (_R.OPEN, _R.OVERDUE),
        (_R.OVERDUE, _R.REPORTED),
        (_R.REFUSED, _R.REPORTED),  # its answer was lost or wrong: the report is what counts
        (_P.DUE, _P.REPORTED),
        (_P.REPORTED, _P.DUE),  # asked for once more: the peer lost the report
        (_P.DUE, _P.GIVEN_UP),
        (_P.GIVEN_UP, _P.DUE),  # asked for once more; or the deliverer was started again
        (_P.GIVEN_UP, _P.REPORTED),  # it was on its way
    }
)


def check_move(old: StrEnum, new: StrEnum) -> None:
    """Raises IllegalMove unless the machine that ``old`` belongs to may go from ``old`` to ``new``."""
    if (old, new) not in MOVES:
        raise IllegalMove(f"{type(old).__name__} cannot go from {old} to {new}")
