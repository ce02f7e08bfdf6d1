"""What the node writes, and where it goes."""

from dataclasses import dataclass
from enum import StrEnum


class ObjectKind(StrEnum):
    """The kinds of object that a result has. The order is the order of sending: the SR is the root and comes late."""

    SEG = "SEG"
    SR = "SR"
    SC = "SC"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One object on disk, checked and final. ``path`` is relative to the store; ``number`` orders the SC.
    ``profiles``: for which destinations it was made, by the names of their output profiles.
    """

    kind: ObjectKind
    number: int
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    path: str
    sha256: str
    profiles: tuple[str, ...] = ("default",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An object by the UIDs that a reference to it needs."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A DICOM application entity that the node calls."""

    name: str
    host: str
    port: int
    ae_title: str  # the called title
    calling_ae_title: str = "ICHNODE"
