"""Text of an attribute that a site names -> hours from onset to CT: a time or none, whatever stands there.

An input: which rule, the VR, the raw value. The patterns are those of the documentation and some as a site may write
them, one of quadratic time among them: the text's length has to be bounded, for the pattern cannot be.
"""

from collections.abc import Iterator
from typing import Final

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from ichnode.domain.onset import LONGEST_H, OnsetMeaning, OnsetRule
from ichnode.image.onset import onset_of
from ichnode.image.readable import make_readable
from tests.fuzz.bytes_in import BytesIn
from tests.fuzz.limits import Find, bounded, mute

CLOCK: Final = r"(?P<year>\d{4})-?(?P<month>\d\d)-?(?P<day>\d\d)\D+(?P<hour>\d\d):?(?P<minute>\d\d)?"
RULES: Final = (
    OnsetRule(attribute="StudyComments", pattern=r"onset (?P<hours>\d+):(?P<minutes>\d\d)"),
    OnsetRule(attribute="(0033,xx01)", creator="Site", pattern=r"(?P<hours>[\d.,]+)"),
    OnsetRule(attribute="AdditionalPatientHistory", pattern=CLOCK, meaning=OnsetMeaning.CLOCK),
    OnsetRule(attribute="AcquisitionTime", pattern=r"(?P<hour>\d\d)(?P<minute>\d\d)", meaning=OnsetMeaning.CLOCK),
    OnsetRule(attribute="(0010,4000)", pattern=r"(?P<hours>\d+)h"),  # quadratic in a run of digits
)
VRS: Final = ("LO", "LT", "UN", "DS", "IS", "SQ", "PN", "TM", "DT", "FD", "OB", "AT")
ACQUIRED_AT: Final = (None, 0.0, 1767345300.5, 4e9)


def one(data: bytes) -> None:
    """Looks for one onset."""
    source = BytesIn(data)
    rule, vr, taken = RULES[source.below(len(RULES))], VRS[source.below(len(VRS))], ACQUIRED_AT[source.below(4)]
    zone, times = source.take(source.below(9)), 1 + 199 * (source.byte() & 1)
    elements = [_raw(Tag("TimezoneOffsetFromUTC"), "SH", zone)]
    if rule.is_private:
        elements.append(_raw(Tag(0x00330010), "LO", b"Site"))
    tag = Tag(0x00331001) if rule.is_private else Tag(rule.tag or rule.attribute)
    elements.append(_raw(tag, vr, source.rest() * times))
    ds = Dataset({element.tag: element for element in elements})
    with bounded(), mute():
        make_readable(ds)  # as read_datasets does
        found = onset_of(ds, [rule], taken)
    if found is not None and not 0 <= found.hours <= LONGEST_H:
        raise Find(f"an onset of {found.hours} h")


def _raw(tag: int, vr: str, value: bytes) -> RawDataElement:
    return RawDataElement(Tag(tag), vr, len(value), value, 0, False, True, True)


def _input(rule: int, vr: str, value: bytes, *, taken: int = 2, zone: bytes = b"+0100", often: int = 0) -> bytes:
    return bytes([rule, VRS.index(vr), taken, len(zone)]) + zone + bytes([often]) + value


def seeds() -> Iterator[tuple[str, bytes]]:
    """What each rule finds, and a long run of digits."""
    yield "duration", _input(0, "LT", b"onset 2:30")
    yield "private", _input(1, "UN", b"3,5")
    yield "day", _input(2, "LT", b"seen 2026-01-02 08:15")
    yield "clock", _input(3, "TM", b"081500")
    yield "digits", _input(4, "LT", b"9" * 2000, often=1)
