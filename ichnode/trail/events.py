"""What the node tells of itself, an event a function: from its own words to DICOM's. Source: PS3.15 A.5.3."""

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ichnode.domain.outputs import Peer
from ichnode.trail import codes
from ichnode.trail.message import (
    AccessPoint,
    Action,
    AuditMessage,
    Gravity,
    Participant,
    Source,
    Thing,
    patient,
    study,
)

Counts = Mapping[str, int]  # SOP class UID -> instances
Patient = Callable[[str], str]  # Study Instance UID -> whose it is, named or not as the configuration says


@dataclass(frozen=True, slots=True, kw_only=True)
class Us:
    """The process that reports: ``service`` is its verb."""

    source: Source
    service: str
    ae_title: str
    patient_of: Patient
    clock: Callable[[], float]

    def taking_part(self, *, is_requestor: bool, role: codes.Code | None = None) -> Participant:
        """This process as a participant; its process id is the journal's too."""
        return Participant(
            user_id=str(os.getpid()),
            is_requestor=is_requestor,
            role=role,
            ae_titles=(self.ae_title,),
            name=f"ichnode {self.service}",
            at=socket.gethostname(),
        )


def started(us: Us) -> AuditMessage:
    """This service has started."""
    return _activity(us, codes.APPLICATION_START, Gravity.SUCCESS)


def stopped(us: Us, gravity: Gravity) -> AuditMessage:
    """This service stops, in order or because of an error."""
    return _activity(us, codes.APPLICATION_STOP, gravity)


def associated(us: Us, ae_title: str, address: str, why: str = "", how: str = "", times: int = 1) -> AuditMessage:
    """A peer opened an association; with ``why`` it was refused. ``how``: over what, where that is not plain text.
    ``times``: so often since the last such message."""
    text = f"association{how} refused: {why}" if why else f"association accepted{how}"
    text += f" ({times} of this address)" if times > 1 else ""
    gravity = Gravity.MINOR if why else Gravity.SUCCESS
    return _alert(us, codes.NODE_AUTHENTICATION, gravity, text, others=(_caller(ae_title, address),))


def receiving(us: Us, ae_title: str, address: str, study_instance_uid: str, counts: Counts) -> AuditMessage:
    """The first instance of a study came over an association."""
    people = _transfer_in(us, ae_title, address)
    return _message(us, codes.BEGIN_TRANSFERRING, Action.EXECUTE, people, study_instance_uid, counts)


def received(
    us: Us,
    ae_title: str,
    address: str,
    study_instance_uid: str,
    counts: Counts,
    *,
    is_new: bool,
    in_order: bool,
    asked: bool = False,
) -> AuditMessage:
    """An association that brought instances of a study has ended. ``is_new``: not all were here already; ``asked``: we
    had asked for them."""
    return _message(
        us,
        codes.INSTANCES_TRANSFERRED,
        Action.CREATE if is_new else Action.READ,
        _transfer_in(us, ae_title, address, asked=asked),
        study_instance_uid,
        counts,
        gravity=Gravity.SUCCESS if in_order else Gravity.MINOR,
        text="" if in_order else "the association broke off",
    )


def quarantined(us: Us, ae_title: str, address: str, study_instance_uid: str, count: int, why: str) -> AuditMessage:
    """Instances were kept apart because they contradict what is here: ``why`` is a sentence without patient data."""
    text = f"{count} instances put into quarantine: {why}"
    things = _of(us, study_instance_uid, {})
    return _alert(us, codes.QUARANTINED, Gravity.MINOR, text, others=(_caller(ae_title, address),), things=things)


def imported(us: Us, user: str, folder: str, study_instance_uid: str) -> AuditMessage:
    """A person took a study in from files."""
    medium = Participant(user_id=folder, is_requestor=False, role=codes.SOURCE_MEDIA, media=codes.MEDIA_URI)
    here = us.taking_part(is_requestor=False, role=codes.DESTINATION_ROLE)
    people = (Participant(user_id=user, is_requestor=True), here, medium)
    return _message(us, codes.IMPORT, Action.CREATE, people, study_instance_uid)


def analysed(us: Us, study_instance_uid: str, counts: Counts, *, is_done: bool) -> AuditMessage:
    """The images of a series were used for an analysis; ``is_done``: it came to an end."""
    gravity = Gravity.SUCCESS if is_done else Gravity.MINOR
    kind = codes.INSTANCES_ACCESSED, Action.READ, (us.taking_part(is_requestor=True),)
    return _message(us, *kind, study_instance_uid, counts, types=(codes.ANALYSIS,), gravity=gravity)


def made(us: Us, study_instance_uid: str, counts: Counts) -> AuditMessage:
    """Objects were made for a study."""
    kind = codes.INSTANCES_ACCESSED, Action.CREATE, (us.taking_part(is_requestor=True),)
    return _message(us, *kind, study_instance_uid, counts, types=(codes.ANALYSIS,))


def sending(us: Us, peer: Peer, study_instance_uid: str, counts: Counts) -> AuditMessage:
    """Objects of a study are about to be sent."""
    people = _transfer_out(us, peer)
    return _message(us, codes.BEGIN_TRANSFERRING, Action.EXECUTE, people, study_instance_uid, counts)


def sent(us: Us, peer: Peer, study_instance_uid: str, counts: Counts, refused: int) -> AuditMessage:
    """The destination has taken objects of a study; ``refused``: how many it did not take."""
    return _message(
        us,
        codes.INSTANCES_TRANSFERRED,
        Action.READ,  # A.5.3.7: the sender does not know what the receiver held before
        _transfer_out(us, peer),
        study_instance_uid,
        counts,
        gravity=Gravity.MINOR if refused else Gravity.SUCCESS,
        text=f"{refused} objects were not taken" if refused else "",
    )


def asked_for(us: Us, user: str, what: codes.Code, study_instance_uid: str) -> AuditMessage:
    """A person asked for an analysis or a delivery (``what``) by hand."""
    kind = codes.INSTANCES_ACCESSED, Action.READ, _by_hand(us, user)
    return _message(us, *kind, study_instance_uid, types=(what,))


def deleted(us: Us, study_instance_uid: str, why: str) -> AuditMessage:
    """Files of a study were deleted; ``why`` is a sentence without patient data."""
    people = (us.taking_part(is_requestor=True),)
    return _message(us, codes.STUDY_DELETED, Action.DELETE, people, study_instance_uid, text=why)


def purged(us: Us, user: str, study_instance_uid: str, why: str) -> AuditMessage:
    """A person has all that is kept of a study deleted; ``why`` is a sentence without patient data."""
    people = _by_hand(us, user)
    return _message(us, codes.STUDY_DELETED, Action.DELETE, people, study_instance_uid, text=why)


def altered(us: Us, study_instance_uid: str, sop_instance_uid: str) -> AuditMessage:
    """A file of ours is not the one that was checked and recorded."""
    text = f"the file of object {sop_instance_uid} is not the one that was checked: it was not sent"
    return _alert(us, codes.OBJECT_ALTERED, Gravity.SERIOUS, text, things=_of(us, study_instance_uid, {}))


def damaged(us: Us, text: str) -> AuditMessage:
    """The trail itself is damaged, in words."""
    return _alert(us, codes.TRAIL_DAMAGED, Gravity.SERIOUS, text)


def resumed(us: Us, lost: int, since: float) -> AuditMessage:
    """The trail can be written again; ``lost`` messages since ``since`` were not."""
    minutes = max(1, round((us.clock() - since) / 60))
    text = f"{lost} audit messages of the last {minutes} min could not be written"
    return _alert(us, codes.RECORDING_STARTED, Gravity.SERIOUS, text)


def acknowledged(us: Us, user: str, text: str) -> AuditMessage:
    """A person has seen to alarms; ``text`` says how many of which kind."""
    person = Participant(user_id=user, is_requestor=True)
    return _alert(us, codes.ACKNOWLEDGED, Gravity.SUCCESS, text, others=(person,))


def log_read(us: Us, user: str, uri: str) -> AuditMessage:
    """A person read the trail."""
    trail = Thing(kind="2", role="13", identifier=uri, identified_by=codes.URI, name="Security Audit Log")
    people = _by_hand(us, user)
    return AuditMessage(
        event=codes.AUDIT_LOG_USED, action=Action.READ, at=us.clock(), participants=people, things=(trail,)
    )


def _activity(us: Us, kind: codes.Code, gravity: Gravity) -> AuditMessage:
    return AuditMessage(
        event=codes.APPLICATION_ACTIVITY,
        action=Action.EXECUTE,
        at=us.clock(),
        gravity=gravity,
        types=(kind,),
        participants=(us.taking_part(is_requestor=False, role=codes.APPLICATION),),
    )


def _message(
    us: Us,
    event: codes.Code,
    action: Action,
    people: tuple[Participant, ...],
    study_instance_uid: str,
    counts: Counts = MappingProxyType({}),
    *,
    types: tuple[codes.Code, ...] = (),
    gravity: Gravity = Gravity.SUCCESS,
    text: str = "",
) -> AuditMessage:
    """What was done with a study."""
    return AuditMessage(
        event=event,
        action=action,
        at=us.clock(),
        gravity=gravity,
        types=types,
        description=text,
        participants=people,
        things=_of(us, study_instance_uid, counts),
    )


def _alert(
    us: Us,
    kind: codes.Code,
    gravity: Gravity,
    text: str,
    *,
    others: tuple[Participant, ...] = (),
    things: tuple[Thing, ...] = (),
) -> AuditMessage:
    """A security alert (A.5.3.11): what it is about is this node, told in words."""
    details = {"Alert Description": text}
    subject = Thing(
        kind="2", role="13", identifier=us.ae_title, identified_by=codes.NODE_ID, name=us.ae_title, details=details
    )
    return AuditMessage(
        event=codes.SECURITY_ALERT,
        action=Action.EXECUTE,
        at=us.clock(),
        gravity=gravity,
        types=(kind,),
        description=text,
        participants=(us.taking_part(is_requestor=not others), *others),
        things=(subject, *things),
    )


def _of(us: Us, study_instance_uid: str, counts: Counts) -> tuple[Thing, ...]:
    return study(study_instance_uid, counts), patient(us.patient_of(study_instance_uid))


def _by_hand(us: Us, user: str) -> tuple[Participant, ...]:
    return Participant(user_id=user, is_requestor=True), us.taking_part(is_requestor=False)


def _caller(ae_title: str, address: str) -> Participant:
    return Participant(
        user_id=ae_title, is_requestor=True, ae_titles=(ae_title,), at=address, at_kind=AccessPoint.ADDRESS
    )


def _transfer_in(us: Us, ae_title: str, address: str, *, asked: bool = False) -> tuple[Participant, ...]:
    there = Participant(
        user_id=ae_title,
        is_requestor=not asked,
        role=codes.SOURCE_ROLE,
        ae_titles=(ae_title,),
        at=address,
        at_kind=AccessPoint.ADDRESS,
    )
    return there, us.taking_part(is_requestor=asked, role=codes.DESTINATION_ROLE)


def _transfer_out(us: Us, peer: Peer) -> tuple[Participant, ...]:
    there = Participant(
        user_id=peer.ae_title, is_requestor=False, role=codes.DESTINATION_ROLE, ae_titles=(peer.ae_title,), at=peer.host
    )
    return us.taking_part(is_requestor=True, role=codes.SOURCE_ROLE), there
