"""The same result in the forms that different destinations take."""

import zlib
from dataclasses import replace
from itertools import pairwise

import highdicom as hd
import numpy as np
import pytest

from ichnode.domain.outputs import ObjectKind, Reference
from ichnode.domain.profile import SOP_CLASSES, USUAL, Profile, ScForm, SegForm, SrForm
from ichnode.report import gate
from ichnode.report.build import build_not_analysed, build_result
from tests.peers.tools import errors_of, output_of

ALL = frozenset(ObjectKind)
MODERN = Profile(seg=SegForm.LABELMAP, sr=SrForm.ENHANCED, sc=ScForm.MULTI_FRAME, kinds=ALL)
MIXED = Profile(sr=SrForm.COMPREHENSIVE, sc=ScForm.MULTI_FRAME, kinds=ALL)
# dciodvfy knows label maps, but not as something that an SR may name a segment of
OUTDATED = (
    "ReferencedSegmentNumber(0062,000b)> - Shall not be present for Referenced SOP Class that is not segmentation"
)


def build(case, installation, at, *profiles, predecessors=()):
    return build_result(case.source, case.findings, installation, at, predecessors, profiles)


def of(objects, kind, profile=MODERN):
    return [one.dataset for one in objects if one.kind is kind and profile.name in one.profiles]


def saved(objects, folder):
    for one in objects:
        path = folder / f"{one.kind}-{one.number}.dcm"
        path.write_bytes(gate.encode(one.dataset))
        yield path


def reference(dataset, *profiles):
    uids = (str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(dataset.SeriesInstanceUID))
    return Reference(
        sop_class_uid=uids[0],
        sop_instance_uid=uids[1],
        series_instance_uid=uids[2],
        profiles=profiles,
    )


def predecessors_of(report):
    return [
        item.ReferencedSOPInstanceUID
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]


@pytest.mark.parametrize("name", ["axial", "tilted", "unequal", "multiframe", "iso2022-58"])
def test_every_form_passes_the_gate_and_dciodvfy(make_case, installation, at, tmp_path, name):
    objects = build(make_case(name), installation, at, MODERN, MIXED)

    for one in objects:
        gate.check(one.dataset)
        [path] = saved([one], tmp_path)
        found = [line for line in errors_of(path) if not (one.kind is ObjectKind.SR and OUTDATED in line)]
        assert found == [], (one.kind, one.profiles)
    assert {str(one.dataset.SOPClassUID) for one in objects} >= {*MODERN.sop_classes, *MIXED.sop_classes}


def test_dciodvfy_can_find_an_error_in_each_younger_class(make_case, installation, at, tmp_path):
    needed = {"SEG": "SegmentSequence", "SR": "CompletionFlag", "SC": "NumberOfFrames", "KOS": "ValueType"}
    needed["PDF"] = "MIMETypeOfEncapsulatedDocument"
    for one in build(make_case("axial"), installation, at, MODERN):
        del one.dataset[needed[one.kind]]
        [path] = saved([one], tmp_path)
        assert [line for line in errors_of(path) if OUTDATED not in line], one.kind


@pytest.mark.parametrize("name", ["axial", "multiframe", "iso2022-58"])
def test_a_second_run_writes_the_same_bytes_in_every_form(make_case, installation, at, name):
    first, second = (build(make_case(name), installation, at, MODERN, MIXED) for _ in range(2))

    assert [gate.encode(a.dataset) for a in first] == [gate.encode(b.dataset) for b in second]


def test_what_two_profiles_have_in_common_is_made_once(make_case, installation, at):
    objects = build(make_case("axial"), installation, at, USUAL, MIXED)

    shared = [one for one in objects if len(one.profiles) == 2]
    assert [(one.kind, one.profiles) for one in shared] == [(ObjectKind.SEG, (USUAL.name, MIXED.name))]
    uids = [str(one.dataset.SOPInstanceUID) for one in objects]
    assert len(uids) == len(set(uids))
    assert [one.kind for one in objects] == sorted((one.kind for one in objects), key=list(ObjectKind).index)


def test_another_form_is_another_object_in_another_series(make_case, installation, at):
    usual = build(make_case("axial"), installation, at, USUAL)
    modern = build(make_case("axial"), installation, at, MODERN)

    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"):
        ours, theirs = ({str(one.dataset[keyword].value) for one in objects} for objects in (usual, modern))
        assert ours.isdisjoint(theirs), keyword
    assert len({str(one.dataset.SeriesInstanceUID) for one in modern}) == 5


def test_a_usual_result_does_not_depend_on_what_other_destinations_take(make_case, installation, at):
    alone = build(make_case("axial"), installation, at, USUAL)
    beside = [one for one in build(make_case("axial"), installation, at, MODERN, USUAL) if USUAL.name in one.profiles]

    assert [gate.encode(one.dataset) for one in beside] == [gate.encode(one.dataset) for one in alone]


def test_a_report_refers_to_the_segmentation_of_its_own_form(make_case, installation, at):
    objects = build(make_case("axial"), installation, at, USUAL, MODERN)

    for profile in (USUAL, MODERN):
        [seg], [report] = of(objects, ObjectKind.SEG, profile), of(objects, ObjectKind.SR, profile)
        [other] = of(objects, ObjectKind.SEG, MODERN if profile is USUAL else USUAL)
        assert seg.SOPClassUID == SOP_CLASSES[profile.seg]
        assert str(seg.SOPInstanceUID) in str(report)
        assert str(other.SOPInstanceUID) not in str(report)


@pytest.mark.parametrize("form", SrForm)
def test_a_report_says_the_same_in_every_class(make_case, installation, at, form):
    objects = build(make_case("axial"), installation, at, USUAL, Profile(sr=form))

    [usual], [report] = of(objects, ObjectKind.SR, USUAL), of(objects, ObjectKind.SR, Profile(sr=form))

    assert report.SOPClassUID == SOP_CLASSES[form]
    assert str(report.ContentSequence) == str(usual.ContentSequence)


def test_a_label_map_holds_the_number_of_the_lesion_at_each_pixel(any_case, installation, at):
    labels, profile = any_case.findings.labels, Profile(seg=SegForm.LABELMAP, kinds=frozenset())
    [seg] = of(build(any_case, installation, at, profile), ObjectKind.SEG, profile)

    marked = np.flatnonzero(labels.any(axis=(1, 2)))
    z = [
        float(group.PlanePositionSequence[0].ImagePositionPatient[2]) for group in seg.PerFrameFunctionalGroupsSequence
    ]
    ascending = [float(origin[2]) for origin in any_case.source.volume.geometry.origins_mm[marked]]
    order = np.argsort(z)
    assert np.array(z)[order] == pytest.approx(sorted(ascending), abs=1e-9)
    assert (seg.pixel_array[order] == labels[marked[np.argsort(ascending)]]).all()
    [lesion] = [segment for segment in seg.SegmentSequence if segment.SegmentNumber == 1]
    assert lesion.TrackingID == "ICH 1"


def test_highdicom_reads_two_lesions_out_of_a_label_map(make_case, installation, at):
    case = make_case("axial")
    labels = case.findings.labels.copy()
    labels[:10][labels[:10] > 0] = 2
    second = replace(case.findings.lesions[0], number=2)
    findings = replace(case.findings, labels=labels, lesions=(*case.findings.lesions, second))

    [seg] = of(build(replace(case, findings=findings), installation, at, MODERN), ObjectKind.SEG)

    read = hd.seg.Segmentation.from_dataset(seg)
    assert list(read.segment_numbers) == [1, 2]
    volume = read.get_volume(combine_segments=True)
    assert [np.count_nonzero(volume.array == number) for number in (1, 2)] == [
        np.count_nonzero(labels == number) for number in (1, 2)
    ]


def test_all_pages_are_frames_of_one_picture(make_case, installation, at):
    objects = build(make_case("axial"), installation, at, USUAL, MODERN)

    pages, [bound] = of(objects, ObjectKind.SC, USUAL), of(objects, ObjectKind.SC)

    assert (bound.pixel_array == np.stack([page.pixel_array for page in pages])).all()
    assert bound.FrameLabelVector[0] == "PAGE 1"
    named = {str(item.ReferencedSOPInstanceUID) for item in bound.SourceImageSequence}
    assert named == {str(i.ReferencedSOPInstanceUID) for p in pages for i in p.get("SourceImageSequence", ())}


@pytest.mark.parametrize("name", ["axial", "multiframe", "iso2022-58"])
def test_the_key_object_is_the_source_image_of_the_largest_section(make_case, installation, at, name):
    case = make_case(name)
    [selection] = of(build(case, installation, at, MODERN), ObjectKind.KOS)

    read = hd.ko.KeyObjectSelectionDocument.from_dataset(selection)

    [item] = read.content.get_references()
    source = case.source.volume.sources[case.findings.key_slice]
    assert item.referenced_sop_instance_uid == source.sop_instance_uid
    assert item.ReferencedSOPSequence[0].get("ReferencedFrameNumber") == source.frame_number
    assert read.resolve_reference(source.sop_instance_uid)[0] == selection.StudyInstanceUID
    assert selection.ConceptNameCodeSequence[0].CodeValue == "113000"


def test_dsrdump_reads_the_key_object_selection(make_case, installation, at, tmp_path):
    objects = [one for one in build(make_case("axial"), installation, at, MODERN) if one.kind is ObjectKind.KOS]
    [path] = saved(objects, tmp_path)

    text = output_of("dsrdump", str(path))

    assert '"Of Interest"' in text
    assert not [line for line in text.splitlines() if line.startswith(("E:", "F:"))]


def test_nothing_found_yields_neither_segmentation_nor_key_object(make_case, installation, at):
    case = make_case("axial").nothing_found()

    objects = build(case, installation, at, MODERN)

    assert [one.kind for one in objects] == [ObjectKind.SR, ObjectKind.SC, ObjectKind.PDF]
    for one in objects:
        gate.check(one.dataset)


def test_pages_that_nobody_takes_are_not_drawn(make_case, installation, at):
    profile = Profile(kinds=frozenset({ObjectKind.SR}))

    kinds = [one.kind for one in build(make_case("axial"), installation, at, profile)]

    assert kinds == [ObjectKind.SEG, ObjectKind.SR], "the segmentation is kept for the next scan all the same"


def test_a_series_that_was_not_analysed_has_a_report_in_every_form_and_no_key_object(make_case, installation, at):
    datasets = make_case("axial").source.datasets

    objects = build_not_analysed(datasets, "no", [], installation, at, (), (USUAL, MODERN, MIXED))

    classes = [str(one.dataset.SOPClassUID) for one in objects if one.kind is ObjectKind.SR]
    assert classes == [SOP_CLASSES[form] for form in (SrForm.COMPREHENSIVE_3D, SrForm.ENHANCED, SrForm.COMPREHENSIVE)]
    assert {one.kind for one in objects} <= {ObjectKind.SR, ObjectKind.SC}
    assert {one.dataset.SeriesDescription for one in objects} == {"ICHNODE not analysed (RESEARCH)"}
    for one in objects:
        gate.check(one.dataset)


def test_a_report_replaces_the_earlier_one_of_its_own_form(make_case, installation, at):
    case = make_case("axial")
    map_of_usual = Profile(seg=SegForm.LABELMAP)  # the SR is of the usual class
    profiles = (USUAL, MODERN, map_of_usual)
    earlier = {p: of(build(make_case("tilted"), installation, at, *profiles), ObjectKind.SR, p)[0] for p in profiles}
    old = [reference(report, profile.name) for profile, report in earlier.items()]

    objects = build(case, installation, at, *profiles, predecessors=old)

    for profile in profiles:
        [report] = of(objects, ObjectKind.SR, profile)
        assert predecessors_of(report) == [earlier[profile].SOPInstanceUID], profile.name


def test_a_report_from_before_a_change_of_the_configuration_is_replaced_by_its_class(make_case, installation, at):
    [before] = of(build(make_case("tilted"), installation, at, USUAL), ObjectKind.SR, USUAL)
    now = Profile(sc=ScForm.MULTI_FRAME)

    objects = build(make_case("axial"), installation, at, now, predecessors=[reference(before, USUAL.name)])

    assert predecessors_of(of(objects, ObjectKind.SR, now)[0]) == [before.SOPInstanceUID]


def test_patient_and_marks_are_the_same_in_every_form(make_case, installation, at):
    case = make_case("iso2022-58")
    usual, modern = build(case, installation, at, USUAL), build(case, installation, at, MODERN)

    def of_patient(dataset):
        return [bytes(dataset.get_item(keyword).value) for keyword in ("PatientName", "StudyDescription")]

    assert len({tuple(of_patient(one.dataset)) for one in (*usual, *modern)}) == 1
    for one in modern:
        assert one.dataset.ContentQualification == "RESEARCH"
        assert "RESEARCH" in one.dataset.SeriesDescription
        assert one.dataset.SeriesNumber == 9001 + list(ObjectKind).index(one.kind)


def test_the_document_within_is_the_first_page(make_case, installation, at, tmp_path):
    objects = build(make_case("axial"), installation, at, USUAL, MODERN)
    [document], page = of(objects, ObjectKind.PDF), of(objects, ObjectKind.SC, USUAL)[0]

    [path] = saved([one for one in objects if one.kind is ObjectKind.PDF], tmp_path)
    extracted = tmp_path / "page.pdf"
    output_of("dcm2pdf", str(path), str(extracted))

    content = extracted.read_bytes()
    assert content.rstrip(b"\0") == document.EncapsulatedDocument.rstrip(b"\0")
    assert len(content) - document.EncapsulatedDocumentLength in (0, 1)  # the filler that makes a value even
    assert pixels_of(content) == bytes(page.PixelData)
    assert b"CreationDate" not in content


def pixels_of(pdf: bytes) -> bytes:
    """What the one picture of a PDF holds, found by the table at its end as a reader finds it."""
    start = int(pdf[pdf.rindex(b"startxref") :].split()[1])
    rows = pdf[start:].splitlines()[3:]
    begins = [int(row.split()[0]) for row in rows if row.endswith(b" n ")]
    for number, begin in enumerate(begins, 1):
        assert pdf[begin:].startswith(f"{number} 0 obj".encode())
    picture = next(pdf[a:b] for a, b in pairwise([*begins, start]) if b"/Subtype /Image" in pdf[a : a + 100])
    length = int(picture.split(b"/Length ")[1].split()[0])
    begin = picture.index(b"stream\n") + len(b"stream\n")
    return zlib.decompress(picture[begin : begin + length])
