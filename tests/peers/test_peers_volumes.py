"""Volumes through the whole node, with the truth in place of the network's answer."""

import subprocess
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from ichnode.findings.measure import volume_ml
from tests.peers.report import said
from tests.peers.series import GE_BLEED, PHANTOM_BLEED, ge_with_bleed, phantom, send, study_of, written
from tests.peers.tools import program, storescu, volume_by_dcmqi_ml


@pytest.fixture(scope="module")
def node(make_node, orthanc):
    node = make_node()
    node.configure([orthanc])
    node.start()
    return node


@pytest.fixture(scope="module")
def plain(node, tmp_path_factory):
    """The phantom sent uncompressed: what its SR says is what every other transfer syntax must come to."""
    node.bleed(PHANTOM_BLEED)
    folder = tmp_path_factory.mktemp("plain")
    written(phantom("plain"), folder)
    storescu(node.port, folder)
    node.wait_for(study_of(folder))
    return study_of(folder)


def test_a_phantom_with_a_bleed_of_known_volume_comes_back_with_it_within_3_percent(plain, orthanc):
    found = said(orthanc.objects(plain)["SR"][0])
    print(f"phantom, 5 mm: {found.volume_ml:.2f} mL for {PHANTOM_BLEED.volume_ml:.2f} mL")
    assert found.present
    assert found.volume_ml == pytest.approx(PHANTOM_BLEED.volume_ml, rel=0.03)


def test_dcmqi_reads_the_phantoms_seg_back_to_the_volume_of_its_sr(plain, orthanc, tmp_path):
    objects = orthanc.objects(plain)
    objects["SEG"][0].save_as(tmp_path / "seg.dcm")
    found = volume_by_dcmqi_ml(tmp_path / "seg.dcm", tmp_path)
    assert found == pytest.approx(said(objects["SR"][0]).volume_ml, rel=0.01)


def test_a_tilted_series_with_unequal_gaps_is_analysed_and_flagged_and_its_volume_is_right(node, orthanc, tmp_path):
    placed = ge_with_bleed()
    node.bleed(GE_BLEED)
    [study] = {study_of(path) for path in written(placed.datasets, tmp_path)}
    storescu(node.port, tmp_path)
    node.wait_for(study)

    found = said(orthanc.objects(study)["SR"][0])

    # The SR alone is authoritative here: no SEG reader honours unequal gaps, so dcmqi is not asked.
    truth = volume_ml(placed.mask, placed.geometry)
    print(f"GE, tilted: {found.volume_ml:.2f} mL; on its grid {truth:.2f}, ellipsoid {GE_BLEED.volume_ml:.2f}")
    assert {"QF_TILT", "QF_UNEQUAL"} <= found.flags
    assert found.volume_ml == pytest.approx(GE_BLEED.volume_ml, rel=0.03)


def compressed(tool: str, *options: str):
    """Compresses a file with one of dcmtk's tools."""

    def compress(source: Path, target: Path) -> None:
        subprocess.run([program(tool), *options, str(source), str(target)], check=True)

    return compress


def by_pydicom(source: Path, target: Path) -> None:
    """Dcmtk has no tool that writes JPEG 2000."""
    dataset = dcmread(source)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    dataset.save_as(target)


SYNTAXES = {
    "RLE": (compressed("dcmcrle"), "-xr"),
    "JPEG-LS lossless": (compressed("dcmcjpls"), "-xt"),
    "JPEG lossless, selection value 1": (compressed("dcmcjpeg"), "-xs"),
    "JPEG 2000 lossless": (by_pydicom, "-xv"),
}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_compressed_series_is_accepted_and_comes_to_the_same_result(syntax, node, orthanc, plain, tmp_path):
    compress, proposal = SYNTAXES[syntax]
    node.bleed(PHANTOM_BLEED)
    (tmp_path / "packed").mkdir()
    for path in written(phantom(syntax[:16]), tmp_path / "plain"):
        compress(path, tmp_path / "packed" / path.name)
    study = study_of(tmp_path / "packed")

    storescu(node.port, tmp_path / "packed", proposal, "-R")
    node.wait_for(study)

    kept = [dcmread(path) for path in node.state_dir.joinpath("instances").rglob("*.dcm")]
    syntaxes = {d.file_meta.TransferSyntaxUID for d in kept if d.StudyInstanceUID == study}
    assert [s.is_compressed for s in syntaxes] == [True]  # dcmtk has not decompressed it on the way
    found, expected = said(orthanc.objects(study)["SR"][0]), said(orthanc.objects(plain)["SR"][0])
    assert (found.volume_ml, found.hu_mean) == (expected.volume_ml, expected.hu_mean)


def test_deflated_and_implicit_little_endian_come_to_the_same_result_too(node, orthanc, plain, tmp_path):
    node.bleed(PHANTOM_BLEED)
    for name, option in (("implicit", "-xi"), ("deflated", "-xd")):
        paths = written(phantom(name), tmp_path / name)
        storescu(node.port, tmp_path / name, option, "-R")
        node.wait_for(study_of(paths[0]))
        found = said(orthanc.objects(study_of(paths[0]))["SR"][0])
        assert found.volume_ml == said(orthanc.objects(plain)["SR"][0]).volume_ml


def test_a_second_run_writes_the_same_bytes_and_sends_nothing(node, orthanc, plain):
    before, there = contents(node, plain), orthanc.uids(plain)
    for path in before:
        path.unlink()  # what stands already would not be written again
    node.bleed(PHANTOM_BLEED)

    done = node.ichnode("replay", plain, "--json")

    assert done.returncode == 0, done.stderr
    assert len(node.history(plain)[0]["jobs"]) == 2
    node.wait_for(plain)
    assert contents(node, plain) == before
    assert orthanc.uids(plain) == there == node.made(plain)


def test_a_late_slice_makes_a_new_revision_whose_report_names_its_predecessor(node, orthanc, tmp_path):
    node.bleed(PHANTOM_BLEED)
    paths = written(phantom("late"), tmp_path)
    study = study_of(paths[0])
    send(paths[:-1], node.port)
    node.wait_for(study)
    [first] = orthanc.objects(study)["SR"]

    send(paths[-1:], node.port)
    node.wait_for(study, series=2)

    assert [(row["revision"], row["state"], row["instances"]) for row in node.history(study)] == [
        (1, "superseded", len(paths) - 1),
        (2, "settled", len(paths)),
    ]
    second = next(sr for sr in orthanc.objects(study)["SR"] if sr.SOPInstanceUID != first.SOPInstanceUID)
    [predecessor] = second.PredecessorDocumentsSequence
    named = predecessor.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert named == first.SOPInstanceUID
    assert len(orthanc.objects(study)["SEG"]) == 2


def contents(node, study: str) -> dict[Path, bytes]:
    """Every object that the node made for a study, as it lies on the disk."""
    paths = [node.state_dir / output["path"] for row in node.history(study) for output in row["outputs"]]
    return {path: path.read_bytes() for path in paths}
