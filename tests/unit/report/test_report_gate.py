"""The gate must refuse: each test breaks a sound object in one way."""

import warnings
from datetime import datetime

import pytest
from pydicom.uid import CTImageStorage

from ichnode.report import gate
from ichnode.report.build import build_result
from ichnode.report.gate import NotConformant


@pytest.fixture
def objects(make_case, installation, at: datetime):
    case = make_case("axial")
    built = build_result(case.source, case.findings, installation, at)
    return {
        "SEG": built[0].dataset,
        "SR": built[1].dataset,
        "summary": built[2].dataset,
        "slice": built[3].dataset,
    }


def qualitative(report):
    return report.ContentSequence[-1].ContentSequence


def remove(path):
    """Delete the attribute at the end of a dotted path; a number picks an item."""

    def cut(dataset):
        *way, last = path.split(".")
        for step in way:
            dataset = dataset[int(step)] if step.isdigit() else dataset[step].value
        del dataset[last]

    return cut


def put(keyword, value):
    return lambda dataset: setattr(dataset, keyword, value)


def drop_last_bytes(dataset):
    dataset.PixelData = dataset.PixelData[:-2]


def forget_one_image(report):
    evidence = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    del evidence[0].ReferencedSOPSequence[0]


def forget_notice(report):
    del qualitative(report)[-1]
    del qualitative(report)[-1]


def unlist_an_image(seg):
    del seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence[8]


def write_chinese(report):
    report.SpecificCharacterSet = "GB18030"
    qualitative(report)[-1].TextValue = "研究"


def spoil_a_reference(seg):
    seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[
        0
    ].ReferencedSOPInstanceUID = "1..2"


def another_segment(seg):
    seg.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 2


def unit_less_volume(report):
    volume = report.ContentSequence[-2].ContentSequence[0].ContentSequence[11]
    del volume.MeasuredValueSequence[0].MeasurementUnitsCodeSequence


def no_algorithm(dataset):
    for item in dataset.ContributingEquipmentSequence:
        if "DeviceUID" in item:
            del item.DeviceUID


BREAKS = [
    ("SEG", remove("FrameOfReferenceUID"), "FrameOfReferenceUID is missing"),
    ("SEG", remove("SegmentSequence.0.SegmentedPropertyTypeCodeSequence.0.CodeMeaning"), "CodeMeaning is missing"),
    ("SEG", remove("SharedFunctionalGroupsSequence.0.PixelMeasuresSequence.0.SliceThickness"), "SliceThickness"),
    ("SEG", remove("PerFrameFunctionalGroupsSequence.2.PlanePositionSequence"), r"\[3\].PlanePositionSequence"),
    ("SEG", put("SegmentSequence", []), "SegmentSequence has no item"),
    ("SEG", put("ContentLabel", ""), "ContentLabel is empty"),
    ("SEG", put("NumberOfFrames", 3), "3 frames are announced"),
    ("SEG", drop_last_bytes, "PixelData has"),
    ("SEG", spoil_a_reference, "no valid UID"),
    ("SEG", unlist_an_image, "ReferencedSeriesSequence does not list"),
    ("SEG", another_segment, "belongs to no segment"),
    ("SR", remove("StudyInstanceUID"), "StudyInstanceUID is missing"),
    ("SR", remove("PatientID"), "PatientID is missing"),
    ("SR", remove("ReferencedPerformedProcedureStepSequence"), "ReferencedPerformedProcedureStepSequence is missing"),
    ("SR", forget_one_image, "not in the evidence"),
    ("SR", forget_notice, "research only"),
    ("SR", write_chinese, "not ASCII"),
    ("SR", remove("ContentSequence.0.ConceptCodeSequence"), "without a name, a known type or its value"),
    ("SR", unit_less_volume, "highdicom cannot read it"),
    ("SR", put("ContentQualification", "PRODUCT"), "not RESEARCH"),
    ("SR", put("SeriesDescription", "ICH report"), "does not say RESEARCH"),
    ("SR", put("Manufacturer", "Somebody"), "not ours"),
    ("SR", put("SeriesInstanceUID", "2.25." + "1" * 64), "SeriesInstanceUID is no valid UID"),
    ("SR", no_algorithm, "DeviceUID"),
    ("summary", remove("PatientOrientation"), "neither a place"),
    ("summary", remove("ConversionType"), "ConversionType is missing"),
    ("summary", put("PhotometricInterpretation", "YBR_FULL"), "not RGB"),
    ("slice", drop_last_bytes, "PixelData has"),
    ("slice", remove("ImageOrientationPatient"), "in part only"),
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


def test_all_that_is_missing_is_named_at_once(objects):
    del objects["SR"].StudyID
    del objects["SR"].PatientSex

    with pytest.raises(NotConformant, match=r"PatientSex is missing; .*StudyID is missing"):
        gate.check(objects["SR"])


def test_an_object_that_we_never_write_is_held_back(objects):
    foreign = objects["summary"]
    foreign.SOPClassUID = CTImageStorage

    with pytest.raises(NotConformant, match="writes no objects of class"):
        gate.check(foreign)


def test_checking_does_not_change_what_is_sent(objects):
    before = {name: gate.encode(dataset) for name, dataset in objects.items()}

    for dataset in objects.values():
        gate.check(dataset)

    assert {name: gate.encode(dataset) for name, dataset in objects.items()} == before
