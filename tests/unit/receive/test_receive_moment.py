"""When an image was taken, and whose it is: the two facts on which a follow-up rests."""

from datetime import UTC, datetime

import pytest
from pydicom.dataset import Dataset

from ichnode.receive.header import facts_of
from ichnode.receive.moment import moment, moment_of_datetime

NOON_UTC = datetime(2024, 2, 29, 12, 0, tzinfo=UTC).timestamp()
LOCAL_NOON = datetime(2024, 2, 29, 12, 0).timestamp()


def header(**values) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def pair(which: str, time: str = "120000") -> dict[str, str]:
    return {f"{which}Date": "20240229", f"{which}Time": time}


@pytest.mark.parametrize(
    ("values", "at"),
    [
        ({"AcquisitionDateTime": "20240229120000.000000+0000"}, NOON_UTC),
        ({"AcquisitionDateTime": "20240229200000", "TimezoneOffsetFromUTC": "+0800"}, NOON_UTC),
        ({"AcquisitionDateTime": "20240229120000+0000", "TimezoneOffsetFromUTC": "+0800"}, NOON_UTC),
        (pair("Acquisition", "063000") | {"TimezoneOffsetFromUTC": "-0530"}, NOON_UTC),
        (pair("Acquisition"), LOCAL_NOON),
        (pair("Acquisition") | pair("Content", "235959") | pair("Study", "010000"), LOCAL_NOON),
        ({"AcquisitionTime": "235959"} | pair("Content"), LOCAL_NOON),
        (pair("Series"), LOCAL_NOON),
        (pair("Study", "120000.000000"), LOCAL_NOON),
        ({"AcquisitionDateTime": "20240229"} | pair("Study"), LOCAL_NOON),
        ({"StudyDate": "20240229"}, None),
        ({}, None),
    ],
)
def test_the_nearest_word_for_the_time_of_acquisition_counts(values, at):
    assert facts_of(header(**values)).acquired_at == at


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("20240230", "120000"),
        ("00010101", "120000"),
        ("20240229", "1"),
        ("20240229", "250000"),
        ("20240229", ""),
        ("", "120000"),
        ("20240229\\20240301", "120000"),
        ("ABCDEFGH", "120000"),
    ],
)
def test_what_is_no_moment_is_none(date, time):
    assert moment(date, time) is None


def test_the_forms_of_old_scanners_are_read():
    assert moment("2024.02.29", "12:00:00") == LOCAL_NOON
    assert moment("20240229", "1200") == LOCAL_NOON
    assert moment("20240229", "120060") == LOCAL_NOON + 59  # a leap second
    assert moment("20240229", "120000.5", "+0000") == NOON_UTC + 0.5


def test_an_offset_that_is_none_counts_as_the_nodes_own():
    assert moment("20240229", "120000", "CET") == LOCAL_NOON
    assert moment("20240229", "120000", "+9900") == LOCAL_NOON
    assert moment_of_datetime("20240229120000&0000") is None


def test_the_time_of_a_multi_frame_image_stands_with_its_frames():
    frame, group, image = Dataset(), Dataset(), Dataset()
    frame.FrameAcquisitionDateTime = "20240229120000+0000"
    group.FrameContentSequence = [frame]
    image.PerFrameFunctionalGroupsSequence = [group]
    assert facts_of(image).acquired_at == NOON_UTC


@pytest.mark.parametrize(
    "patient_id",
    [
        *("", " ", "0", "0000", "000-000", "UNKNOWN", "unknown ", "N/A", "Anonymous", "--"),
        *("TRAUMA", "Trauma 3", "Emergency", "NOTFALL-12", "unbekannt", "UNIDENTIFIED", "Unknown_007"),
        *("Anonymized", "ANONYMISED", "De-identified", "NULL", "none", "TEST", "test 1", "PATIENT"),
        *("XXXX", "xxx", "999999", "111", "xxx-xxx"),
    ],
)
def test_an_empty_patient_id_or_a_word_for_nobody_is_no_identity(patient_id):
    assert not facts_of(header(PatientID=patient_id)).identified


@pytest.mark.parametrize(
    "patient_id",
    [
        *("1", "11", "P-007", "TESTA", "张三-12", "UNKNOWN-2024-17", "TRAUMA20240229", "9999991"),
        *("ANON-0017", "PATIENT 12", "TRAUMATIC"),  # a pseudonym of a cohort is one person's
    ],
)
def test_any_other_patient_id_is_somebodys(patient_id):
    assert facts_of(header(PatientID=patient_id, SpecificCharacterSet="ISO_IR 192")).identified
