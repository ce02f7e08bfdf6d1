"""Ways to break an object: each takes a sound data set and spoils it."""

import copy
from collections.abc import Callable, Iterator
from io import BytesIO

from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag


def lenient(dataset: Dataset) -> bytes:
    """The file of ``dataset``, whatever is wrong with it."""
    dataset.preamble = b"\x00" * 128
    dataset.file_meta.FileMetaInformationGroupLength = 0  # pydicom writes the true one, but only where there is one
    dataset.set_original_encoding(False, True, "latin-1")
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=False)
    return buffer.getvalue()


def named(item: Dataset, code: str) -> bool:
    return bool(item.get("ConceptNameCodeSequence")) and item.ConceptNameCodeSequence[0].CodeValue == code


def every(node: Dataset) -> Iterator[Dataset]:
    """All content items below ``node``."""
    for item in node.get("ContentSequence", ()):
        yield item
        yield from every(item)


def first(report: Dataset, code: str) -> Dataset:
    """The first content item of this name."""
    return next(item for item in every(report) if named(item, code))


def group(report: Dataset) -> Dataset:
    """The measurements of the first lesion."""
    return first(report, "125007")


def without(keyword: str, *codes: str) -> Callable[[Dataset], None]:
    """Deletes an attribute: of the content item with the last of ``codes``, of the object where there is none."""

    def spoil(dataset: Dataset) -> None:
        for code in codes:
            dataset = first(dataset, code)
        del dataset[keyword]

    return spoil


def with_value(keyword: str, value: object, *codes: str) -> Callable[[Dataset], None]:
    def spoil(dataset: Dataset) -> None:
        for code in codes:
            dataset = first(dataset, code)
        setattr(dataset, keyword, value)

    return spoil


def raw(keyword: str, vr: str, value: bytes) -> Callable[[Dataset], None]:
    """Puts an element as a file would have it, whatever its VR should be."""

    def spoil(dataset: Dataset) -> None:
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)

    return spoil


def without_item(code: str) -> Callable[[Dataset], None]:
    """Takes the first content item of a name out of its group or of the root."""

    def spoil(report: Dataset) -> None:
        for node in (report, *every(report)):
            for number, item in enumerate(node.get("ContentSequence", ())):
                if named(item, code):
                    del node.ContentSequence[number]
                    return
        raise AssertionError(f"no item {code}")

    return spoil


def another_image(report: Dataset) -> None:
    first(report, "121233").ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.4711"


def forgotten_evidence(report: Dataset) -> None:
    del report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]


def integer_as_text(seg: Dataset) -> None:
    seg.SegmentSequence[0]["SegmentNumber"] = DataElement("SegmentNumber", "LO", "1")


def two_coordinates(seg: Dataset) -> None:
    seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = [1.0, 2.0]


def a_frame_too_few(seg: Dataset) -> None:
    seg.NumberOfFrames = int(seg.NumberOfFrames) - 1


def a_segment_that_is_not_there(seg: Dataset) -> None:
    seg.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 7


def code_without_scheme(report: Dataset) -> None:
    del first(report, "118565006").ConceptNameCodeSequence[0].CodingSchemeDesignator


def another_meaning(report: Dataset) -> None:
    first(group(report), "276214006").ConceptCodeSequence[0].CodeMeaning = "Brain"


def a_code_that_is_none(report: Dataset) -> None:
    first(report, "121058").ConceptNameCodeSequence[0].CodeValue = "121999"


def no_units(report: Dataset) -> None:
    del first(report, "118565006").MeasuredValueSequence[0].MeasurementUnitsCodeSequence


def no_number(report: Dataset) -> None:
    value = first(report, "118565006").MeasuredValueSequence[0]
    value[Tag("NumericValue")] = RawDataElement(Tag("NumericValue"), "DS", 8, b"a litre ", 0, False, True)


def cubic_millimetres(report: Dataset) -> None:
    units = first(report, "118565006").MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
    units.CodeValue, units.CodeMeaning = "mm3", "cubic millimeter"


def twice_the_volume(report: Dataset) -> None:
    value = first(report, "118565006").MeasuredValueSequence[0]
    value.NumericValue = 2 * value.NumericValue


def table_step(seg: Dataset) -> None:
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = round(float(measures.SpacingBetweenSlices) / 0.951, 4)  # a gantry tilted by 18 deg


def finer_pixels(seg: Dataset) -> None:
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = [0.9, 0.9]


def twice_at_one_place(seg: Dataset) -> None:
    groups = seg.PerFrameFunctionalGroupsSequence
    groups[1].PlanePositionSequence = copy.deepcopy(groups[0].PlanePositionSequence)


def skewed_axes(picture: Dataset) -> None:
    picture.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


def unlisted_source(seg: Dataset) -> None:
    source = seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    source.ReferencedSOPInstanceUID = "2.25.4712"


def cut_pixels(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[:-4]


def another_segment(report: Dataset) -> None:
    first(report, "121191").ReferencedSOPSequence[0].ReferencedSegmentNumber = 7


def no_device_uid(dataset: Dataset) -> None:
    for item in dataset.ContributingEquipmentSequence:
        item.pop("DeviceUID", None)


def wrong_group_template(report: Dataset) -> None:
    group(report).ContentTemplateSequence[0].TemplateIdentifier = "1410"


def silent_on_research(report: Dataset) -> None:
    for item in every(report):
        if "TextValue" in item and "RESEARCH" in item.TextValue:
            item.TextValue = "For diagnostic use"


def other_header(dataset: Dataset) -> None:
    dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.4713"


def one_dimension_index(seg: Dataset) -> None:
    content = seg.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0]
    content.DimensionIndexValues = [1]
