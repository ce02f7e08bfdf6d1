"""What programs of others say of our objects: dciodvfy (dicom3tools), dsrdump (dcmtk), segimage2itkimage (dcmqi)."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ichnode.domain.flags import Flag
from ichnode.domain.outputs import Reference
from ichnode.report import gate
from ichnode.report.build import build_not_analysed, build_result


def program(name: str) -> str:
    """The path of a program, beside the interpreter first: Debian's dciodvfy is too old to know newer attributes."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    return done.stdout + done.stderr


def saved(objects, folder):
    for item in objects:
        path = folder / f"{item.kind}-{item.number}.dcm"
        path.write_bytes(gate.encode(item.dataset))
        yield path


def errors_of(path):
    return [line for line in run(program("dciodvfy"), "-new", str(path)).splitlines() if line.startswith("Error")]


def test_dciodvfy_finds_no_error_in_any_object(any_case, installation, at, tmp_path):
    for path in saved(build_result(any_case.source, any_case.findings, installation, at), tmp_path):
        assert errors_of(path) == [], path.name


def test_dciodvfy_finds_no_error_where_nothing_was_found(any_case, installation, at, tmp_path):
    negative = any_case.nothing_found()
    for path in saved(build_result(negative.source, negative.findings, installation, at), tmp_path):
        assert errors_of(path) == [], path.name


def test_dciodvfy_finds_no_error_in_a_report_on_what_was_not_analysed(scout, any_case, installation, at, tmp_path):
    old = Reference(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34", sop_instance_uid="2.25.1", series_instance_uid="2.25.2"
    )
    for datasets in (any_case.source.datasets, [scout]):
        for path in saved(build_not_analysed(datasets, "no", list(Flag), installation, at, [old]), tmp_path):
            assert errors_of(path) == []


def test_dciodvfy_can_find_an_error(make_case, installation, at, tmp_path):
    case = make_case("axial")
    report = build_result(case.source, case.findings, installation, at)[1]
    del report.dataset.CompletionFlag

    [path] = saved([report], tmp_path)

    assert errors_of(path)


def test_dsrdump_reads_the_report(any_case, installation, at, tmp_path):
    report = build_result(any_case.source, any_case.findings, installation, at)[1]
    [path] = saved([report], tmp_path)

    text = run(program("dsrdump"), str(path))

    assert f'="{any_case.findings.volume_ml:.2f}"'.rstrip('0"') in text
    assert '"Cerebral hemorrhage")=(52101004,SCT,"Present")' in text
    assert not [line for line in text.splitlines() if line.startswith("E:")]


@pytest.mark.parametrize("name", ["axial", "tilted", "multiframe", "philips-5mm"])
def test_dcmqi_reads_the_segmentation_back_to_the_same_volume(make_case, installation, at, tmp_path, name):
    nibabel = pytest.importorskip("nibabel")
    case = make_case(name)
    [path] = saved(build_result(case.source, case.findings, installation, at)[:1], tmp_path)

    said = run(program("segimage2itkimage"), "--inputDICOM", str(path), "--outputDirectory", str(tmp_path), "-t", "nii")

    [image] = tmp_path.glob("*.nii*")
    read = nibabel.load(image)
    voxels = np.asarray(read.dataobj) > 0
    read_ml = voxels.sum() * abs(np.linalg.det(read.affine[:3, :3])) / 1000
    assert read_ml == pytest.approx(case.findings.volume_ml, rel=0.01), said
