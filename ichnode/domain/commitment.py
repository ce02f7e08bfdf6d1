"""Storage commitment in values: what is asked, what is reported, and what each reason for a failure means."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PROCESSING_FAILURE: Final = 0x0110  # PS3.3 C.14.1.1, Failure Reason
NO_SUCH_INSTANCE: Final = 0x0112
CLASS_INSTANCE_CONFLICT: Final = 0x0119
CLASS_NOT_SUPPORTED: Final = 0x0122
DUPLICATE_TRANSACTION: Final = 0x0131
RESOURCE_LIMITATION: Final = 0x0213


class Commitment(StrEnum):
    """Whether a destination is asked for storage commitment."""

    AUTO = "auto"  # where it offers it; that it does not is learnt, and asked again after a week
    ASK = "ask"  # always: that it does not is an alarm
    NO = "no"


class Next(StrEnum):
    """What follows when a destination does not commit to an object."""

    SEND = "send"  # it has not got it: send again, then ask again
    ASK = "ask"  # later it may
    ALARM = "alarm"  # it never will: a person must look


FAILURES: Final[Mapping[int, tuple[Next, str]]] = {
    PROCESSING_FAILURE: (Next.ASK, "processing failure"),
    NO_SUCH_INSTANCE: (Next.SEND, "no such object instance"),
    CLASS_INSTANCE_CONFLICT: (Next.ALARM, "the object is there with another SOP class"),
    CLASS_NOT_SUPPORTED: (Next.ALARM, "it commits to no object of this SOP class"),
    DUPLICATE_TRANSACTION: (Next.ASK, "duplicate transaction UID"),
    RESOURCE_LIMITATION: (Next.ASK, "it has not enough resources for now"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One object by its UIDs."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Which objects a peer is asked to commit to."""

    transaction_uid: str
    objects: tuple[Named, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a request. ``failed``: each object with its Failure Reason (0008,1197)."""

    transaction_uid: str
    committed: tuple[Named, ...]
    failed: tuple[tuple[Named, int], ...]


def what_follows(reason: int) -> tuple[Next, str]:
    """What a failure reason means and leads to; one that no standard knows is asked again: that loses nothing.

    Source: PS3.3 C.14.1.1.
    """
    follows, text = FAILURES.get(reason, (Next.ASK, "a reason that the standard does not know"))
    return follows, f"0x{reason:04X}: {text}"
