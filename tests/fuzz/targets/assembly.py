"""Bent headers of one series -> facts, completeness, rules, selection; and DICOM -> HU with what the gates read.

An input is a list of edits of a small sound series: which slices, which attribute, its VR, its bytes. The receiver's
reading may not raise at all, the worker's nothing but Rejected.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag

from ichnode.domain.errors import Rejected
from ichnode.findings.gates.headers import stated
from ichnode.image.load import load_series
from ichnode.image.readable import make_readable
from ichnode.metered import ODD
from ichnode.receive.complete import Arrival, Limits, judge, missing_slices, stated_count
from ichnode.receive.header import facts_of
from ichnode.receive.rules import DEFAULT_RULES
from ichnode.receive.select import Preference, decide_study, is_doubted
from ichnode.receive.series_facts import series_facts
from tests.fuzz.bytes_in import BytesIn
from tests.fuzz.images import SLICES, encoded, enhanced, read_again, slice_of
from tests.fuzz.limits import bounded, mute

MOST_EDITS: Final = 24
KEYWORDS: Final = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "SeriesDate",
    "AcquisitionDate", "ContentDate", "AcquisitionDateTime", "StudyTime", "AcquisitionTime", "Modality",
    "Manufacturer", "StudyDescription", "SeriesDescription", "PatientID", "IssuerOfPatientID", "BodyPartExamined",
    "SliceThickness", "ConvolutionKernel", "ProtocolName", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber",
    "AcquisitionNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID",
    "ImagesInAcquisition", "NumberOfSeriesRelatedInstances", "SamplesPerPixel", "NumberOfFrames", "Rows", "Columns",
    "PixelSpacing", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope", "RescaleType", "LossyImageCompression",
    "PixelData", "PhotometricInterpretation", "ContrastBolusAgent", "ContrastBolusAgentSequence",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "PixelMeasuresSequence",
    "PlanePositionSequence", "TimezoneOffsetFromUTC", "AccessionNumber", "ManufacturerModelName", "ConcatenationUID",
    "PatientPosition", "PlanarConfiguration",
)  # fmt: skip
VRS: Final = ("DS", "IS", "US", "SS", "LO", "UI", "SQ", "OB", "OW", "FD", "FL", "CS", "DA", "DT", "UN", "LT", "PN")
DELETE: Final = 0x80  # bits of the byte that names the attribute's VR
OWN_VR: Final = 0x40


def one(data: bytes) -> None:
    """Bends a series and takes it through both readings."""
    source = BytesIn(data)
    kind = source.byte()
    datasets = [_copied(ds) for ds in (_enhanced() if kind & 1 else _classic())]
    for _ in range(MOST_EDITS):
        if not source.left:
            break
        _edit(datasets, source)
    with bounded(), mute():
        _received([_copied(ds) for ds in datasets])
        for ds in datasets:
            make_readable(ds)  # as read_datasets does
        _worked(datasets)


def _edit(datasets: Sequence[Dataset], source: BytesIn) -> None:
    which, keyword, how = source.byte(), KEYWORDS[source.below(len(KEYWORDS))], source.byte()
    chosen = datasets if which >= len(datasets) else [datasets[which]]
    value = source.take(source.byte())
    for ds in chosen:
        target = _inner(ds) if which & 0x40 else ds
        if how & DELETE:
            target.pop(keyword, None)
        else:
            vr = dictionary_VR(keyword).split(" ")[0] if how & OWN_VR == 0 else VRS[how % len(VRS)]
            implicit = how & 0x20 != 0
            raw = RawDataElement(Tag(keyword), vr, len(value), value, 0, implicit, True, True)
            target[Tag(keyword)] = raw


def _inner(ds: Dataset) -> Dataset:
    """The shared groups' first macro of a multi-frame image; a classic image itself."""
    try:
        return ds.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    except (*ODD, OSError, IndexError, TypeError):
        return ds


def _received(datasets: Sequence[Dataset]) -> None:
    facts = [facts_of(ds) for ds in datasets]
    missing = missing_slices(facts)
    arrival = Arrival(instances=facts, quiet_s=1e6, is_open=False, was_cut=False, stated=stated_count(facts, {1}))
    judge(arrival, limits=Limits())
    sop_class = str(datasets[0].get_item("SOPClassUID"))
    series = [series_facts(some, series_id=k, sop_class_uid=sop_class, missing=missing) for k, some in _parts(facts)]
    decide_study(series, DEFAULT_RULES, Preference())
    decide_study(series[:1], DEFAULT_RULES, Preference(analyse_incomplete=False), analysed_before=series[1:])
    for each in series:
        is_doubted(each, DEFAULT_RULES)


def _parts(facts: Sequence) -> Iterator[tuple[int, Sequence]]:
    yield 1, facts
    yield 2, facts[:1]
    yield 3, facts[-3:]


def _worked(datasets: Sequence[Dataset]) -> None:
    try:
        load_series(datasets)
    except Rejected:
        return
    stated(datasets, 0)


def _copied(ds: Dataset) -> Dataset:
    """A data set of its own over the same elements, which are only ever replaced; sequences are copied deeper."""
    twin = Dataset({tag: _deeper(ds.get_item(tag, keep_deferred=True)) for tag in ds.keys()})  # noqa: SIM118
    twin.file_meta = getattr(ds, "file_meta", None)
    return twin


def _deeper(element: DataElement | RawDataElement) -> DataElement | RawDataElement:
    if isinstance(element, RawDataElement) or element.VR != "SQ":
        return element
    return DataElement(element.tag, "SQ", [_copied(item) for item in element.value])


@cache
def _classic() -> tuple[Dataset, ...]:
    return tuple(read_again(slice_of(k)) for k in range(1, SLICES + 1))


@cache
def _enhanced() -> tuple[Dataset, ...]:
    return (read_again(enhanced([slice_of(k) for k in range(1, SLICES + 1)])),)


def _edited(which: int, keyword: str, value: bytes, *, vr: int = 0) -> bytes:
    return bytes([which, KEYWORDS.index(keyword), vr, len(value)]) + value


def seeds() -> Iterator[tuple[str, bytes]]:
    """The sound series, and one edit of each kind."""
    yield "classic", b"\0"
    yield "enhanced", b"\1"
    yield "spacing", b"\0" + _edited(255, "PixelSpacing", b"NaN\\0.5 ") + _edited(3, "SliceThickness", b"1e400 ")
    yield "gap", b"\0" + _edited(4, "ImagePositionPatient", b"-2\\-2\\1000")
    yield "tilt", b"\0" + _edited(255, "ImageOrientationPatient", b"1\\0\\0\\0\\0.95\\-0.31")
    yield "matrix", b"\0" + _edited(255, "Rows", b"\xff\xff") + _edited(255, "Columns", b"\xff\xff")
    yield "frames", b"\1" + _edited(0, "NumberOfFrames", b"100000")
    yield "signed", b"\0" + _edited(255, "PixelRepresentation", b"\1\0") + _edited(255, "BitsStored", b"\x10\0")
    yield "padding", b"\0" + _edited(255, "PixelPaddingValue", b"\x18\0") + _edited(2, "HighBit", b"\x0b\0")
    yield "contrast", b"\0" + _edited(255, "ContrastBolusAgentSequence", encoded(Dataset()), vr=OWN_VR | 14)
    yield "chinese", b"\0" + _edited(255, "SpecificCharacterSet", b"GB18030") + _edited(1, "PatientID", b"\xcd\xf5")
    yield "gone", b"\0" + _edited(255, "RescaleSlope", b"", vr=DELETE)
    yield "cut", b"\0" + _edited(5, "PixelData", bytes(20))
