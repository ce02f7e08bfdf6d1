"""The time from onset to CT, from the attributes that a site says it in."""

import time
from datetime import UTC, datetime

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ichnode.domain.errors import ConfigError
from ichnode.domain.onset import OnsetMeaning, OnsetRule
from ichnode.image.onset import onset_of

COMMENT = OnsetRule(attribute="StudyComments", pattern=r"onset (?P<hours>\d+):(?P<minutes>\d\d)")
PRIVATE = OnsetRule(attribute="(0033,xx01)", creator="HIS", pattern=r"^(?P<hours>[-\d.,]+)$")
CLOCK = OnsetRule(attribute="(0032,4000)", pattern=r"seit (?P<hour>\d\d):(?P<minute>\d\d)", meaning=OnsetMeaning.CLOCK)
DATED = OnsetRule(
    attribute="StudyComments",
    pattern=r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d) (?P<hour>\d\d):(?P<minute>\d\d)",
    meaning=OnsetMeaning.CLOCK,
)
NOON = datetime(2024, 2, 29, 12, 0).timestamp()


def study(comment="", private=None) -> Dataset:
    ds = Dataset()
    ds.StudyComments = comment
    if private is not None:
        ds.private_block(0x0033, "HIS", create=True).add_new(0x01, "LO", private)
    return ds


def hours(dataset, *rules, at=NOON):
    found = onset_of(dataset, rules, at)
    return None if found is None else (found.hours, found.source)


@pytest.mark.parametrize(
    ("dataset", "rule", "said"),
    [
        (study("stroke, onset 1:30"), COMMENT, (1.5, "StudyComments")),
        (study(private="2.25"), PRIVATE, (2.25, "(0033,xx01)")),
        (study(private="2,25"), PRIVATE, (2.25, "(0033,xx01)")),
        (study("seit 09:45"), CLOCK, (2.25, "(0032,4000)")),
        (study("seit 13:00"), CLOCK, (23.0, "(0032,4000)")),  # the last time it was one o'clock
        (study("2024-02-28 23:30"), DATED, (12.5, "StudyComments")),
    ],
)
def test_a_site_says_the_onset_in_its_own_way(dataset, rule, said):
    assert hours(dataset, rule) == said


@pytest.mark.parametrize(
    ("dataset", "rule"),
    [
        (study("nothing of it"), COMMENT),
        (study(), PRIVATE),
        (study(private="-1"), PRIVATE),  # after the CT
        (study(private="169"), PRIVATE),  # more than seven days
        (study(private="..,"), PRIVATE),
        (study("2024-02-29 12:30"), DATED),  # after the CT
        (study("2024-02-31 12:30"), DATED),
        (study("seit 25:00"), CLOCK),
    ],
)
def test_what_cannot_be_counts_as_not_said(dataset, rule):
    assert hours(dataset, rule) is None


def test_a_time_of_the_clock_means_nothing_without_a_time_of_acquisition():
    assert hours(study("seit 09:45"), CLOCK, at=None) is None


@pytest.mark.parametrize("stated", [{"TimezoneOffsetFromUTC": "+0800"}, {"AcquisitionDateTime": "20240229082000+0800"}])
@pytest.mark.parametrize(("said", "rule"), [("seit 07:00", CLOCK), ("2024-02-29 07:00", DATED)])
def test_a_time_of_the_clock_is_in_the_zone_of_the_image_wherever_the_node_stands(said, rule, stated):
    ds = study(said)
    ds.update(stated)
    taken = datetime(2024, 2, 29, 0, 20, tzinfo=UTC).timestamp()  # 08:20 there
    assert hours(ds, rule, at=taken)[0] == pytest.approx(1 + 20 / 60)


def test_the_first_rule_that_finds_one_decides():
    both = study("onset 1:30", private="4")
    assert hours(both, PRIVATE, COMMENT)[0] == 4
    assert hours(study("onset 1:30", private="no"), PRIVATE, COMMENT)[0] == 1.5


def test_a_private_attribute_of_another_creator_is_not_read():
    ds = study()
    ds.private_block(0x0033, "OTHER", create=True).add_new(0x01, "LO", "3")
    assert hours(ds, PRIVATE) is None


def test_a_private_attribute_of_unknown_kind_is_read_as_text():
    ds = study()
    ds.private_block(0x0033, "HIS", create=True).add_new(0x01, "UN", b"3.5 ")
    assert hours(ds, PRIVATE) == (3.5, "(0033,xx01)")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"pattern": "("}, "is not a regular expression"),
        ({"pattern": r"\d+"}, "has not the groups"),
        ({"pattern": r"(?P<hour>\d+)"}, "has not the groups"),
        ({"pattern": r"(?P<hour>\d+) (?P<day>\d+)", "meaning": OnsetMeaning.CLOCK}, "has not the groups"),
        ({"attribute": "study comments"}, "neither a keyword nor a tag"),
        ({"attribute": "(0033,xx01)"}, "do not fit"),
        ({"creator": "HIS"}, "do not fit"),
    ],
)
def test_a_rule_that_could_find_nothing_is_refused(values, why):
    right = {"attribute": "StudyComments", "pattern": r"(?P<hours>\d+)"}
    with pytest.raises(ConfigError, match=why):
        OnsetRule(**(right | values))


@pytest.mark.filterwarnings("ignore:The value length")
def test_a_long_text_does_not_hold_the_worker_up():
    """Of 400,000 digits this pattern takes minutes: its time grows with the square. Found by fuzzing."""
    rule = OnsetRule(attribute="StudyComments", pattern=r"(?P<hours>\d+)h")
    ds = Dataset()
    ds[0x00324000] = RawDataElement(Tag(0x00324000), "LT", 400_000, b"9" * 400_000, 0, False, True)
    began = time.process_time()

    assert onset_of(ds, [rule], NOON) is None

    assert time.process_time() - began < 10
