"""Two PACS that take the same results in different forms, one of which the second refuses."""

import pytest

from ichnode.domain.outputs import ObjectKind
from ichnode.domain.profile import LABEL_MAP_SEGMENTATION, SOP_CLASSES, ScForm, SegForm, SrForm
from tests.peers.report import said
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import errors_of, output_of, storescu, wait_until

MODERN = {"seg": "labelmap", "sr": "enhanced", "sc": "multi-frame", "objects": list(ObjectKind)}
REFUSED = "Label Map Segmentation Storage: the SOP class is not supported"


@pytest.fixture(scope="module")
def both(make_orthanc):
    found = [make_orthanc(), make_orthanc()]
    for orthanc in found:
        orthanc.start()
    return found


@pytest.fixture(scope="module")
def node(make_node, both):
    node = make_node()
    node.configure(both, forms=[{}, MODERN])
    node.bleed(PHANTOM_BLEED)
    node.start()
    return node


def deliveries(node, study):
    return [delivery for row in node.history(study) for delivery in row["deliveries"]]


def through(node, study, series=1):
    rows = node.history(study)
    jobs = [job["state"] for row in rows for job in row["jobs"]]
    return (
        len(rows) >= series
        and len(jobs) >= series
        and set(jobs) == {"done"}
        and all(delivery["state"] in ("sent", "dead") for delivery in deliveries(node, study))
    )


@pytest.fixture(scope="module")
def study(node, tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    paths = written(phantom("forms"), folder)
    storescu(node.port, folder)
    wait_until(lambda: through(node, study_of(paths[0])), "all is delivered or refused")
    return study_of(paths[0])


def classes(orthanc, study):
    return {str(one.SOPClassUID) for found in orthanc.objects(study).values() for one in found}


def test_each_pacs_has_the_forms_of_its_own_profile(both, study):
    usual, modern = both
    assert classes(usual, study) == {
        SOP_CLASSES[form] for form in (SegForm.BINARY, SrForm.COMPREHENSIVE_3D, ScForm.SINGLE_FRAME)
    }
    assert classes(modern, study) == {
        SOP_CLASSES[form] for form in (SrForm.ENHANCED, ScForm.MULTI_FRAME, ObjectKind.KOS, ObjectKind.PDF)
    }


def test_both_reports_say_the_same_and_each_names_its_own_segmentation(both, study, node):
    reports = [orthanc.objects(study)["SR"][0] for orthanc in both]
    assert said(reports[0]) == said(reports[1])
    segmentations = [
        next(o for o in node.history(study)[0]["outputs"] if o["sop_class_uid"] == SOP_CLASSES[form])
        for form in (SegForm.BINARY, SegForm.LABELMAP)
    ]
    for report, own, other in zip(reports, segmentations, reversed(segmentations), strict=True):
        assert own["sop_instance_uid"] in str(report)
        assert other["sop_instance_uid"] not in str(report)


def test_what_a_pacs_refuses_for_good_is_an_alarm_that_says_what_and_is_not_tried_again(node, both, study):
    [refused] = [d for d in deliveries(node, study) if d["state"] == "dead"]
    assert (refused["destination"], refused["kind"], refused["reason"]) == ("pacs-2", "SEG", REFUSED)
    assert refused["attempts"] == 1  # and after minutes still: the test of a second run looks again
    status = node.ichnode("status")
    assert REFUSED in " ".join(status.stdout.split())
    assert node.json("status")["alarm"]
    assert LABEL_MAP_SEGMENTATION not in classes(both[1], study)


def test_dciodvfy_and_dcmtk_take_what_the_second_pacs_holds(both, study, tmp_path):
    paths = both[1].files(study, tmp_path)
    assert len(paths) == 4
    for path in paths:
        # dciodvfy does not know yet that an SR may name a segment of a label map
        assert [line for line in errors_of(path) if "ReferencedSegmentNumber" not in line] == [], path.name
        output_of("dcmdump", str(path))


def test_what_a_pacs_forwards_of_ours_is_taken_and_dropped(node, both, study, tmp_path):
    held = both[1].files(study, tmp_path)
    series = len(node.history(study))

    text = storescu(node.port, tmp_path)  # it stops at the first object whose class is refused

    assert text.count("Received Store Response (Success)") == len(held) == 4, text[-2000:]
    assert len(node.history(study)) == series
    assert node.json("status")["series"].get("receiving", 0) == 0


def test_a_second_run_sends_nothing_to_either(node, both, study):
    before = [orthanc.uids(study) for orthanc in both]

    done = node.ichnode("replay", study, "--json")

    assert done.returncode == 0, done.stderr
    wait_until(lambda: len(node.history(study)[0]["jobs"]) == 2 and through(node, study), "the replay is done")
    assert [orthanc.uids(study) for orthanc in both] == before
    assert {d["attempts"] for d in deliveries(node, study)} == {1}


def test_a_later_revision_names_in_each_form_the_report_before_it(node, both, tmp_path):
    paths = written(phantom("late forms"), tmp_path)
    late = study_of(paths[0])
    send(paths[:-1], node.port)
    wait_until(lambda: through(node, late), "the first revision is there")
    first = [orthanc.objects(late)["SR"][0].SOPInstanceUID for orthanc in both]

    send(paths[-1:], node.port)
    wait_until(lambda: through(node, late, series=2), "the second revision is there")

    for orthanc, before in zip(both, first, strict=True):
        [second] = [report for report in orthanc.objects(late)["SR"] if report.SOPInstanceUID != before]
        [predecessor] = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert predecessor.ReferencedSOPInstanceUID == before
