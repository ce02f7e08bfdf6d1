"""Where the frames of the segmentation lie and what they refer to."""

import numpy as np
import pytest

from ichnode.domain.flags import Flag
from ichnode.report.build import build_result


def seg_of(case, installation, at):
    return build_result(case.source, case.findings, installation, at)[0].dataset


def frames_of(seg):
    """Per frame: the mask (Y, X), the position, the item that names the source."""
    pixels = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns).astype(bool)
    for pixel, group in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
        position = [float(x) for x in group.PlanePositionSequence[0].ImagePositionPatient]
        yield pixel, position, group.DerivationImageSequence[0].SourceImageSequence[0]


def test_each_frame_lies_on_the_slice_that_it_names(any_case, installation, at):
    volume, mask = any_case.source.volume, any_case.findings.mask
    place = {(s.sop_instance_uid, s.frame_number): i for i, s in enumerate(volume.sources)}
    seen = []

    for pixel, position, source in frames_of(seg_of(any_case, installation, at)):
        index = place[(source.ReferencedSOPInstanceUID, source.get("ReferencedFrameNumber"))]
        assert (pixel == mask[index]).all()
        assert position == pytest.approx(volume.geometry.origins_mm[index], abs=1e-9)
        seen.append(index)

    assert sorted(seen) == np.flatnonzero(mask.any(axis=(1, 2))).tolist()


def test_positions_keep_the_digits_of_the_source(make_case, installation, at):
    case = make_case("ge-tilt")
    source = {str(ds.SOPInstanceUID): ds for ds in case.source.datasets}

    for _, position, reference in frames_of(seg_of(case, installation, at)):
        stated = source[reference.ReferencedSOPInstanceUID].ImagePositionPatient
        assert position == [float(x) for x in stated]


@pytest.mark.parametrize(("name", "spacing_mm"), [("axial", 5.0), ("tilted", 5 * np.cos(np.radians(18)))])
def test_the_spacing_is_the_distance_along_the_normal(make_case, installation, at, name, spacing_mm):
    seg = seg_of(make_case(name), installation, at)

    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SpacingBetweenSlices) == pytest.approx(spacing_mm, abs=1e-4)


def test_unequal_gaps_are_given_no_one_spacing(make_case, installation, at):
    seg = seg_of(make_case("unequal"), installation, at)

    assert "SpacingBetweenSlices" not in seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


def test_every_frame_names_its_segment_itself(make_case, installation, at):
    seg = seg_of(make_case("axial"), installation, at)

    assert "SegmentIdentificationSequence" not in seg.SharedFunctionalGroupsSequence[0]
    assert all("SegmentIdentificationSequence" in group for group in seg.PerFrameFunctionalGroupsSequence)


def test_the_report_names_every_frame_of_a_multi_frame_source(make_case, installation, at):
    case = make_case("multiframe")
    objects = build_result(case.source, case.findings, installation, at)
    marked = case.findings.mask.any(axis=(1, 2))
    due = sorted(s.frame_number for s, yes in zip(case.source.volume.sources, marked, strict=True) if yes)

    tree = str(objects[1].dataset)

    assert str(due).replace(" ", "") in tree.replace(" ", "")


def test_missing_frame_of_reference_and_thickness_are_made_up_and_flagged(make_case, installation, at):
    case = make_case("bare")
    objects = build_result(case.source, case.findings, installation, at)
    seg, report, picture = objects[0].dataset, objects[1].dataset, objects[3].dataset

    assert case.source.repairs == {Flag.QF_HEADER}
    assert "QF_HEADER" in str(report)
    assert seg.FrameOfReferenceUID == picture.FrameOfReferenceUID
    assert float(seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness) == 5


def test_a_whole_header_needs_no_repair(make_case):
    assert make_case("axial").source.repairs == frozenset()
    assert make_case("multiframe").source.repairs == frozenset()
