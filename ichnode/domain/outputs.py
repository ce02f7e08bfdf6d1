"""What the node writes, and where it goes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ichnode.domain.tls import PeerTls


class ObjectKind(StrEnum):
    """The kinds of object that a result has. The order is that of sending: what is referred to before what refers."""

    SEG = "SEG"
    SR = "SR"
    SC = "SC"
    KOS = "KOS"  # Key Object Selection: the slice to look at first; only where something was found
    PDF = "PDF"  # the first page of the SC once more, for what shows documents


USUAL_KINDS: Final = (ObjectKind.SEG, ObjectKind.SR, ObjectKind.SC)  # what suits a PACS that nobody knows
USUAL_PROFILE: Final = "default"  # the name of the forms in which an unknown PACS gets them


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
    profiles: tuple[str, ...] = (USUAL_PROFILE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An object by the UIDs that a reference to it needs. ``profiles``: as of OutputFile, where it is one of ours."""

    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    profiles: tuple[str, ...] = (USUAL_PROFILE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A DICOM application entity that the node calls."""

    name: str
    host: str
    port: int
    ae_title: str  # the called title
    calling_ae_title: str = "ICHNODE"
    tls: PeerTls | None = None  # None: it is called in plain text
