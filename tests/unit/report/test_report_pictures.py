"""The secondary captures: what is on them, and where they lie."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageFont

from ichnode.domain.outputs import ObjectKind
from ichnode.report import gate
from ichnode.report.build import build_not_analysed, build_result
from ichnode.report.canvas import AMBER, BANNER, RED, Type, font
from ichnode.report.evidence import places_on
from ichnode.report.growth_page import growth_page
from ichnode.report.orient import letters
from ichnode.report.origin import analysed
from ichnode.report.pages import (
    LEGEND_TOP,
    MAX_SLICE_PAGES,
    PICTURE_LEFT,
    PICTURE_TOP,
    SIDE,
    picture_place,
    scale_of,
    shown_slices,
    slice_page,
    slice_sheet,
)
from ichnode.report.picture import window_of
from ichnode.report.summary import summary_sheet


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
    square = picture.pixel_array[PICTURE_TOP : PICTURE_TOP + SIDE, PICTURE_LEFT : PICTURE_LEFT + SIDE].astype(int)
    strong = (square[..., 0] - square[..., 1] > 100) & (square[..., 0] - square[..., 2] > 100)
    return np.argwhere(strong) + np.array([PICTURE_TOP, PICTURE_LEFT])


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


def test_a_follow_up_has_a_page_with_both_scans_between_the_first_and_the_slices(everything, installation, at):
    pictures = pictures_of(everything, installation, at)

    assert pictures[1].DerivationDescription == "Comparison with an earlier scan (research)"
    assert "SourceImageSequence" not in pictures[1]
    assert len(pictures) == 2 + everything.findings.mask.any(axis=(1, 2)).sum()
    assert {(p.Rows, p.Columns) for p in pictures} == {(1024, 1024)}, "pages of one size can be bound into one object"


def test_the_earlier_scan_is_drawn_with_its_own_outline(everything):
    growth = everything.findings.growth
    without = replace(growth.before, mask=np.zeros_like(growth.before.mask))

    drawn = [
        growth_page(everything.source, everything.findings, replace(growth, before=section), "0.1.0")
        for section in (growth.before, without)
    ]

    changed = (drawn[0] != drawn[1]).any(axis=-1)
    assert changed[:, : 1024 // 2].any()
    assert not changed[:, 1024 // 2 :].any()


def test_the_places_of_a_marker_are_named_on_their_slice_and_on_no_other(everything):
    key = everything.findings.key_slice

    def words(index):
        return {box.text for box in slice_sheet(everything.source, everything.findings, index, "0.1.0").boxes}

    assert {"irregular shape", "34 HU, 50 mm2"} <= words(key)
    assert "irregular shape" not in words(key + 1)


def test_a_place_that_shows_two_markers_is_drawn_once_with_both_names(everything):
    names = [place.names for place in places_on(everything.findings.markers, everything.findings.key_slice)]

    assert sorted(names) == [("hypodensity",), ("hypodensity", "black hole"), ("irregular shape",)]


def test_the_contour_of_a_place_lies_where_the_marker_was_measured(everything):
    key = everything.findings.key_slice
    bare = replace(everything.findings, markers=())
    focus = everything.findings.markers[5].foci[0]
    shape = replace(everything.findings, markers=everything.findings.markers[5:6])

    drawn = [slice_page(everything.source, found, key, "0.1.0").astype(int) for found in (bare, shape)]

    changed = np.argwhere((drawn[0] != drawn[1]).any(axis=-1))
    inside = changed[(changed[:, 0] < PICTURE_TOP + SIDE) & (changed[:, 1] < PICTURE_LEFT + SIDE)]
    geometry = everything.source.volume.geometry
    left, top = picture_place(geometry.rows, geometry.columns)
    row, column = np.mean(focus.contour, axis=0)
    due = np.array([top, left]) + (np.array([row, column]) + 0.5) * scale_of(geometry.rows, geometry.columns)
    contour = inside[inside[:, 1] <= due[1] + 1]  # right of the middle the leader begins
    assert middle_of(contour)[0] == pytest.approx(due[0], abs=2)
    assert contour[:, 1].max() == pytest.approx(due[1], abs=2)


def test_the_scale_bar_is_as_long_as_it_says(everything):
    sheet = slice_sheet(everything.source, everything.findings, everything.findings.key_slice, "0.1.0")
    [said] = [box.text for box in sheet.boxes if box.text.endswith(" mm")]
    geometry = everything.source.volume.geometry

    line = (sheet.pixels[LEGEND_TOP + 18, 600:] > 200).all(axis=-1)

    length = np.flatnonzero(line)[-1] - np.flatnonzero(line)[0]
    assert length * geometry.column_spacing_mm / scale_of(geometry.rows, geometry.columns) == pytest.approx(
        float(said.split()[0]), rel=0.02
    )


def test_letters_name_the_sides_of_the_patient_and_none_where_one_would_mislead(make_case):
    axial = make_case("axial").source.volume.geometry
    half = np.sqrt(0.5)
    oblique = replace(axial, row_cosine=np.array([half, half, 0]), column_cosine=np.array([-half, half, 0]))

    assert letters(axial) == ("R", "L", "A", "P")
    assert letters(oblique) == ("", "", "", "")


@pytest.mark.parametrize(
    ("center", "width", "shown"),
    [
        ("35", "85", "W 85 L 35"),
        ("400", "2000", "W 80 L 40"),
        ("500\\40", "2000\\100", "W 100 L 40"),
        ("x", "1", "W 80 L 40"),
    ],
)
def test_the_window_is_the_source_s_where_it_shows_the_brain(make_case, put_bytes, center, width, shown):
    image = make_case("axial").source.images[0]
    put_bytes(image, "WindowCenter", "DS", center.encode())
    put_bytes(image, "WindowWidth", "DS", width.encode())

    assert window_of(image).text == shown


def test_the_first_page_lists_what_is_present_first_and_what_is_absent_last(everything):
    boxes = summary_sheet(everything.source, everything.findings, "0.1.0").boxes
    said = [box.text for box in sorted(boxes, key=lambda box: box.top)]

    states = [word for word in said if word in ("PRESENT", "undetermined", "absent")]
    assert states == ["PRESENT"] * 3 + ["undetermined"] * 2 + ["absent"] * 4


def test_the_state_of_a_marker_can_be_told_without_its_colour(everything):
    """Each state has a symbol of its own: how much of it is filled differs."""

    def filled(present):
        marker = replace(everything.findings.markers[0], present=present, foci=())
        sheet = summary_sheet(everything.source, replace(everything.findings, markers=(marker,)), "0.1.0")
        [name] = [box for box in sheet.boxes if box.text == "Hypodensity"]
        symbol = sheet.pixels[int(name.top) - 4 : int(name.bottom), int(name.left) - 26 : int(name.left) - 6]
        return int((symbol.max(axis=-1) > 100).sum())

    assert filled(True) > 1.3 * filled(None) > 1.3 * 1.3 * filled(False) > 0


def test_what_was_analysed_is_told_without_the_patient(make_case):
    source = make_case("axial").source
    for image in source.datasets:
        image.SeriesDescription, image.AcquisitionDate, image.AcquisitionTime = "Mr. Smith", "20260105", "081423.5"

    assert analysed(source) == "Series 2, 20 slices of 5 mm, acquired 2026-01-05 08:14"
    assert "20 slices 2.5 to 5 mm apart" in analysed(make_case("unequal").source)


def test_not_analysed_has_a_page_without_a_place_in_the_patient(scout, installation, at):
    _, page = build_not_analysed([scout], "no CT images", [], installation, at)

    assert page.kind is ObjectKind.SC
    assert page.dataset.SeriesDescription == "ICHNODE not analysed (RESEARCH)"
    assert "ImagePositionPatient" not in page.dataset
    gate.check(page.dataset)


def test_a_page_draws_the_same_on_every_machine():
    """The letters come from the package, and are laid out without a library of the system."""
    assert font(Type(20)).getname()[0] == "IBM Plex Sans"
    assert font(Type(20)).layout_engine == ImageFont.Layout.BASIC
    assert font(Type(20, weight=600)).getlength("Haematoma") != font(Type(20)).getlength("Haematoma")
