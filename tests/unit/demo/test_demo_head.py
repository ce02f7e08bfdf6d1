import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import JPEGLSLossless

from ichnode.demo.bleed import Bleed, blood_share, geometry_of

REPOSITORY = Path(__file__).parents[3]
DEMO = Path(str(files("ichnode.demo")))


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted((DEMO / "head-ct").glob("*.dcm"))]


@pytest.fixture(scope="module")
def truth() -> dict[str, object]:
    loaded: dict[str, object] = json.loads((DEMO / "truth.json").read_text(encoding="utf-8"))
    return loaded


def test_the_demo_head_is_small_and_carries_its_licence() -> None:
    assert sum(path.stat().st_size for path in (DEMO / "head-ct").iterdir()) < 7_000_000
    assert "Redistribution and use" in (DEMO / "LICENSE.BSD-2-Clause").read_text(encoding="utf-8")


def test_the_demo_head_is_one_tilted_series_of_an_invented_patient(head: list[Dataset]) -> None:
    geometry = geometry_of(head)

    assert len(head) == 28
    assert {(str(one.PatientName), one.PatientID) for one in head} == {("DEMO^HEAD CT", "DEMO-0001")}
    assert len({one.SeriesInstanceUID for one in head}) == 1
    assert {one.file_meta.TransferSyntaxUID for one in head} == {JPEGLSLossless}
    assert not any(element.tag.is_private for one in head for element in one)
    assert geometry.tilt_deg == pytest.approx(18.5, abs=0.01)
    assert geometry.is_unequal


def test_the_bleed_is_where_and_as_large_as_the_truth_says(head: list[Dataset], truth: dict[str, object]) -> None:
    geometry = geometry_of(head)
    keys = ("centre_mm", "semi_axes_mm", "turn_deg", "hu")
    mask = blood_share(geometry, Bleed(**{key: truth[key] for key in keys})) >= 0.5  # type: ignore[arg-type]
    hu = np.stack([one.pixel_array.astype(int) - 1024 for one in head])

    assert mask.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml == pytest.approx(truth["volume_ml"], abs=1e-3)
    assert 12 <= float(str(truth["volume_ml"])) <= 15
    assert hu[mask].mean() == pytest.approx(58, abs=4)
    counts = {one.SOPInstanceUID: int(part.sum()) for one, part in zip(head, mask, strict=True) if part.any()}
    assert counts == truth["voxels_by_slice"]


def test_the_committed_head_is_what_the_script_makes(tmp_path: Path) -> None:
    source = Path(os.environ.get("ICHNODE_DATA", REPOSITORY.parent / "shared" / "data")) / "dicom" / "ge-tilt"
    if not source.is_dir():
        pytest.skip(f"no {source}: the demo head cannot be made again")

    script = REPOSITORY / "deploy" / "make_demo.py"
    subprocess.run([sys.executable, script, source, tmp_path], check=True, cwd=REPOSITORY, env={"PYTHONPATH": "."})

    made = {path.name: path.read_bytes() for path in (tmp_path / "head-ct").iterdir()}
    assert made == {path.name: path.read_bytes() for path in (DEMO / "head-ct").iterdir()}
