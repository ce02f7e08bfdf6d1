"""Whether results bear their patient's identity: a PACS is asked before they go out. Source: PS3.4 C.4.1, C.6.2.1."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydicom import dcmread
from pydicom.dataset import Dataset

from ichnode.deliver.association import Timeouts
from ichnode.deliver.pull import find
from ichnode.domain.outputs import Peer
from ichnode.domain.person import Person, differences
from ichnode.queue.database import Database
from ichnode.queue.holds import hold_study

KEYWORDS: Final = {
    "PatientID": "patient_id",
    "IssuerOfPatientID": "issuer",
    "PatientName": "name",
    "PatientBirthDate": "birth_date",
}
MOST_ANSWERS: Final = 20  # about one study: a PACS that knows it under several patients answers with each
ODD: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    NotImplementedError,
)  # what pydicom makes of odd bytes


def is_held(
    db: Database, study_instance_uid: str, files: Iterable[Path], knower: Peer, timeouts: Timeouts, now: float
) -> bool:
    """Asks ``knower`` whose the study is, and holds it where that is not who the ``files`` say. A study that it does
    not list yet is not held: that contradicts nothing. Raises Retryable when it cannot be asked, OSError.
    """
    theirs = persons_of(knower, study_instance_uid, timeouts)
    if not theirs:
        return False
    ours = {_person(dcmread(path, specific_tags=list(KEYWORDS), stop_before_pixels=True)) for path in files}
    differ = {keyword for one in ours for other in theirs for keyword in differences(one, other)}
    if not differ:
        return False
    named = ", ".join(keyword for keyword in KEYWORDS if keyword in differ)
    reason = f"{knower.name} has another {named} for the study than its images"
    told = hashlib.sha256(repr(sorted(map(repr, theirs))).encode()).hexdigest()
    return hold_study(db, study_instance_uid, told=told, reason=reason, now=now)


def persons_of(peer: Peer, study_instance_uid: str, timeouts: Timeouts) -> frozenset[Person]:
    """Whose a PACS says that a study is: nobody's where it does not list it. Raises Retryable."""
    query = Dataset()
    query.SpecificCharacterSet = "ISO_IR 192"
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study_instance_uid
    for keyword in KEYWORDS:
        setattr(query, keyword, "")
    found = find(peer, query, timeouts, most=MOST_ANSWERS, within_s=timeouts.dimse_s)
    # Some PACS answer with more than was asked for.
    return frozenset(
        _person(one) for one in found if one.get("StudyInstanceUID", study_instance_uid) == study_instance_uid
    )


def _person(dataset: Dataset) -> Person:
    return Person(**{name: _text(dataset, keyword) for keyword, name in KEYWORDS.items()})


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        return str(dataset.get(keyword) or "").strip(" \0")
    except ODD:
        return ""  # as if it were not stated
