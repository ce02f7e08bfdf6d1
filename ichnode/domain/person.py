"""Whom an object says it is of, compared with whom another says: what differs, told without what it was."""

import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Identifying attributes as they stand in a header, stripped; empty where it is silent. ``birth_date`` YYYYMMDD."""

    patient_id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""


def differences(ours: Person, theirs: Person) -> tuple[str, ...]:
    """Keywords of the attributes by which ``theirs``, who is asked because it knows better, is somebody else.

    What one of the two does not state says nothing, but for a Patient ID that theirs has and ours has not: whoever was
    unknown when the images were taken has been identified since. Case, padding and trailing carets of a name do not
    count, nor do component groups that only one of the two has. Source: PS3.5 6.2.1.
    """
    found = []
    if theirs.patient_id and theirs.patient_id != ours.patient_id:
        found.append("PatientID")
    if ours.issuer and theirs.issuer and ours.issuer != theirs.issuer:
        found.append("IssuerOfPatientID")
    if any(a != b for a, b in zip(name_groups(ours.name), name_groups(theirs.name), strict=False) if a and b):
        found.append("PatientName")
    if ours.birth_date and theirs.birth_date and ours.birth_date != theirs.birth_date:
        found.append("PatientBirthDate")
    return tuple(found)


def name_groups(name: str) -> tuple[str, ...]:
    """The component groups of a person's name (alphabetic, ideographic, phonetic) in the form they are compared in."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    groups = (re.sub(r"\s+", " ", re.sub(r"\s*\^\s*", "^", group)).strip("^ ") for group in folded.split("="))
    return tuple(groups)
