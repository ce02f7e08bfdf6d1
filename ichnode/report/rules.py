"""What the gate holds against an object. Each rule yields one complaint a fault and none for a sound object.

No one validator finds everything: these are the faults that viewers and archives stumbled over, and our own promises.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import highdicom as hd
import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from ichnode.domain.identity import RESEARCH_NOTICE, is_ours
from ichnode.domain.profile import LABEL_MAP_SEGMENTATION
from ichnode.report.header import OPTIONAL, OPTIONAL_SEQUENCES, REQUIRED
from ichnode.report.plane_rules import wrong_axes, wrong_places
from ichnode.report.required import LESION, REQUIRED_BY_CLASS, Requirement
from ichnode.report.stated import is_ascii, tag_of, walk
from ichnode.report.tree_rules import wrong_tree
from ichnode.report.values import ill_formed, wrong_codes

UID_FORM: Final = re.compile(r"\d+(\.\d+)+")  # laxer than PS3.5 9.1: scanners write leading zeros, and we refer to them
MAX_UID: Final = 64
UNREADABLE: Final = (AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError)
PLANE_KEYWORDS: Final = ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
TEXT_VRS: Final = ("CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT")
VALUE_KEYWORDS: Final = {  # PS3.3 C.17.3.2.1, C.18
    "CONTAINER": "ContinuityOfContent",
    "CODE": "ConceptCodeSequence",
    "NUM": "MeasuredValueSequence",
    "TEXT": "TextValue",
    "UIDREF": "UID",
    "IMAGE": "ReferencedSOPSequence",
    "COMPOSITE": "ReferencedSOPSequence",
}


def is_missing(dataset: Dataset) -> Iterator[str]:
    """Attributes of type 1 or 2 that are not there, or not filled."""
    yield from _missing(dataset, REQUIRED_BY_CLASS[str(dataset.SOPClassUID)], "")


def complaints(dataset: Dataset) -> Iterator[str]:
    """What else is wrong with an object that has all it needs."""
    for rule in RULES[str(dataset.SOPClassUID)]:
        try:
            yield from rule(dataset)
        except UNREADABLE as error:  # so broken that it cannot even be judged
            yield f"{rule.__name__.strip('_')} stumbles over it ({str(error).splitlines()[0]})"


def _missing(dataset: Dataset, required: Requirement, path: str) -> Iterator[str]:
    for keyword, need in required.items():
        tag = tag_of(keyword)
        if tag not in dataset:
            yield f"{path}{keyword} is missing"
        elif isinstance(need, dict):
            items = dataset[tag].value or ()
            if not len(items):
                yield f"{path}{keyword} has no item"
            for number, item in enumerate(items, 1):
                yield from _missing(item, need, f"{path}{keyword}[{number}].")
        elif need == 1 and _is_empty(dataset, keyword):
            yield f"{path}{keyword} is empty"


def _is_empty(dataset: Dataset, keyword: str) -> bool:
    element = dataset.get_item(tag_of(keyword))
    if isinstance(element, RawDataElement):  # looked at undecoded
        value = element.value or b""
        return not (value.strip(b" \0") if element.VR in TEXT_VRS else value)
    return element is None or element.is_empty


def _uids(dataset: Dataset) -> Iterator[str]:
    for where, item in walk(dataset):
        for tag in list(item.keys()):
            element = item.get_item(tag)
            uids = _texts(item[tag].value) if element is not None and element.VR == "UI" else []
            if any(len(uid) > MAX_UID or not UID_FORM.fullmatch(uid) for uid in uids):
                yield f"{where}{item[tag].keyword} is no valid UID"


def _marks(dataset: Dataset) -> Iterator[str]:
    """Research marking, and what our own objects are known by when they come back."""
    if str(dataset.ContentQualification) != "RESEARCH":
        yield "ContentQualification is not RESEARCH"
    if "RESEARCH" not in str(dataset.SeriesDescription):
        yield "SeriesDescription does not say RESEARCH"
    if not is_ours(manufacturer=str(dataset.Manufacturer), model_name=str(dataset.ManufacturerModelName)):
        yield "Manufacturer and ManufacturerModelName are not ours"
    if not any("DeviceUID" in item for item in dataset.ContributingEquipmentSequence):
        yield "ContributingEquipmentSequence names no algorithm by its DeviceUID"


def _own_text(dataset: Dataset) -> Iterator[str]:
    """Our text has to be valid in whatever character set the source declares."""
    theirs = {tag_of(keyword) for keyword in (*REQUIRED, *OPTIONAL, *OPTIONAL_SEQUENCES)}
    for where, item in walk(dataset):
        for tag in list(item.keys()):
            element = item.get_item(tag)
            if tag not in theirs and element is not None and element.VR in TEXT_VRS and not is_ascii(item, tag):
                yield f"{where}{tag} holds text that is not ASCII"


def _frames(dataset: Dataset) -> Iterator[str]:
    frames, groups = int(dataset.NumberOfFrames), dataset.PerFrameFunctionalGroupsSequence
    if len(groups) != frames:
        yield f"{frames} frames are announced and {len(groups)} described"
    bits = int(dataset.Rows) * int(dataset.Columns) * frames * int(dataset.BitsAllocated)
    yield from _pixel_bytes(dataset, (bits + 7) // 8)
    listed = {
        str(item.ReferencedSOPInstanceUID)
        for series in dataset.ReferencedSeriesSequence
        for item in series.ReferencedInstanceSequence
    }
    for number, group in enumerate(groups, 1):
        sources = group.DerivationImageSequence[0].SourceImageSequence
        if any(str(source.ReferencedSOPInstanceUID) not in listed for source in sources):
            yield f"frame {number} comes from an image that ReferencedSeriesSequence does not list"


def _bit_planes(dataset: Dataset) -> Iterator[str]:
    """Each frame is of one segment, a bit a pixel."""
    if dataset.SegmentationType != "BINARY" or dataset.BitsAllocated != 1:
        yield "it does not hold one bit a pixel"
    segments = {int(item.SegmentNumber) for item in dataset.SegmentSequence}
    for number, group in enumerate(dataset.PerFrameFunctionalGroupsSequence, 1):
        if int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) not in segments:
            yield f"frame {number} belongs to no segment"


def _label_map(dataset: Dataset) -> Iterator[str]:
    """Each pixel is the number of a segment, and each segment but the background is a lesion."""
    if dataset.SegmentationType != "LABELMAP" or dataset.BitsAllocated not in (8, 16):
        yield "it does not hold a number a pixel"
        return
    segments = {int(item.SegmentNumber): item for item in dataset.SegmentSequence}
    used = np.unique(np.frombuffer(dataset.PixelData, f"<u{dataset.BitsAllocated // 8}"))
    if not {0, *used.tolist()} <= set(segments):
        yield "a pixel belongs to no segment"
    for number, segment in segments.items():
        if number:
            yield from _missing(segment, LESION, f"segment {number}: ")


def _picture(dataset: Dataset) -> Iterator[str]:
    shape = (dataset.PhotometricInterpretation, dataset.SamplesPerPixel, dataset.BitsAllocated)
    if shape != ("RGB", 3, 8) or dataset.PlanarConfiguration != 0:
        yield "it is not RGB of 8 bits, pixel by pixel"
    frames = int(dataset.get("NumberOfFrames", 1))
    yield from _pixel_bytes(dataset, int(dataset.Rows) * int(dataset.Columns) * 3 * frames)
    plane = [keyword in dataset for keyword in PLANE_KEYWORDS]
    if any(plane) and not all(plane):
        yield "it states its place in the patient in part only"
    if not any(plane) and "PatientOrientation" not in dataset:
        yield "it has neither a place in the patient nor a PatientOrientation"


def _pages(dataset: Dataset) -> Iterator[str]:
    """Each frame has its label where there is more than one."""
    if dataset.NumberOfFrames == 1:
        if "FrameIncrementPointer" in dataset:
            yield "it points at a way through one frame"
        return
    labels = dataset.get("FrameLabelVector") or ()
    if dataset.NumberOfFrames != len(labels) or dataset.get("FrameIncrementPointer") != tag_of("FrameLabelVector"):
        yield "its frames are not told apart by their labels"


def _document(dataset: Dataset) -> Iterator[str]:
    """The file within is whole, and is the PDF that it is said to be."""
    held, size = bytes(dataset.EncapsulatedDocument), int(dataset.EncapsulatedDocumentLength)
    if len(held) != size + size % 2:
        yield f"the document has {len(held)} bytes where {size} are announced"
    if dataset.MIMETypeOfEncapsulatedDocument != "application/pdf" or not held.startswith(b"%PDF-"):
        yield "the document is no PDF"
    elif not held[:size].endswith(b"%%EOF\n"):
        yield "the document is cut off"


def _pixel_bytes(dataset: Dataset, size: int) -> Iterator[str]:
    if len(dataset.PixelData) != size + size % 2:
        yield f"PixelData has {len(dataset.PixelData)} bytes where {size + size % 2} are due"


def _evidence(dataset: Dataset) -> Iterator[str]:
    """Whatever the tree refers to stands in the evidence; most readers do not look, dciodvfy does."""
    listed = {
        str(item.ReferencedSOPInstanceUID)
        for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
        for study in dataset.get(keyword) or ()
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    for where, item in walk(dataset, "ContentSequence"):
        for reference in item.get("ReferencedSOPSequence", ()):
            if str(reference.ReferencedSOPInstanceUID) not in listed:
                yield f"{where}ReferencedSOPSequence names an instance that is not in the evidence"


def _tree(dataset: Dataset) -> Iterator[str]:
    """Each content item has a name and the value that its type wants, and the research notice is among them."""
    comments = []
    for where, item in walk(dataset, "ContentSequence"):
        value_keyword = VALUE_KEYWORDS.get(str(item.get("ValueType")))
        if not item.get("ConceptNameCodeSequence") or value_keyword is None or not item.get(value_keyword):
            yield f"{where or 'the root '}is a content item without a name, a known type or its value"
        comments.append(str(item.get("TextValue")))
    if RESEARCH_NOTICE not in comments:
        yield "the report does not say that it is for research only"


def _flat(dataset: Dataset) -> Iterator[str]:
    """Neither class takes coordinates in space: those are what Comprehensive 3D adds. Source: PS3.3 A.35.2, A.35.3."""
    if any(item.get("ValueType") == "SCOORD3D" for _, item in walk(dataset, "ContentSequence")):
        yield "it has coordinates in space, which its class does not take"


def _readable(dataset: Dataset) -> Iterator[str]:
    """highdicom, one reader among many, takes it in."""
    try:
        READERS[str(dataset.SOPClassUID)](dataset)
    except UNREADABLE as error:
        yield f"highdicom cannot read it ({str(error).splitlines()[0]})"


def _texts(value: Any) -> list[str]:
    if not value:
        return []
    return [value] if isinstance(value, str) else [str(part) for part in value]


READERS: Final[dict[str, Callable[[Dataset], object]]] = {
    SegmentationStorage: hd.seg.Segmentation.from_dataset,
    LABEL_MAP_SEGMENTATION: hd.seg.Segmentation.from_dataset,
    Comprehensive3DSRStorage: hd.sr.Comprehensive3DSR.from_dataset,
    ComprehensiveSRStorage: hd.sr.ComprehensiveSR.from_dataset,
    EnhancedSRStorage: hd.sr.EnhancedSR.from_dataset,
    KeyObjectSelectionDocumentStorage: hd.ko.KeyObjectSelectionDocument.from_dataset,
}

Rule = Callable[[Dataset], Iterator[str]]
# ill_formed first: it looks at bytes, which are gone once another rule has decoded them
_COMMON: Final[tuple[Rule, ...]] = (ill_formed, _uids, _marks, _own_text, wrong_codes)
_REPORT: Final[tuple[Rule, ...]] = (*_COMMON, _tree, wrong_tree, _evidence, _readable)
_SEGMENTATION: Final[tuple[Rule, ...]] = (*_COMMON, _frames, wrong_places, _readable)
RULES: Final[dict[str, tuple[Rule, ...]]] = {
    SegmentationStorage: (*_SEGMENTATION, _bit_planes),
    LABEL_MAP_SEGMENTATION: (*_SEGMENTATION, _label_map),
    Comprehensive3DSRStorage: _REPORT,
    ComprehensiveSRStorage: (*_REPORT, _flat),
    EnhancedSRStorage: (*_REPORT, _flat),
    SecondaryCaptureImageStorage: (*_COMMON, _picture, wrong_axes),
    MultiFrameTrueColorSecondaryCaptureImageStorage: (*_COMMON, _picture, _pages),
    KeyObjectSelectionDocumentStorage: _REPORT,
    EncapsulatedPDFStorage: (*_COMMON, _document),
}
