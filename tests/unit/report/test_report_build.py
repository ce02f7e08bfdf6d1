"""What a result says and how its objects hang together."""

import time
from dataclasses import replace
from datetime import UTC, timedelta

import numpy as np
import pytest
from pydicom.uid import Comprehensive3DSRStorage

from ichnode.domain.errors import ConfigError, Rejected
from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.outputs import ObjectKind, Reference
from ichnode.domain.values import Expansion, ModelIdentity
from ichnode.report import gate
from ichnode.report.build import build_not_analysed, build_result
from ichnode.report.inputs import Installation, Source


def build(case, installation, at, **changes):
    return build_result(case.source, replace(case.findings, **changes), installation, at)


def report_of(objects):
    return next(item.dataset for item in objects if item.kind is ObjectKind.SR)


def items_of(dataset, meaning):
    """Content items with this concept name, anywhere in the tree."""
    for item in dataset.get("ContentSequence", ()):
        if item.ConceptNameCodeSequence[0].CodeMeaning == meaning:
            yield item
        yield from items_of(item, meaning)


def codes_of(dataset, meaning):
    return [item.ConceptCodeSequence[0].CodeValue for item in items_of(dataset, meaning)]


def numbers_of(dataset, meaning):
    return [float(item.MeasuredValueSequence[0].NumericValue) for item in items_of(dataset, meaning)]


def comments_of(dataset):
    return [item.TextValue for item in items_of(dataset, "Comment")]


def test_every_kind_of_source_yields_objects_that_pass_the_gate(any_case, installation, at):
    for item in build_result(any_case.source, any_case.findings, installation, at):
        gate.check(item.dataset)


def test_the_objects_come_in_the_order_of_sending(make_case, installation, at):
    objects = build(make_case("axial"), installation, at)

    assert [item.kind for item in objects[:3]] == [ObjectKind.SEG, ObjectKind.SR, ObjectKind.SC]
    assert [item.number for item in objects[2:]] == list(range(1, len(objects) - 1))
    assert len({item.dataset.SOPInstanceUID for item in objects}) == len(objects)


def test_a_second_run_writes_the_same_bytes(any_case, installation, at):
    first = build_result(any_case.source, any_case.findings, installation, at)
    second = build_result(any_case.source, any_case.findings, installation, at)

    assert [gate.encode(a.dataset) for a in first] == [gate.encode(b.dataset) for b in second]


def test_nothing_in_an_object_comes_from_the_clock_of_the_machine(make_case, installation, at):
    today = time.strftime("%Y%m%d").encode()

    for item in build(make_case("axial"), installation, at):
        raw = gate.encode(item.dataset)
        assert today not in (raw if item.kind is not ObjectKind.SC else raw[:4000])


def test_the_local_time_that_is_handed_in_is_what_is_written(make_case, installation, at):
    aware = at.replace(tzinfo=UTC, microsecond=999)

    report = report_of(build_result(make_case("axial").source, make_case("axial").findings, installation, aware))

    assert (report.ContentDate, report.ContentTime) == ("20260105", "082011")


@pytest.mark.parametrize("what", ["model", "mask", "installation", "images"])
def test_whatever_changes_the_result_changes_its_uids(make_case, installation, at, what):
    case = make_case("axial")
    before = build(case, installation, at)
    findings = case.findings
    if what == "model":
        findings = replace(findings, model=ModelIdentity(name="ich-small", version="0.1.1", sha256="ff"))
    elif what == "mask":
        mask = findings.mask.copy()
        mask[tuple(np.argwhere(mask)[0])] = False
        findings = replace(findings, labels=mask.astype(np.uint16), volume_ml=findings.volume_ml - 0.01)
    elif what == "installation":
        installation = replace(installation, device_serial="ICHNODE-0002")
    else:
        late = make_case("gb18030").source.datasets[0]
        case = replace(case, source=Source(datasets=(*case.source.datasets, late), volume=case.source.volume))

    after = build_result(case.source, findings, installation, at)

    ours = {str(item.dataset.SOPInstanceUID) for item in before if item.kind is not ObjectKind.SC}
    assert ours.isdisjoint(str(item.dataset.SOPInstanceUID) for item in after)


def test_a_later_run_of_the_same_result_has_the_same_uids(make_case, installation, at):
    case = make_case("axial")

    first, second = build(case, installation, at), build(case, installation, at + timedelta(days=1))

    assert [a.dataset.SOPInstanceUID for a in first] == [b.dataset.SOPInstanceUID for b in second]


def test_a_lesion_keeps_its_tracking_uid_under_another_model(make_case, installation, at):
    case = make_case("axial")
    other = ModelIdentity(name="ich-large", version="2", sha256="ff")

    first, second = build(case, installation, at), build(case, installation, at, model=other)

    tracking = [objects[0].dataset.SegmentSequence[0].TrackingUID for objects in (first, second)]
    assert tracking[0] == tracking[1]
    assert tracking[0] in [item.UID for item in items_of(report_of(first), "Tracking Unique Identifier")]


def test_the_report_says_volume_density_presence_and_weights(make_case, installation, at):
    case = make_case("axial")

    report = report_of(build(case, installation, at))

    assert numbers_of(report, "Volume") == 2 * [round(case.findings.volume_ml, 2)]  # the lesion, and all of them
    density = [round(case.findings.hu_mean, 1), round(case.findings.hu_sd, 1)]
    assert numbers_of(report, "Attenuation Coefficient") == [*density, *density, round(case.findings.hu_cv, 3)]
    assert codes_of(report, "Cerebral hemorrhage") == ["52101004"]
    assert codes_of(report, "Imaging Series Quality") == ["RID12"]
    assert [item.TextValue for item in items_of(report, "Algorithm Name")] == ["ich-small"] * 2
    parameters = [item.TextValue for item in items_of(report, "Algorithm Parameters")]
    assert f"weights sha256={case.findings.model.sha256}" in parameters
    assert "RESEARCH ONLY - NOT FOR DIAGNOSTIC USE" in comments_of(report)
    assert report.SOPClassUID == Comprehensive3DSRStorage


def test_every_doubt_stands_in_the_report_by_its_code(make_case, installation, at):
    report = report_of(build(make_case("axial"), installation, at, doubts=tuple(Doubt(flag=flag) for flag in Flag)))

    assert sorted(codes_of(report, "Quality Finding")) == sorted(flag.name for flag in Flag)
    assert codes_of(report, "Imaging Series Quality") == ["RID13"]
    schemes = [item.CodingSchemeDesignator for item in report.CodingSchemeIdentificationSequence]
    assert schemes == ["99ICHNODE"]
    gate.check(report)


@pytest.mark.parametrize(("probability", "category"), [(0.63, "HE24HIGH"), (0.4, "HE24HIGH"), (0.1, "HE24LOW")])
def test_expansion_is_told_with_its_threshold(make_case, installation, at, probability, category):
    expansion = Expansion(probability=probability, threshold=0.4, trained_on_patients=True)

    report = report_of(build(make_case("axial"), installation, at, expansion=expansion))

    assert numbers_of(report, "Probability of hematoma expansion at 24 h") == [100 * probability]
    assert numbers_of(report, "Expansion probability operating threshold") == [40]
    assert codes_of(report, "Expansion probability category") == [category]
    assert not any("untrained" in text for text in comments_of(report))


def test_untrained_expansion_is_called_so(make_case, installation, at):
    assert any("untrained" in text for text in comments_of(report_of(build(make_case("axial"), installation, at))))


def test_weights_that_may_not_speak_of_expansion_do_not(make_case, installation, at):
    report = report_of(build(make_case("axial"), installation, at, expansion=None))

    assert "HE24" not in str(report)


def test_nothing_found_yields_a_negative_report_and_one_picture(make_case, installation, at):
    case = make_case("axial").nothing_found()

    objects = build(case, installation, at)

    assert [item.kind for item in objects] == [ObjectKind.SR, ObjectKind.SC]
    assert codes_of(report_of(objects), "Cerebral hemorrhage") == ["272519000"]
    assert "HE24" not in str(report_of(objects)), "what is not there does not grow"
    for item in objects:
        gate.check(item.dataset)


def test_not_analysed_is_not_negative(make_case, installation, at):
    datasets = make_case("axial").source.datasets

    item, _ = build_not_analysed(datasets, "bone kernel YA", [Flag.QF_MISSING], installation, at)

    assert codes_of(item.dataset, "Cerebral hemorrhage") == []
    assert codes_of(item.dataset, "Quality Finding") == ["QF_MISSING"]
    assert "Not analysed: bone kernel YA" in comments_of(item.dataset)
    assert len(list(items_of(item.dataset, "Source"))) == len(datasets)
    assert item.dataset.SeriesDescription == "ICHNODE not analysed (RESEARCH)"
    gate.check(item.dataset)


def test_a_reason_in_other_letters_becomes_ascii(make_case, installation, at):
    item, _ = build_not_analysed(make_case("axial").source.datasets, "Schädel – 头 ≥ 2\n mm", [], installation, at)

    assert "Not analysed: Schadel - ? >= 2 mm" in comments_of(item.dataset)
    gate.check(item.dataset)


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.66.4", "1.3.9999.7"])
def test_a_series_of_any_class_can_be_named_as_not_analysed(scout, installation, at, sop_class):
    scout.SOPClassUID = sop_class

    item, _ = build_not_analysed([scout], "no CT images", [], installation, at)

    [study] = item.dataset.CurrentRequestedProcedureEvidenceSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID == sop_class
    gate.check(item.dataset)


def test_what_is_no_image_stands_in_the_evidence_alone(scout, installation, at):
    del scout.Rows, scout.Columns

    item, _ = build_not_analysed([scout], "no images", [], installation, at)

    assert not list(items_of(item.dataset, "Image Library"))
    gate.check(item.dataset)


def test_not_analysed_is_the_same_whatever_order_the_images_come_in(make_case, installation, at):
    datasets = make_case("axial").source.datasets

    one, _ = build_not_analysed(datasets, "no", [], installation, at)
    other, _ = build_not_analysed(datasets[::-1], "no", [], installation, at)

    assert gate.encode(one.dataset) == gate.encode(other.dataset)


def test_a_result_of_no_images_is_refused(installation, at):
    with pytest.raises(Rejected):
        build_not_analysed([], "nothing came", [], installation, at)


def test_a_volume_of_other_images_is_refused(make_case):
    with pytest.raises(Rejected):
        Source(datasets=make_case("tilted").source.datasets, volume=make_case("axial").source.volume)


def test_a_new_revision_names_the_report_that_it_replaces(make_case, installation, at):
    case = make_case("axial")
    old = Reference(sop_class_uid=Comprehensive3DSRStorage, sop_instance_uid="2.25.1", series_instance_uid="2.25.2")

    new = report_of(build_result(case.source, case.findings, installation, at, [old]))

    [study] = new.PredecessorDocumentsSequence
    assert study.StudyInstanceUID == new.StudyInstanceUID
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == "2.25.2"
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.1"
    assert new.SOPInstanceUID != report_of(build(case, installation, at)).SOPInstanceUID
    gate.check(new)


def test_a_second_run_with_the_same_words_is_the_same_report_and_not_its_own_successor(make_case, installation, at):
    case = make_case("axial")

    def run(*before):
        seen = [
            Reference(
                sop_class_uid=r.SOPClassUID, sop_instance_uid=r.SOPInstanceUID, series_instance_uid=r.SeriesInstanceUID
            )
            for r in before
        ]
        return report_of(build_result(case.source, case.findings, installation, at, seen))

    first = run()
    other = report_of(build_not_analysed(case.source.datasets, "no", [], installation, at))
    assert gate.encode(run(first)) == gate.encode(first)
    after_other = run(other)
    assert after_other.SOPInstanceUID != first.SOPInstanceUID
    assert gate.encode(run(other, after_other)) == gate.encode(after_other)
    back = run(first, other)  # words said again after others: the last word must be the one that holds
    assert back.SOPInstanceUID not in (first.SOPInstanceUID, after_other.SOPInstanceUID)
    [study] = back.PredecessorDocumentsSequence
    replaced = [one.ReferencedSOPInstanceUID for s in study.ReferencedSeriesSequence for one in s.ReferencedSOPSequence]
    assert set(replaced) == {first.SOPInstanceUID, other.SOPInstanceUID}
    assert gate.encode(run(first, other, back)) == gate.encode(back)


def test_numbers_and_descriptions_are_those_of_the_installation(make_case, at):
    installation = Installation(
        device_serial="X",
        node_version="1.0",
        series_numbers={kind: number for number, kind in enumerate(ObjectKind, 71)},
        descriptions={kind: f"{kind} RESEARCH" for kind in ObjectKind},
    )

    for item in build(make_case("axial"), installation, at):
        assert item.dataset.SeriesNumber == {"SEG": 71, "SR": 72, "SC": 73}[item.kind]
        assert item.dataset.SeriesDescription == f"{item.kind} RESEARCH"


@pytest.mark.parametrize(
    "wrong",
    [
        {"device_serial": "Gerät"},
        {"device_serial": ""},
        {"node_version": "x" * 65},
        {"not_analysed_description": "not analysed"},
        {"series_numbers": {ObjectKind.SEG: 0, ObjectKind.SR: 1, ObjectKind.SC: 2}},
        {"series_numbers": {ObjectKind.SR: 1}},
    ],
)
def test_an_installation_that_cannot_be_written_is_refused(wrong):
    with pytest.raises(ConfigError):
        Installation(**({"device_serial": "X", "node_version": "1"} | wrong))


def test_the_algorithm_is_named_by_a_device_uid_of_its_weights(make_case, installation, at):
    case = make_case("axial")
    retrained = replace(case.findings.model, sha256="ff")

    def device(**changes):
        sequence = report_of(build(case, installation, at, **changes)).ContributingEquipmentSequence
        [item] = [item for item in sequence if "DeviceUID" in item]
        return item

    assert device().ManufacturerModelName == "ich-small"
    assert device().DeviceUID != device(model=retrained).DeviceUID


def test_a_result_of_a_usual_head_is_made_in_under_three_seconds(make_case, installation, at):
    case = make_case("ge-tilt")
    start = time.process_time()

    build(case, installation, at)

    assert time.process_time() - start < 3


def test_nothing_found_where_no_brain_was_seen_is_undetermined_and_not_absent(make_case, installation, at):
    case = make_case("axial")
    nothing = replace(
        case.findings, labels=np.zeros_like(case.findings.labels), lesions=(), volume_ml=0.0, hu_mean=None
    )
    unseen = replace(nothing, doubts=(Doubt(flag=Flag.QF_STRIP),))

    def presence(findings):
        report = build_result(case.source, findings, installation, at)
        for made in report:
            gate.check(made.dataset)
        words = str(report_of(report))
        return [code for code in ("52101004", "272519000", "373068000") if code in words]

    assert presence(nothing) == ["272519000"]
    assert presence(unseen) == ["373068000"]


def test_a_series_that_nobody_waits_for_has_a_report_and_no_page(make_case, installation, at):
    images = make_case("axial").source.datasets

    passed_over = build_not_analysed(images, "a bone kernel", [], installation, at, awaited=False)
    refused = build_not_analysed(images, "a bone kernel", [], installation, at)

    assert [made.kind for made in passed_over] == [ObjectKind.SR]
    assert [made.kind for made in refused] == [ObjectKind.SR, ObjectKind.SC]
