"""Whether two headers speak of the same person."""

import pytest

from ichnode.domain.person import Person, differences

JANE = Person(patient_id="17", issuer="CITY", name="Doe^Jane", birth_date="19500101")


@pytest.mark.parametrize(
    ("theirs", "found"),
    [
        (JANE, ()),
        (Person(), ()),
        (Person(patient_id="17", name="DOE^JANE^^^", birth_date="19500101"), ()),
        (Person(patient_id="17", name="Doe ^ Jane=ドウ^ジェーン"), ()),
        (Person(patient_id="18"), ("PatientID",)),
        (Person(issuer="OTHER"), ("IssuerOfPatientID",)),
        (Person(name="Doe^John"), ("PatientName",)),
        (Person(birth_date="19500102"), ("PatientBirthDate",)),
        (Person(patient_id="18", name="Roe^Jane"), ("PatientID", "PatientName")),
    ],
)
def test_what_differs_is_told_and_what_is_not_stated_says_nothing(theirs, found):
    assert differences(JANE, theirs) == found


def test_who_was_unknown_and_is_identified_by_now_is_another():
    assert differences(Person(name="Unknown"), Person(patient_id="17")) == ("PatientID",)
