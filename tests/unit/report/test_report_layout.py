"""Whatever is found, no two words on a page overlap, none leaves the page, and none stands on the anatomy."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.markers import Bat, Focus, Marker, MarkerName
from ichnode.domain.values import Expansion, Laterality, Lesion, ModelIdentity, Onset, Size
from ichnode.report.canvas import ELLIPSIS, HEIGHT, WIDTH, Box, Type, cut_off, wrapped
from ichnode.report.growth_page import growth_sheet
from ichnode.report.pages import PICTURE_LEFT, PICTURE_TOP, SIDE, slice_sheet
from ichnode.report.refusal_page import refusal_sheet
from ichnode.report.summary import summary_sheet
from ichnode.report.wording import distinct

EXAMPLES = settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink a page takes minutes and tells no more
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=300) | st.sampled_from(
    ["leans by 18.2 degrees " * 12, "W" * 400, "", "12 voxels at the upper end"]
)
SIZES = st.floats(0, 1e12) | st.sampled_from([0.0, 0.04, 99.96, 1234.5, 1e9])
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)


@st.composite
def foci(draw):
    """Places anywhere on two slices, so that they crowd, some off the picture, some without a contour."""
    row, column = draw(st.floats(-5, 135)), draw(st.floats(-5, 100))
    ring = tuple((row + 2 * float(np.sin(a)), column + 2 * float(np.cos(a))) for a in range(6))
    return Focus(
        slice_index=draw(st.sampled_from([9, 10])),
        position_mm=(draw(st.floats(-80, 80)), draw(st.floats(-100, 100)), draw(st.floats(0, 90))),
        area_mm2=draw(SIZES),
        contrast_hu=draw(st.none() | SIZES),
        contour=draw(st.sampled_from([(), ring])),
    )


@st.composite
def markers(draw):
    names = draw(st.lists(st.sampled_from(list(MarkerName)), unique=True, max_size=9))
    return tuple(
        Marker(
            name=name,
            present=draw(st.sampled_from([True, True, False, None])),
            reason=draw(WORDS),
            foci=tuple(draw(st.lists(foci(), max_size=12))),
        )
        for name in names
    )


@st.composite
def doubts(draw):
    """Up to twenty, the same flag many times over too: as many kinds as there may ever be."""
    told = draw(st.lists(st.tuples(st.sampled_from(list(Flag)), WORDS), max_size=20))
    return tuple(Doubt(flag=flag, evidence=evidence) for flag, evidence in told)


@st.composite
def contents(draw):
    """What Findings may say, of any size."""
    volume_ml, parts = draw(SIZES.filter(bool)), draw(st.integers(1, 30))
    low = draw(st.integers(0, 5))
    size = Size(a_mm=draw(SIZES), b_mm=draw(SIZES), c_mm=draw(SIZES), diameter_mm=draw(SIZES), diameter_slice=3)
    lesion = Lesion(number=1, volume_ml=volume_ml, hu_mean=60.0, hu_sd=5.0)
    return {
        "volume_ml": volume_ml,
        "hu_mean": draw(st.none() | st.floats(-1024, 3071)),
        "hu_sd": draw(st.none() | SIZES),
        "lesions": tuple(replace(lesion, number=number) for number in range(1, parts + 1)),
        "model": ModelIdentity(name=draw(NAMES), version=draw(NAMES), sha256="0" * 64),
        "size": draw(st.none() | st.just(size)),
        "laterality": draw(st.none() | st.sampled_from(Laterality)),
        "markers": draw(markers()),
        "onset": draw(st.none() | st.builds(Onset, hours=SIZES, source=WORDS)),
        "bat": draw(st.none() | st.just(Bat(low=low, high=draw(st.integers(low, 5))))),
        "expansion": draw(
            st.none()
            | st.builds(
                Expansion, probability=st.floats(0, 1), threshold=st.floats(0, 1), trained_on_patients=st.booleans()
            )
        ),
        "doubts": draw(doubts()),
    }


@st.composite
def histories(draw):
    """(hours, mL) of two to twelve scans, ascending, equal hours among them."""
    hours = sorted(draw(st.lists(st.floats(0, 200), min_size=2, max_size=12)))
    return tuple((hour - hours[0], draw(SIZES)) for hour in hours)


def check(boxes: list[Box]) -> None:
    assert boxes
    for box in boxes:
        assert 0 <= box.left < box.right <= WIDTH, box
        assert 0 <= box.top < box.bottom <= HEIGHT, box
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other), (one, other)


@EXAMPLES
@given(said=contents(), version=NAMES)
def test_the_first_page_holds_any_findings(make_case, said, version):
    case = make_case("axial")

    check(summary_sheet(case.source, replace(case.findings, **said), version).boxes)


@EXAMPLES
@given(said=contents(), history=histories(), baseline_ml=SIZES, expanded=st.booleans(), apart=st.none() | WORDS)
def test_growth_of_any_size_keeps_to_its_page(everything, said, history, baseline_ml, expanded, apart):
    before = None if apart is not None else everything.findings.growth.before
    growth = replace(
        everything.findings.growth,
        hours=history[-1][0],
        baseline_ml=baseline_ml,
        followup_ml=history[-1][1],
        expanded=expanded,
        history=history,
        before=before,
        unregistered=apart or "",
    )
    findings = replace(everything.findings, **said, growth=growth)

    check(growth_sheet(everything.source, findings, growth, "0.1.0").boxes)
    check(summary_sheet(everything.source, findings, "0.1.0").boxes)


@EXAMPLES
@given(said=contents(), index=st.sampled_from([9, 10]))
def test_no_word_of_a_slice_page_stands_on_the_anatomy(make_case, said, index):
    case = make_case("axial")

    boxes = slice_sheet(case.source, replace(case.findings, **said), index, "0.1.0").boxes

    check(boxes)
    anatomy = Box(PICTURE_LEFT, PICTURE_TOP, PICTURE_LEFT + SIDE, PICTURE_TOP + SIDE, "")
    assert not [box for box in boxes if box.overlaps(anatomy)]


@EXAMPLES
@given(said=contents(), unseen=st.booleans())
def test_a_page_of_nothing_found_holds_any_doubts(make_case, said, unseen):
    case = make_case("axial").nothing_found()
    told = (*said["doubts"], *([Doubt(flag=Flag.QF_STRIP)] if unseen else []))

    check(summary_sheet(case.source, replace(case.findings, doubts=told, model=said["model"]), "0.1.0").boxes)


@EXAMPLES
@given(reason=WORDS, flags=st.lists(st.sampled_from(list(Flag))))
def test_any_reason_why_nothing_was_analysed_keeps_to_its_page(scout, reason, flags):
    check(refusal_sheet([scout], reason, flags, "0.1.0").boxes)


def test_a_page_that_overlaps_is_noticed(make_case):
    case = make_case("axial")
    sheet = summary_sheet(case.source, case.findings, "0.1.0")
    sheet.text(40, 80, "over the title", Type(20), within=200)

    with pytest.raises(AssertionError):
        check(sheet.boxes)


def test_what_is_too_long_is_cut_off_within_its_width():
    look = Type(20)

    shown = cut_off("Segmentation touches volume border", look, 120)

    assert shown.endswith(ELLIPSIS)
    assert look.length(shown) <= 120
    assert cut_off("short", look, 120) == "short"


@given(text=WORDS, within=st.floats(40, 900), most=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_wrapped_text_keeps_every_letter_until_it_is_cut_off(text, within, most):
    look = Type(20)

    lines = wrapped(text, look, within, most)

    assert len(lines) <= most
    assert all(look.length(line) <= max(within, look.length("W")) for line in lines)
    if lines and not lines[-1].endswith(ELLIPSIS):
        assert "".join(lines).replace(" ", "") == "".join(text.split())


@pytest.mark.parametrize("rows_down", [-60, 0, 55])
def test_the_names_of_places_that_crowd_stand_one_below_the_other(everything, rows_down):
    key, focus = everything.findings.key_slice, everything.findings.markers[0].foci[0]
    x, y, z = focus.position_mm
    contour = tuple((row + rows_down, column) for row, column in focus.contour)
    crowd = tuple(replace(focus, position_mm=(x, y + 1.1 * place, z), contour=contour) for place in range(9))
    marker = replace(everything.findings.markers[0], foci=crowd)

    sheet = slice_sheet(everything.source, replace(everything.findings, markers=(marker,)), key, "0.1.0")

    check(sheet.boxes)
    assert sum(box.text == "hypodensity" for box in sheet.boxes) == len(crowd)


def test_more_doubts_than_fit_are_counted(make_case):
    case = make_case("axial")
    told = tuple(Doubt(flag=flag, evidence=f"{n} slices") for n in range(3) for flag in Flag)

    words = [box.text for box in summary_sheet(case.source, replace(case.findings, doubts=told), "0.1.0").boxes]

    assert f"{len(told) - 7} more: see the report" in words


def test_a_flag_with_evidence_does_not_stand_there_bare_as_well():
    told = [
        Doubt(flag=Flag.QF_TILT),
        Doubt(flag=Flag.QF_TILT, evidence="leans by 18 degrees"),
        Doubt(flag=Flag.QF_MISSING),
    ]

    assert [doubt.evidence for doubt in distinct(told)] == ["leans by 18 degrees", ""]
