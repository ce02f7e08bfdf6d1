"""A patient scanned twice, through the whole node to a PACS: the scans in either order, a replay, an onset told later.

The real head; between the scans it is moved by a known motion and its bleed grows.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from scipy.spatial.transform import Rotation

from ichnode.demo.bleed import Bleed, place
from tests.peers.node import Node
from tests.peers.series import GE_BLEED, uid, written
from tests.peers.tools import data, storescu, wait_until

TURN_DEG, SHIFT = 9.0, np.array([7.0, -11.0, 38.0])
TURN = Rotation.from_euler("z", TURN_DEG, degrees=True).as_matrix()
SMALL = replace(GE_BLEED, semi_axes_mm=(10.0, 16.0, 12.0))
MOVED = replace(
    GE_BLEED,
    centre_mm=tuple(float(x) for x in TURN @ GE_BLEED.centre_mm + SHIFT),
    turn_deg=GE_BLEED.turn_deg + TURN_DEG,
)
GROWTH_ML = GE_BLEED.volume_ml - SMALL.volume_ml


def scan(name: str, bleed: Bleed, *, day: int, moved: bool) -> list[Dataset]:
    """The real head with a bleed, of a patient of its own, at noon of a day."""
    datasets = place([dcmread(path) for path in sorted(data("dicom", "ge-tilt").glob("*.dcm"))], bleed).datasets
    for number, one in enumerate(datasets):
        one.StudyInstanceUID, one.SeriesInstanceUID = uid(name, "study", day), uid(name, "series", day)
        one.FrameOfReferenceUID = uid(name, "frame", day)
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = uid(name, day, number)
        one.PatientID, one.AcquisitionDate, one.AcquisitionTime = name, f"202401{day:02d}", "120000"
        if moved:
            one.ImagePositionPatient = [round(float(x), 6) for x in TURN @ one.ImagePositionPatient + SHIFT]
            axes = np.reshape(one.ImageOrientationPatient, (2, 3)) @ TURN.T
            one.ImageOrientationPatient = [round(float(x), 9) for x in axes.ravel()]
    return list(datasets)


def figures(node: Node, study: str) -> dict:
    """Of the newest result of a study."""
    [row] = node.history(study)
    return [job["figures"] for job in row["jobs"] if job["figures"]][-1]


class Patient:
    """Two scans of one patient, a day apart."""

    def __init__(self, name: str, node: Node, folder: Path) -> None:
        self.node, self.folder = node, folder
        self.first, self.later = uid(name, "study", 1), uid(name, "study", 2)
        self._scans = {
            self.first: (scan(name, SMALL, day=1, moved=False), SMALL),
            self.later: (scan(name, GE_BLEED, day=2, moved=True), MOVED),
        }

    def send(self, study: str) -> None:
        """Sends a scan and waits until all is through, other studies that it touches included."""
        datasets, bleed = self._scans[study]
        self.node.bleed(bleed)
        folder = self.folder / study[-8:]
        written(datasets, folder)
        storescu(self.node.port, folder)
        self.node.wait_for(study)

    def settle(self, study: str) -> None:
        self.node.wait_for(study)


@pytest.fixture(scope="module")
def node(make_node, orthanc):
    node = make_node()
    node.configure([orthanc])
    node.start()
    return node


@pytest.fixture(scope="module")
def patient(node, tmp_path_factory):
    patient = Patient("IN-ORDER", node, tmp_path_factory.mktemp("in-order"))
    patient.send(patient.first)
    patient.send(patient.later)
    return patient


def test_the_follow_up_tells_its_growth_and_bears_the_name_of_the_baseline(patient, node, orthanc):
    found = figures(node, patient.later)
    print(f"growth {found['growth_ml']:.2f} mL for {GROWTH_ML:.2f} mL")
    assert found["growth_ml"] == pytest.approx(GROWTH_ML, rel=0.05)
    assert found["expanded"]
    assert found["facts"]["growth"]["unregistered"] == ""
    names = {
        segment.TrackingUID
        for study in (patient.first, patient.later)
        for segment in orthanc.objects(study)["SEG"][0].SegmentSequence
    }
    assert len(names) == 1
    assert figures(node, patient.first)["growth_ml"] is None


def test_a_replay_of_the_baseline_sends_nothing_again(patient, node, orthanc):
    before = orthanc.uids(patient.first) + orthanc.uids(patient.later)
    jobs = [len(node.history(study)[0]["jobs"]) for study in (patient.first, patient.later)]
    node.bleed(SMALL)
    assert node.ichnode("replay", patient.first).returncode == 0
    patient.settle(patient.later)
    assert orthanc.uids(patient.first) + orthanc.uids(patient.later) == before
    assert [len(node.history(study)[0]["jobs"]) for study in (patient.first, patient.later)] == [jobs[0] + 1, jobs[1]]


def test_an_onset_told_later_sends_a_new_report_alone_that_names_the_old_one(patient, node, orthanc):
    node.bleed(SMALL)
    before = orthanc.objects(patient.first)
    assert node.ichnode("onset", patient.first, "01:30").returncode == 0
    patient.settle(patient.first)
    after = orthanc.objects(patient.first)
    counts = {kind: len(found) - len(before[kind]) for kind, found in after.items()}
    assert counts == {"SEG": 0, "SR": 1, "SC": 0}
    old = {str(one.SOPInstanceUID) for one in before["SR"]}
    [new] = [one for one in after["SR"] if str(one.SOPInstanceUID) not in old]
    replaced = new.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert {one.ReferencedSOPInstanceUID for one in replaced} == old
    assert figures(node, patient.first)["facts"]["onset"] == {"hours": 1.5, "source": "told by hand"}


def test_outcomes_list_the_pair(patient, node):
    [pair] = node.json("outcomes")["pairs"]
    assert (pair["baseline_study"], pair["followup_study"], pair["expanded"]) == (patient.first, patient.later, True)


def test_the_later_scan_first_comes_to_the_same_growth_in_a_revision(make_node, orthanc, tmp_path):
    node = make_node()
    node.configure([orthanc])
    node.start()
    patient = Patient("IN-REVERSE", node, tmp_path)
    patient.send(patient.later)
    assert figures(node, patient.later)["growth_ml"] is None
    old = orthanc.objects(patient.later)

    node.stop("work")  # the stand-in for the network is told of one bleed at a time
    folder = tmp_path / "first"
    written(patient._scans[patient.first][0], folder)
    storescu(node.port, folder)
    node.bleed(SMALL)
    node.start("work")
    wait_until(lambda: node.history(patient.first) and figures_known(node, patient.first), "the baseline is measured")
    node.bleed(MOVED)  # in time: the follow-up is loaded and stripped, for seconds, before the network is asked
    patient.settle(patient.first)
    wait_until(lambda: figures(node, patient.later)["growth_ml"] is not None, "the follow-up is revised")
    patient.settle(patient.later)

    assert figures(node, patient.later)["growth_ml"] == pytest.approx(GROWTH_ML, rel=0.05)
    new = orthanc.objects(patient.later)
    assert len(new["SR"]) == 2
    names = {str(one.SOPInstanceUID) for one in old["SR"]}
    [report] = [one for one in new["SR"] if str(one.SOPInstanceUID) not in names]
    replaced = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert {one.ReferencedSOPInstanceUID for one in replaced} == names
    tracked = orthanc.objects(patient.first)["SEG"][0].SegmentSequence[0].TrackingUID
    assert tracked in {one.SegmentSequence[0].TrackingUID for one in new["SEG"]}


def figures_known(node: Node, study: str) -> bool:
    """Whether a study has a result."""
    return any(job["figures"] for row in node.history(study) for job in row["jobs"])
