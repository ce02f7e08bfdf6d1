"""The secondary captures: what is on them, and where they lie."""

from dataclasses import replace

import numpy as np
import pytest

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.outputs import ObjectKind
from ichnode.report import summary
from ichnode.report.build import build_result
from ichnode.report.canvas import AMBER, BANNER, GUTTER, RED, SIDE, WIDTH, font
from ichnode.report.pages import MAX_SLICE_PAGES, shown_slices


def pictures_of(case, installation, at):
    built = build_result(case.source, case.findings, installation, at)
    return [item.dataset for item in built if item.kind is ObjectKind.SC]


def place_of(picture, row, column):
    """Patient coordinates (mm) of a pixel of the picture."""
    cosines = np.array(picture.ImageOrientationPatient, float)
    spacing = np.array(picture.PixelSpacing, float)
    origin = np.array(picture.ImagePositionPatient, float)
    return origin + column * spacing[1] * cosines[:3] + row * spacing[0] * cosines[3:]


def middle_of(pixels):
    """The middle between the outermost of some pixels (N, 2)."""
    return (pixels.min(axis=0) + pixels.max(axis=0)) / 2


def red_of(picture):
    """(row, column) of the pixels that are the outline's colour, within the slice."""
    square = picture.pixel_array[BANNER : BANNER + SIDE, GUTTER : GUTTER + SIDE].astype(int)
    strong = (square[..., 0] - square[..., 1] > 100) & (square[..., 0] - square[..., 2] > 100)
    return np.argwhere(strong) + np.array([BANNER, GUTTER])


@pytest.mark.parametrize("name", ["axial", "tilted", "ge-tilt"])
def test_the_outline_lies_on_the_haematoma_in_the_patient(make_case, installation, at, name):
    case = make_case(name)
    geometry, mask = case.source.volume.geometry, case.findings.mask
    index = case.findings.key_slice
    row, column = middle_of(np.argwhere(mask[index]))
    centre = (
        geometry.origins_mm[index]
        + column * geometry.column_spacing_mm * geometry.row_cosine
        + row * geometry.row_spacing_mm * geometry.column_cosine
    )
    uid = case.source.volume.sources[index].sop_instance_uid
    [picture] = [
        picture
        for picture in pictures_of(case, installation, at)[1:]
        if picture.SourceImageSequence[0].ReferencedSOPInstanceUID == uid
    ]

    drawn = place_of(picture, *middle_of(red_of(picture)))

    assert np.linalg.norm(drawn - centre) < 0.5


def test_the_outline_encloses_the_measured_area(make_case, installation, at):
    case = make_case("axial")
    picture = pictures_of(case, installation, at)[1:][0]
    first = int(np.flatnonzero(case.findings.mask.any(axis=(1, 2)))[0])
    rows = np.argwhere(case.findings.mask[first])[:, 0]
    scale = SIDE / max(case.findings.mask.shape[1:])

    height = np.ptp(red_of(picture)[:, 0]) + 1

    assert height == pytest.approx((np.ptp(rows) + 1) * scale, abs=4)


def test_every_page_carries_the_research_banner(any_case, installation, at):
    for picture in pictures_of(any_case, installation, at):
        banner = picture.pixel_array[:BANNER]
        amber = (banner == AMBER).all(axis=-1)
        assert amber.mean() > 0.5
        assert (banner.sum(axis=-1) == 0).sum() > 500, "the words are missing"


def test_each_slice_with_haematoma_has_a_page_and_the_summary_comes_first(make_case, installation, at):
    case = make_case("axial")

    pictures = pictures_of(case, installation, at)

    assert len(pictures) == 1 + case.findings.mask.any(axis=(1, 2)).sum()
    assert [picture.InstanceNumber for picture in pictures] == list(range(1, len(pictures) + 1))
    assert "SourceImageSequence" not in pictures[0]


def test_thin_slices_are_thinned_out_around_the_largest(make_case):
    mask = np.zeros((140, 8, 8), bool)
    mask[20:120, 2:6, 2:6] = True
    mask[61] = True
    findings = replace(make_case("axial").findings, labels=mask.astype(np.uint16), key_slice=61)

    shown = shown_slices(findings)

    assert len(shown) <= MAX_SLICE_PAGES + 1
    assert 61 in shown
    assert set(np.diff(shown)) == {5}


def test_nothing_but_the_banner_is_red_or_amber_where_nothing_was_found(make_case, installation, at):
    case = make_case("axial").nothing_found()

    [page] = pictures_of(case, installation, at)

    assert not (page.pixel_array == RED).all(axis=-1).any()


def test_no_patient_data_is_drawn(make_case, installation, at):
    one, other = make_case("axial"), make_case("axial")
    for dataset in other.source.datasets:
        dataset.PatientName, dataset.PatientID, dataset.AccessionNumber = "Somebody^Else", "PID9", "ACC9"

    pages = [[p.PixelData for p in pictures_of(case, installation, at)] for case in (one, other)]

    assert pages[0] == pages[1]


def test_a_page_refers_to_the_frame_of_a_multi_frame_source(make_case, installation, at):
    case = make_case("multiframe")

    picture = pictures_of(case, installation, at)[1]

    first = int(np.flatnonzero(case.findings.mask.any(axis=(1, 2)))[0])
    frame = case.source.volume.sources[first].frame_number
    assert picture.SourceImageSequence[0].ReferencedFrameNumber == frame


@pytest.mark.parametrize("flag", list(Flag))
def test_every_doubt_fits_into_its_column(flag):
    column = (WIDTH - 2 * summary.MARGIN) / 2

    assert 18 + font(16).getlength(flag.value) < column


def test_all_doubts_together_end_above_the_signature(make_case, installation, at):
    case = make_case("axial")
    full = replace(case, findings=replace(case.findings, doubts=tuple(Doubt(flag=flag) for flag in Flag)))

    page = pictures_of(full, installation, at)[0].pixel_array

    rule = summary.SIGNATURE_TOP - 8
    assert (page[rule, summary.MARGIN : -summary.MARGIN] == page[rule, summary.MARGIN]).all(), "text crosses the rule"
    assert not page[rule - 4 : rule].any()
