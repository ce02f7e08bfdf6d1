"""The gate must refuse: the younger forms, each broken in one way."""

import warnings

import numpy as np
import pytest
from pydicom.tag import Tag

from ichnode.domain.outputs import ObjectKind
from ichnode.domain.profile import Profile, ScForm, SegForm, SrForm
from ichnode.report import gate
from ichnode.report.build import build_result
from ichnode.report.gate import NotConformant

FORMS = Profile(seg=SegForm.LABELMAP, sr=SrForm.ENHANCED, sc=ScForm.MULTI_FRAME, kinds=frozenset(ObjectKind))


@pytest.fixture
def objects(make_case, installation, at):
    case = make_case("axial")
    built = build_result(case.source, case.findings, installation, at, (), (FORMS,))
    return {one.kind: one.dataset for one in built}


def put(keyword, value):
    return lambda dataset: setattr(dataset, keyword, value)


def cut(keyword):
    return lambda dataset: delattr(dataset, keyword)


def another_segment(seg):
    pixels = np.frombuffer(seg.PixelData, np.uint8).copy()
    pixels[pixels.argmax()] = 9
    seg.PixelData = pixels.tobytes()


def untracked(seg):
    del seg.SegmentSequence[-1].TrackingUID


def coordinates_in_space(report):
    report.ContentSequence[0].ValueType = "SCOORD3D"


def another_image(selection):
    selection.ContentSequence[-1].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.1"


def unmarked(selection):
    selection.ContentSequence[-2].TextValue = "look"


BREAKS = [
    ("SEG", another_segment, "a pixel belongs to no segment"),
    ("SEG", untracked, "TrackingUID is missing"),
    ("SEG", put("BitsAllocated", 1), "number a pixel"),
    ("SEG", cut("PixelPaddingValue"), "PixelPaddingValue is missing"),
    ("SEG", put("NumberOfFrames", 3), "3 frames are announced"),
    ("SR", coordinates_in_space, "coordinates in space"),
    ("SR", cut("CompletionFlag"), "CompletionFlag is missing"),
    ("SC", put("NumberOfFrames", 2), "not told apart"),
    ("SC", put("FrameIncrementPointer", Tag("FrameTime")), "not told apart"),
    ("SC", put("PhotometricInterpretation", "YBR_FULL"), "not RGB"),
    ("KOS", another_image, "not in the evidence"),
    ("KOS", unmarked, "research only"),
    ("KOS", cut("CurrentRequestedProcedureEvidenceSequence"), "CurrentRequestedProcedureEvidenceSequence is missing"),
    ("PDF", put("EncapsulatedDocumentLength", 17), "17 are announced"),
    ("PDF", put("EncapsulatedDocument", b"GIF89a"), "no PDF"),
    ("PDF", put("SourceInstanceSequence", []), "SourceInstanceSequence has no item"),
    ("PDF", put("DocumentTitle", "Überblick"), "not ASCII"),
]


@pytest.mark.parametrize(("kind", "spoil", "complaint"), BREAKS, ids=[f"{kind}-{text}" for kind, _, text in BREAKS])
def test_a_broken_object_is_held_back(objects, kind, spoil, complaint):
    dataset = objects[kind]
    gate.check(dataset)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns of what is broken on purpose
        spoil(dataset)

    with pytest.raises(NotConformant, match=complaint):
        gate.check(dataset)


def test_a_document_that_is_cut_off_is_held_back(objects):
    document = objects["PDF"]
    document.EncapsulatedDocument = document.EncapsulatedDocument[:1000]
    document.EncapsulatedDocumentLength = 1000

    with pytest.raises(NotConformant, match="cut off"):
        gate.check(document)
