"""What the structured report says of markers, scores, size, growth and doubts, and on what each statement rests."""

from dataclasses import replace

import highdicom as hd
import pytest
from pydicom.uid import ComprehensiveSRStorage, EnhancedSRStorage

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.markers import Bat, MarkerName
from ichnode.domain.outputs import ObjectKind, Reference
from ichnode.domain.profile import Profile, SrForm
from ichnode.domain.values import Laterality, Onset
from ichnode.report import gate
from ichnode.report.build import build_result
from ichnode.report.readings import MAX_FOCI

PRESENT, ABSENT, UNDETERMINED = "52101004", "272519000", "373068000"
YES, NO = "373066001", "373067005"


@pytest.fixture
def report_on(everything, installation, at):
    """The report on the case with everything, some of it changed; it has passed the gate."""

    def report_on(*, form=SrForm.COMPREHENSIVE_3D, **changes):
        findings = replace(everything.findings, **changes)
        built = build_result(everything.source, findings, installation, at, profiles=(Profile(sr=form),))
        [report] = [item.dataset for item in built if item.kind is ObjectKind.SR]
        gate.check(report)
        return report

    return report_on


def items(dataset):
    """Every content item below ``dataset``, depth first."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from items(item)


def named(dataset, code):
    return [item for item in items(dataset) if item.ConceptNameCodeSequence[0].CodeValue == code]


def one(dataset, code):
    [item] = named(dataset, code)
    return item


def number(item):
    return float(item.MeasuredValueSequence[0].NumericValue), item.MeasuredValueSequence[
        0
    ].MeasurementUnitsCodeSequence[0].CodeValue


def value(item):
    return item.ConceptCodeSequence[0].CodeValue


def group(report, tracking):
    """The measurement group with this tracking identifier."""
    groups = [
        found
        for found in named(report, "125007")
        if any(item.get("TextValue") == tracking for item in found.ContentSequence)
    ]
    assert len(groups) == 1
    return groups[0]


def test_every_marker_is_present_absent_or_undetermined_by_a_code_of_its_own(report_on):
    study = group(report_on(), "ICH study-level")

    said = {
        code: value(one(study, code))
        for code in (
            "HYPODENS",
            "BLACKHOLE",
            "SWIRL",
            "BLEND",
            "FLUIDLVL",
            "IRREGULAR",
            "HETEROG",
            "ISLAND",
            "SATELLITE",
        )
    }

    assert {code for code, state in said.items() if state == PRESENT} == {"HYPODENS", "BLACKHOLE", "IRREGULAR"}
    assert {code for code, state in said.items() if state == UNDETERMINED} == {"SWIRL", "SATELLITE"}
    assert {code for code, state in said.items() if state == ABSENT} == {"BLEND", "FLUIDLVL", "HETEROG", "ISLAND"}


def test_a_marker_rests_on_its_reason_and_on_places_with_area_contrast_and_image(report_on, everything):
    marker = one(report_on(), "BLACKHOLE")

    [reason, place] = marker.ContentSequence

    assert {child.RelationshipType for child in (reason, place)} == {"INFERRED FROM"}
    assert reason.TextValue == "seen at the threshold"
    assert number(place) == (50.3, "mm2")
    assert number(one(place, "442707000")) == (34.0, "[hnsf'U]")
    key = everything.source.volume.sources[everything.findings.key_slice].sop_instance_uid
    assert one(place, "121112").ReferencedSOPSequence[0].ReferencedSOPInstanceUID == key


def test_a_place_on_a_multi_frame_image_names_its_frame(make_case, everything, installation, at):
    case = make_case("multiframe")
    findings = replace(case.findings, markers=everything.findings.markers)

    [report] = [i.dataset for i in build_result(case.source, findings, installation, at) if i.kind is ObjectKind.SR]

    frame = case.source.volume.sources[findings.key_slice].frame_number
    [image] = named(one(report, "BLACKHOLE"), "121112")
    assert image.ReferencedSOPSequence[0].ReferencedFrameNumber == frame


def test_more_places_than_are_listed_are_counted_in_words(report_on, everything):
    [marker] = [m for m in everything.findings.markers if m.name is MarkerName.BLACK_HOLE]
    many = replace(marker, foci=marker.foci * (MAX_FOCI + 7))

    said = one(report_on(markers=(many,)), "BLACKHOLE")

    assert len(named(said, "42798000")) == MAX_FOCI
    assert said.ContentSequence[0].TextValue == "seen at the threshold; 7 smaller places are not listed"


def test_bat_is_an_interval_in_words_while_onset_is_unknown_and_a_number_when_it_is_known(report_on):
    unknown = report_on(bat=Bat(low=2, high=4))
    known = report_on(bat=Bat(low=4, high=4), onset=Onset(hours=1.5, source="by hand"))

    assert value(one(unknown, "BAT")) == UNDETERMINED
    assert one(unknown, "BAT").ContentSequence[0].TextValue == "2 to 4 of 5, risk undetermined, onset unknown"
    assert value(one(unknown, "BATHIGH")) == UNDETERMINED
    assert named(unknown, "ONSET2CT") == []
    assert number(one(known, "BAT")) == (4, "{score}")
    assert value(one(known, "BATHIGH")) == YES
    assert number(one(known, "ONSET2CT")) == (1.5, "h")
    assert one(known, "ONSET2CT").ContentSequence[0].TextValue == "Source: by hand"


def test_size_is_told_by_the_voxels_and_by_the_standard_s_method_for_an_ellipsoid(report_on, everything):
    study = group(report_on(), "ICH study-level")
    size = everything.findings.size

    assert number(one(study, "118565006")) == (round(everything.findings.volume_ml, 2), "mL")
    ellipsoid = one(study, "121221")
    assert number(ellipsoid) == (round(size.abc2_ml, 2), "mL")
    assert value(ellipsoid.ContentSequence[0]) == "126029"
    assert number(one(study, "81827009")) == (size.diameter_mm, "mm")
    assert number(one(study, "246206008")) == (len(everything.findings.lesions), "1")


@pytest.mark.parametrize(
    ("side", "code"), [(Laterality.LEFT, "7771000"), (Laterality.RIGHT, "24028007"), (Laterality.BILATERAL, "51440002")]
)
def test_the_side_stands_with_the_finding_site(report_on, side, code):
    site = one(group(report_on(laterality=side), "ICH study-level"), "363698007")

    assert value(site.ContentSequence[0]) == code


def test_growth_has_a_group_with_figures_verdict_and_the_earlier_report(report_on, everything):
    growth = everything.findings.growth

    follow_up = group(report_on(), "ICH follow-up")

    assert number(one(follow_up, "HEGROWTH")) == (round(growth.growth_ml, 2), "mL")
    assert number(one(follow_up, "HEGROWPC")) == (round(growth.growth_percent, 1), "%")
    assert number(one(follow_up, "BASEVOL")) == (18.1, "mL")
    assert number(one(follow_up, "BASEHOURS")) == (5.2, "h")
    assert value(one(follow_up, "HE24DEF")) == YES
    prior, seg = one(follow_up, "122075"), one(follow_up, "121079")
    assert (prior.ValueType, seg.ValueType) == ("COMPOSITE", "IMAGE")
    assert prior.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.72"
    assert seg.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.74"


def test_what_is_of_another_study_is_pertinent_other_evidence(report_on):
    [study] = report_on().PertinentOtherEvidenceSequence

    assert study.StudyInstanceUID == "2.25.71"
    listed = {i.ReferencedSOPInstanceUID for s in study.ReferencedSeriesSequence for i in s.ReferencedSOPSequence}
    assert listed == {"2.25.72", "2.25.74"}


def test_an_earlier_scan_of_the_same_study_is_evidence_of_that_study(report_on, everything):
    here = str(everything.source.images[0].StudyInstanceUID)
    growth = everything.findings.growth
    within = replace(growth, baseline=replace(growth.baseline, study_instance_uid=here))

    report = report_on(growth=within)

    assert "PertinentOtherEvidenceSequence" not in report
    [study] = report.CurrentRequestedProcedureEvidenceSequence
    assert "2.25.72" in str(study)


def test_growth_of_nothing_has_no_percentage_and_no_growth_says_no(report_on, everything):
    growth = replace(everything.findings.growth, baseline_ml=0.0, expanded=False, unregistered="too little in common")

    follow_up = group(report_on(growth=growth), "ICH follow-up")

    assert named(follow_up, "HEGROWPC") == []
    assert value(one(follow_up, "HE24DEF")) == NO
    assert any("too little in common" in item.TextValue for item in named(follow_up, "121106"))


def test_a_doubt_rests_on_its_evidence(report_on):
    told = (Doubt(flag=Flag.QF_TILT, evidence="leans by 18° ± 0.5"), Doubt(flag=Flag.QF_MISSING))

    missing, tilt = sorted(named(report_on(doubts=told), "111052"), key=value)

    assert (value(tilt), tilt.ContentSequence[0].TextValue) == ("QF_TILT", "leans by 18 degrees +/- 0.5")
    assert (value(missing), missing.get("ContentSequence")) == ("QF_MISSING", None)


@pytest.mark.parametrize(
    "what", ["reason", "contrast", "place", "bat", "onset", "source", "size", "side", "growth", "history", "evidence"]
)
def test_whatever_the_report_says_decides_its_uid(report_on, everything, what):
    found = everything.findings
    marker, growth = found.markers[0], found.growth
    changes = {
        "reason": {"markers": (replace(marker, reason="other words"), *found.markers[1:])},
        "contrast": {
            "markers": (replace(marker, foci=(replace(marker.foci[0], contrast_hu=35.0),)), *found.markers[1:])
        },
        "place": {"markers": (replace(marker, foci=(replace(marker.foci[0], slice_index=3),)), *found.markers[1:])},
        "bat": {"bat": Bat(low=2, high=3)},
        "onset": {"onset": Onset(hours=2.0, source="by hand")},
        "source": {"onset": Onset(hours=1.5, source="study comment")},
        "size": {"size": replace(found.size, a_mm=45.0)},
        "side": {"laterality": Laterality.LEFT},
        "growth": {"growth": replace(growth, hours=6.0)},
        "history": {"growth": replace(growth, history=growth.history[1:])},
        "evidence": {"doubts": (*found.doubts[:-1], replace(found.doubts[-1], evidence="13 voxels"))},
    }[what]
    before = report_on(onset=Onset(hours=1.5, source="by hand")) if what == "source" else report_on()

    assert report_on(**changes).SOPInstanceUID != before.SOPInstanceUID


def test_a_later_onset_changes_the_report_and_not_the_segmentation(everything, installation, at):
    told = replace(everything.findings, onset=Onset(hours=1.5, source="by hand"), bat=Bat(low=4, high=4))

    def uid_of(findings, kind):
        built = build_result(everything.source, findings, installation, at)
        return [item.dataset.SOPInstanceUID for item in built if item.kind is kind]

    assert uid_of(told, ObjectKind.SEG) == uid_of(everything.findings, ObjectKind.SEG)
    assert uid_of(told, ObjectKind.SR) != uid_of(everything.findings, ObjectKind.SR)


@pytest.mark.parametrize(
    ("form", "uid"), [(SrForm.COMPREHENSIVE, ComprehensiveSRStorage), (SrForm.ENHANCED, EnhancedSRStorage)]
)
def test_the_same_tree_stands_in_the_simpler_classes(report_on, form, uid):
    simple, usual = report_on(form=form), report_on()

    assert simple.SOPClassUID == uid
    assert simple.ContentSequence == usual.ContentSequence


def test_highdicom_reads_the_groups_and_their_measurements_back(report_on, everything):
    read = hd.sr.Comprehensive3DSR.from_dataset(report_on())

    [lesion] = read.content.get_volumetric_roi_measurement_groups()
    groups = read.content.get_image_measurement_groups()

    assert lesion.tracking_identifier == "ICH 1"
    assert [found.tracking_identifier for found in groups] == ["ICH study-level", "ICH follow-up"]
    volume = groups[0].get_measurements(name=hd.sr.CodedConcept("118565006", "SCT", "Volume"))
    assert [float(found.value) for found in volume] == [round(everything.findings.volume_ml, 2)]


def test_an_object_that_the_evidence_does_not_list_is_stopped_at_the_gate(report_on):
    report = report_on()
    del report.PertinentOtherEvidenceSequence

    with pytest.raises(gate.NotConformant, match="not in the evidence"):
        gate.check(report)


def test_a_reference_to_no_segmentation_leaves_the_report_alone(report_on, everything):
    growth = everything.findings.growth
    baseline = replace(growth.baseline, seg=None, volume_ml=0.0)

    report = report_on(growth=replace(growth, baseline=baseline, baseline_ml=0.0))

    assert named(report, "121079") == []
    assert isinstance(baseline.report, Reference)
