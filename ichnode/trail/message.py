"""One audit message and its XML. Source: PS3.15 A.5.1 (schema) and A.5.2 (conventions)."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from ichnode.trail.codes import PATIENT_NUMBER, STUDY_UID, Code

APPLICATION_SERVER: Final = "4"  # A.5.1.2.1: audit source type
# What XML 1.0 cannot hold, and what would break a line of the file: titles and addresses come from the wire.
UNPRINTABLE: Final = re.compile("[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Action(StrEnum):
    """What was done to the object. Source: A.5.2, EventActionCode."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Gravity(StrEnum):
    """How it ended. Source: A.5.2, EventOutcomeIndicator."""

    SUCCESS = "0"
    MINOR = "4"
    SERIOUS = "8"
    MAJOR = "12"


class AccessPoint(StrEnum):
    """What a network address is. Source: A.5.2, NetworkAccessPointTypeCode."""

    NAME = "1"
    ADDRESS = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A person, process or node that took part. ``ae_titles``: of a DICOM application (A.5.2.2)."""

    user_id: str
    is_requestor: bool
    role: Code | None = None
    ae_titles: tuple[str, ...] = ()
    name: str = ""
    at: str = ""
    at_kind: AccessPoint = AccessPoint.NAME
    media: Code | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """What was acted on. ``kind`` and ``role`` as A.5.2 codes them; ``sop_classes``: instances of each class.

    The schema wants a name of everything, though A.5.2 leaves it to the user: an empty one is written.
    """

    kind: str
    role: str
    identifier: str
    identified_by: Code
    name: str = ""
    sop_classes: Mapping[str, int] = field(default_factory=dict)
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who reports: ``identifier`` of the node, ``site`` where it stands (may be empty)."""

    identifier: str
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditMessage:
    """One event. ``at``: seconds since the epoch."""

    event: Code
    action: Action
    at: float
    participants: tuple[Participant, ...]
    gravity: Gravity = Gravity.SUCCESS
    types: tuple[Code, ...] = ()
    description: str = ""
    things: tuple[Thing, ...] = ()


def study(study_instance_uid: str, sop_classes: Mapping[str, int]) -> Thing:
    """A study with how many instances of each SOP class it is about."""
    return Thing(kind="2", role="3", identifier=study_instance_uid, identified_by=STUDY_UID, sop_classes=sop_classes)


def patient(identifier: str) -> Thing:
    """The patient, by identifier alone: the name (user option in A.5.3) is never told."""
    return Thing(kind="1", role="1", identifier=identifier, identified_by=PATIENT_NUMBER)


def timestamp(at: float) -> str:
    """UTC with milliseconds, as xsd:dateTime and RFC 5424 write it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_xml(message: AuditMessage, source: Source) -> str:
    """The message on one line, without an XML declaration: UTF-8 is what the syslog transport says anyway."""
    root = Element("AuditMessage")
    given = {"EventActionCode": message.action, "EventDateTime": timestamp(message.at)}
    event = SubElement(root, "EventIdentification", given | {"EventOutcomeIndicator": message.gravity})
    _code(event, "EventID", message.event)
    for kind in message.types:
        _code(event, "EventTypeCode", kind)
    if message.description:
        SubElement(event, "EventOutcomeDescription").text = _plain(message.description)
    for participant in message.participants:
        _participant(root, participant)
    site = {"AuditEnterpriseSiteID": _plain(source.site)} if source.site else {}
    reporter = SubElement(root, "AuditSourceIdentification", site | {"AuditSourceID": _plain(source.identifier)})
    SubElement(reporter, "AuditSourceTypeCode", {"csd-code": APPLICATION_SERVER})
    for thing in message.things:
        _thing(root, thing)
    return tostring(root, encoding="unicode")


def _participant(root: Element, participant: Participant) -> None:
    values = {"UserID": _plain(participant.user_id)}
    if participant.ae_titles:
        values["AlternativeUserID"] = "AETITLES=" + ";".join(map(_plain, participant.ae_titles))
    if participant.name:
        values["UserName"] = _plain(participant.name)
    values["UserIsRequestor"] = str(participant.is_requestor).lower()
    if participant.at:
        values |= {"NetworkAccessPointID": _plain(participant.at), "NetworkAccessPointTypeCode": participant.at_kind}
    element = SubElement(root, "ActiveParticipant", values)
    if participant.role is not None:
        _code(element, "RoleIDCode", participant.role)
    if participant.media is not None:
        _code(SubElement(element, "MediaIdentifier"), "MediaType", participant.media)


def _thing(root: Element, thing: Thing) -> None:
    values = {"ParticipantObjectID": _plain(thing.identifier), "ParticipantObjectTypeCode": thing.kind}
    values["ParticipantObjectTypeCodeRole"] = thing.role
    element = SubElement(root, "ParticipantObjectIdentification", values)
    _code(element, "ParticipantObjectIDTypeCode", thing.identified_by)
    SubElement(element, "ParticipantObjectName").text = _plain(thing.name)
    for kind, value in thing.details.items():
        encoded = base64.b64encode(value.encode()).decode()
        SubElement(element, "ParticipantObjectDetail", {"type": kind, "value": encoded})
    if thing.sop_classes:
        description = SubElement(element, "ParticipantObjectDescription")
        for uid, count in sorted(thing.sop_classes.items()):
            SubElement(description, "SOPClass", {"UID": _plain(uid), "NumberOfInstances": str(count)})


def _code(parent: Element, tag: str, code: Code) -> None:
    values = {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    SubElement(parent, tag, values)


def _plain(text: str) -> str:
    return UNPRINTABLE.sub("?", text)
