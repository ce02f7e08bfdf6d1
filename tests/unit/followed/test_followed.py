"""A real head scanned, moved by a known motion and scanned again, with a bleed that has grown in between."""

import bz2
import os
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from scipy.spatial.transform import Rotation

from ichnode.demo.bleed import Bleed, place
from ichnode.domain.errors import Rejected
from ichnode.domain.flags import Flag
from ichnode.domain.followup import Baseline
from ichnode.domain.geometry import Geometry
from ichnode.domain.outputs import ObjectKind, Reference
from ichnode.domain.values import FrameSource, ModelIdentity, Volume
from ichnode.findings.measure import measure
from ichnode.findings.registration import Head, register
from ichnode.findings.space import places_mm, sampled
from ichnode.followed import followed
from ichnode.image.load import load_series
from ichnode.image.strip import brain_mask
from ichnode.report.build import build_result
from ichnode.report.gate import encode
from ichnode.report.inputs import Installation, Source

DATA = Path(os.environ.get("ICHNODE_DATA", Path(__file__).parents[4] / "shared" / "data")) / "dicom/ge-tilt"
MODEL = ModelIdentity(name="truth", version="1", sha256="0" * 64)
INSTALLATION = Installation(device_serial="TEST-1", node_version="0")
AT = datetime(2026, 1, 5, 8, 20)
SMALL = Bleed(centre_mm=(-35.0, -7.0, 43.5), semi_axes_mm=(10.0, 16.0, 12.0), turn_deg=-12.0)
LARGE = replace(SMALL, semi_axes_mm=(12.0, 18.5, 14.5))
TURN = Rotation.from_euler("xyz", [4, -5, 9], degrees=True).as_matrix()  # nod, lean, rotation
SHIFT = np.array([7.0, -11.0, 38.0])


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    if not DATA.is_dir():
        pytest.skip(f"real head CT not found at {DATA}; set ICHNODE_DATA")
    return [dcmread(path) for path in sorted(DATA.glob("*.dcm"))]


def moved(datasets: list[Dataset]) -> list[Dataset]:
    """The same head as it lies after the motion: what was at p is now at TURN p + SHIFT."""
    copies = deepcopy(datasets)
    for one in copies:
        one.ImagePositionPatient = [round(float(x), 6) for x in TURN @ one.ImagePositionPatient + SHIFT]
        axes = np.reshape(one.ImageOrientationPatient, (2, 3)) @ TURN.T
        one.ImageOrientationPatient = [round(float(x), 9) for x in axes.ravel()]
    return copies


def scanned_upright(volume: Volume) -> Volume:
    """The moved head on another scanner: an upright stack of 4 mm, another matrix, its own noise."""
    z = np.arange(38) * 4.0
    centre = TURN @ volume.geometry.origins_mm.mean(axis=0) + SHIFT
    geometry = Geometry(
        origins_mm=np.array([-118.0, -130.0, 0.0])
        + np.array([0, 0, centre[2] - 76])
        + z[:, None] * np.array([0, 0, 1]),
        row_cosine=np.array([1.0, 0, 0]),
        column_cosine=np.array([0, 1.0, 0]),
        row_spacing_mm=0.9,
        column_spacing_mm=0.9,
        rows=280,
        columns=280,
    )
    places = places_mm(np.argwhere(np.ones(geometry.shape, bool)).astype(float), geometry)
    hu = sampled(volume.hu, volume.geometry, (places - SHIFT) @ TURN, fill=-1024).reshape(geometry.shape)
    hu += np.random.default_rng(3).normal(0, 4, hu.shape).astype(np.float32)
    sources = tuple(FrameSource(sop_instance_uid=f"2.25.{n}") for n in range(len(z)))
    return Volume(hu=hu.round().astype(np.int16), geometry=geometry, sources=sources)


def another_patient() -> Volume:
    """A real head of the labelled cohort, its clipped bone and air as they were."""
    path = DATA.parents[1] / "phe-sich/val/0002_ct.nii.bz2"
    if not path.is_file():
        pytest.skip(f"real head CT not found at {path}; set ICHNODE_DATA")
    image = nibabel.Nifti1Image.from_bytes(bz2.decompress(path.read_bytes()))
    hu = np.asarray(image.dataobj).astype(np.int16).transpose(2, 1, 0)
    to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    steps = np.linalg.norm(to_lps[:3, :3], axis=0)
    geometry = Geometry(
        origins_mm=to_lps[:3, 3] + np.arange(len(hu))[:, None] * to_lps[:3, 2],
        row_cosine=to_lps[:3, 0] / steps[0],
        column_cosine=to_lps[:3, 1] / steps[1],
        row_spacing_mm=float(steps[1]),
        column_spacing_mm=float(steps[0]),
        rows=hu.shape[1],
        columns=hu.shape[2],
    )
    sources = tuple(FrameSource(sop_instance_uid=f"2.25.{n}") for n in range(len(hu)))
    hu = np.where(hu >= 100, 1000, np.where(hu <= -20, -1000, hu)).astype(np.int16)
    return Volume(hu=hu, geometry=geometry, sources=sources)


def head_of(volume: Volume) -> Head:
    brain, _ = brain_mask(volume.hu, volume.geometry)
    return Head(hu=volume.hu, brain=brain, geometry=volume.geometry)


def errors_mm(motion) -> np.ndarray:
    """Distance between where the motion takes places of the moved head and where they came from: on the skull."""
    ways = np.random.default_rng(0).normal(size=(200, 3))
    there = ways / np.linalg.norm(ways, axis=1, keepdims=True) * (70, 90, 60) + (0, -15, 40)
    return np.linalg.norm(motion.to_earlier(there @ TURN.T + SHIFT) - there, axis=1)


@pytest.fixture(scope="module")
def motion(head):
    volume = load_series(head)
    return register(head_of(scanned_upright(volume)), head_of(volume))


def test_a_real_head_moved_and_scanned_otherwise_is_laid_on_itself_within_a_millimetre(motion):
    error = errors_mm(motion)
    print(f"real head, 10.9 degrees and 40 mm: mean {error.mean():.2f}, worst {error.max():.2f} mm")
    assert error.max() < 0.5
    assert min(motion.overlap, motion.correlation) > 0.9


def test_the_same_scans_give_the_same_motion_to_the_last_bit(head):
    volume = load_series(head)
    later, earlier = head_of(load_series(moved(head))), head_of(volume)
    one, other = register(later, earlier), register(later, earlier)
    assert (one.matrix == other.matrix).all()
    assert (one.shift_mm == other.shift_mm).all()
    assert errors_mm(one).max() < 0.1


def test_what_is_no_head_is_not_laid_on_one(head):
    earlier = head_of(load_series(head))
    upside_down = replace(earlier, hu=earlier.hu[::-1, ::-1], brain=earlier.brain[::-1, ::-1])
    with pytest.raises(Rejected, match="do not lie on each other"):
        register(upside_down, earlier)


def test_the_head_of_another_patient_is_not_laid_on_one(head):
    with pytest.raises(Rejected, match="do not lie on each other"):
        register(head_of(another_patient()), head_of(load_series(head)))


def test_a_scan_without_a_brain_is_refused(head):
    earlier = head_of(load_series(head))
    with pytest.raises(Rejected, match="no brain"):
        register(replace(earlier, brain=np.zeros_like(earlier.brain)), earlier)


@pytest.fixture(scope="module")
def baseline(head, tmp_path_factory) -> Baseline:
    """The first scan as the node keeps it: images and segmentation on disk."""
    folder, placed = tmp_path_factory.mktemp("baseline"), place(head, SMALL)
    volume = load_series(placed.datasets)
    findings = measure(volume, placed.mask, MODEL)
    objects = build_result(Source(datasets=placed.datasets, volume=volume), findings, INSTALLATION, AT)
    paths = []
    for number, one in enumerate(placed.datasets):
        paths.append(str(folder / f"{number}.dcm"))
        one.save_as(paths[-1], enforce_file_format=True)
    seg = next(one.dataset for one in objects if one.kind is ObjectKind.SEG)
    (folder / "seg.dcm").write_bytes(encode(seg))
    return Baseline(
        study_instance_uid="1.1",
        acquired_at=0.0,
        volume_ml=findings.volume_ml,
        paths=tuple(paths),
        report=Reference(sop_class_uid="1", sop_instance_uid="2", series_instance_uid="3"),
        seg_path=str(folder / "seg.dcm"),
    )


@pytest.fixture(scope="module")
def later(head):
    """The second scan: the bleed has grown, then the head was moved."""
    placed = place(head, LARGE)
    volume = load_series(moved(list(placed.datasets)))
    return volume, measure(volume, placed.mask, MODEL)


def test_a_follow_up_bears_the_name_of_its_baseline_and_shows_it_in_its_own_plane(baseline, later):
    volume, findings = later
    found = followed(findings, volume, baseline, 24 * 3600.0)
    segment = dcmread(baseline.seg_path).SegmentSequence[0]
    assert [(one.tracking_id, one.tracking_uid) for one in found.lesions] == [("ICH 1", segment.TrackingUID)]
    assert found.growth.growth_ml == pytest.approx(LARGE.volume_ml - SMALL.volume_ml, rel=0.05)
    assert (found.growth.expanded, found.growth.unregistered) == (True, "")
    before, key = found.growth.before, found.key_slice
    assert before.mask.any()
    assert not (before.mask & ~found.mask[key]).sum() > 0.02 * before.mask.sum()  # it has grown on all sides
    alike = np.corrcoef(before.hu.ravel().clip(-50, 100), volume.hu[key].ravel().clip(-50, 100))[0, 1]
    assert alike > 0.97


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"paths": ()}, "images of the earlier scan are no longer kept"),
        ({"seg_path": None}, "segmentation of the earlier scan is no longer kept"),
        ({"seg_path": "/nowhere/seg.dcm"}, "segmentation of the earlier scan cannot be read"),
        ({"paths": ("/nowhere/1.dcm",)}, "could not be read"),
    ],
)
def test_without_the_earlier_images_growth_is_told_by_volume_alone_and_why(baseline, later, change, why):
    volume, findings = later
    found = followed(findings, volume, replace(baseline, **change), 24 * 3600.0)
    assert why in found.growth.unregistered
    assert found.growth.expanded
    assert found.growth.before is None
    assert found.lesions == findings.lesions


def test_another_head_under_the_same_identity_is_a_doubt_and_no_growth(baseline):
    other = another_patient()
    mask = np.zeros(other.geometry.shape, np.bool_)
    mask[10:14, 250:280, 250:280] = True

    found = followed(measure(other, mask, MODEL), other, baseline, 24 * 3600.0)

    assert found.growth is None
    [doubt] = [doubt for doubt in found.doubts if doubt.flag is Flag.QF_OTHERHEAD]
    assert "do not lie on each other" in doubt.evidence


def test_an_earlier_scan_that_other_weights_measured_is_a_doubt(baseline, later):
    volume, findings = later

    alike = followed(findings, volume, replace(baseline, weights_sha256=MODEL.sha256, paths=()), 24 * 3600.0)
    other = followed(findings, volume, replace(baseline, weights_sha256="ff" * 32, paths=()), 24 * 3600.0)

    assert Flag.QF_WEIGHTS not in alike.flags
    assert Flag.QF_WEIGHTS in other.flags
