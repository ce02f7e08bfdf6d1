"""A patient corrected at the PACS between receipt and result: held, told, made anew under the corrected identity."""

import json
from io import BytesIO

import pytest
from pydicom import dcmread

from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import wait_until

CORRECTED = {"PatientID": "CORRECTED-4711", "PatientName": "Corrected^Name"}


@pytest.fixture(scope="module")
def orthanc(make_orthanc):
    """A PACS that may be asked and pulled from."""
    orthanc = make_orthanc()
    orthanc.more = {"DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True}
    orthanc.start()
    return orthanc


@pytest.fixture
def node(make_node, orthanc):
    """A node that asks its PACS whose a study is, its deliverer not yet started."""
    node = make_node()
    own = [{"confirm": False, "commitment": "no"}]
    node.configure([orthanc], {"series": {"quiet_s": 1, "study_quiet_s": 1, "identity_from": "archive"}}, own)
    place = {"name": "archive", "host": "127.0.0.1", "port": orthanc.dicom_port, "ae_title": "ORTHANC"}
    lines = ["[[pacs]]", *(f"{key} = {json.dumps(value)}" for key, value in place.items())]
    node.config.write_text(node.config.read_text() + "\n".join(lines) + "\n")
    node.bleed(PHANTOM_BLEED)
    node.start("receive", "work")
    return node


def test_a_patient_corrected_at_the_pacs_holds_results_until_they_are_made_anew_under_the_corrected_identity(
    node, orthanc, tmp_path
):
    paths = written(phantom("somebody 17"), tmp_path)
    study, images = study_of(paths[0]), [str(dcmread(path).SOPInstanceUID) for path in paths]
    for path in paths:
        orthanc.put(path.read_bytes())
    send(paths, node.port)
    wait_until(lambda: any(row["deliveries"] for row in node.history(study)), "the results are made")
    first = set(node.made(study))
    correct(orthanc, paths)

    node.start("deliver")

    wait_until(lambda: node.history(study)[0]["held"], "the results are held")
    assert orthanc.uids(study) == sorted(images)
    status = node.ichnode("status")
    assert status.returncode == 1
    assert "archive has another PatientID, PatientName for the study than its images" in status.stdout
    for mark in ("CORRECTED", "Corrected", str(dcmread(paths[0]).PatientID)):
        assert mark not in status.stdout + status.stderr + node.log("deliver")

    node.stop("deliver")
    assert node.ichnode("purge", study, "--yes", "--force").returncode == 0
    assert node.ichnode("replay", study, "--from-pacs", "archive", "--no-wait").returncode == 0
    node.start("deliver")
    node.wait_for(study)

    assert orthanc.uids(study) == sorted([*images, *node.made(study)])
    assert not first & set(node.made(study))  # other objects, not the same UIDs with another patient
    objects = [one for kind, found in orthanc.objects(study).items() if kind != "CT" for one in found]
    assert {(str(one.PatientID), str(one.PatientName)) for one in objects} == {tuple(CORRECTED.values())}


def test_corrected_images_that_come_later_hold_what_was_made_of_the_first_and_a_person_can_release_it(
    node, orthanc, tmp_path
):
    paths = written(phantom("somebody 18"), tmp_path)
    study = study_of(paths[0])
    send(paths, node.port)
    wait_until(lambda: any(row["deliveries"] for row in node.history(study)), "the results are made")
    late = dcmread(paths[0])
    late.PatientID, late.PatientName = CORRECTED.values()
    late.save_as(tmp_path / "late.dcm")
    assert set(send([tmp_path / "late.dcm"], node.port).values()) == {0x0000}

    node.start("deliver")
    node.wait_for_log("deliver", "is ready")

    [row] = node.history(study)
    assert row["held"] == [
        "a later image of the study, from CT1, has another patient ID or issuer and another name or birth date"
    ]
    assert node.ichnode("status").returncode == 1
    assert not orthanc.has(study)

    assert node.ichnode("release", study).returncode == 0

    node.wait_for(study)
    assert orthanc.uids(study) == node.made(study)


def correct(orthanc, paths) -> None:
    """As a PACS corrects a patient: new ID and name, the same UIDs."""
    for path in paths:
        image = dcmread(path)
        orthanc.delete(str(image.SOPInstanceUID))
        for keyword, value in CORRECTED.items():
            setattr(image, keyword, value)
        corrected = BytesIO()
        image.save_as(corrected)
        orthanc.put(corrected.getvalue())
