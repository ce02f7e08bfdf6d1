"""The real heads: one patient on a tilted gantry, one plastic phantom, and bleeds drawn on patients."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ichnode.domain.errors import Rejected
from ichnode.domain.flags import Flag
from ichnode.domain.geometry import Geometry
from ichnode.image.load import load_series, read_datasets
from ichnode.image.prepare import PRESETS, prepare
from ichnode.image.resample import resample
from ichnode.image.strip import brain_mask

CASES = 15  # of the training split; the validation split is not looked at


def series_in(folder: Path):
    return load_series(read_datasets(sorted(path for path in folder.iterdir() if path.is_file())))


def volume_ml(mask, geometry):
    return float(mask.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml)


@pytest.fixture(scope="module")
def tilted(real_data):
    return series_in(real_data / "dicom" / "ge-tilt")


def test_the_tilted_head_loads_with_its_doubts(tilted):
    assert tilted.hu.shape == (28, 512, 512)
    assert tilted.hu.min() == -1024
    assert tilted.geometry.tilt_deg == pytest.approx(18.5, abs=0.01)
    assert tilted.geometry.gaps_mm.min() == pytest.approx(1.08, abs=0.01)
    assert tilted.geometry.gaps_mm.max() == pytest.approx(7.0, abs=0.01)
    assert tilted.flags == {Flag.QF_TILT, Flag.QF_UNEQUAL, Flag.QF_THICK}


def test_the_brain_of_the_tilted_head_is_found(tilted):
    mask, flags = brain_mask(tilted.hu, tilted.geometry)

    assert not flags
    assert 1400 < volume_ml(mask, tilted.geometry) < 1600


def test_a_thick_slice_through_the_vertex_whose_voxels_bone_and_brain_share_is_no_brain(tilted):
    mask, _ = brain_mask(tilted.hu, tilted.geometry)

    assert np.flatnonzero(mask.any(axis=(1, 2)))[-1] == 25  # slice 26 is 81 HU at its median
    assert np.median(tilted.hu[25][mask[25]]) < 55


def test_a_bleed_in_the_tilted_head_comes_back_with_its_volume(tilted, ellipsoid):
    """An ellipsoid of patient space, seen by a network that knows each voxel's share of it, measured on the slices."""
    grid = prepare(tilted, PRESETS["fov224"]).geometry
    middle = grid.origins_mm[16] + 127.5 * 0.875 * (grid.row_cosine + grid.column_cosine)
    where = middle + np.array([25, 10, 5]), (20, 26, 17)
    true_ml = 4 / 3 * np.pi * 20 * 26 * 17 / 1000

    on_slices = ellipsoid(tilted.geometry, *where)
    back = resample(resample(on_slices, tilted.geometry, grid, 0), grid, tilted.geometry, 0) > 0.5

    assert volume_ml(on_slices, tilted.geometry) == pytest.approx(true_ml, rel=0.03)
    assert volume_ml(back, tilted.geometry) == pytest.approx(true_ml, rel=0.03)
    assert 2 * (back & on_slices).sum() / (back.sum() + on_slices.sum()) > 0.97


@pytest.mark.parametrize("name", ["S2010", "S2020"])
def test_a_skull_of_plastic_filled_with_foam_is_no_head(real_data, name):
    volume = series_in(real_data / "dicom" / "philips-study" / name)

    assert volume.flags == frozenset()
    with pytest.raises(Rejected, match="hardly any soft tissue"):
        prepare(volume, PRESETS["fov224"])


@pytest.mark.parametrize(("name", "why"), [("S1000", "only 1 slice"), ("S4010", "colour picture")])
def test_a_localizer_and_a_summary_page_are_rejected(real_data, name, why):
    with pytest.raises(Rejected, match=why):
        series_in(real_data / "dicom" / "philips-study" / name)


def test_bleeds_stay_inside_the_brain_mask(real_data):
    folder = real_data / "phe-sich"
    cases = json.loads((folder / "manifest.json").read_text())["train"][:CASES]
    for case in cases:
        hu, bleed, geometry = patient(folder / "train", case["id"])

        mask, flags = brain_mask(hu, geometry)

        assert not flags, case
        assert 800 < volume_ml(mask, geometry) < 2100, case
        assert (mask & bleed).sum() / bleed.sum() > 0.99, case


def patient(folder: Path, name: str):
    """HU with the source's clipping undone (bone and air), the bleed, and the geometry."""
    image = nibabel.load(folder / f"{name}_ct.nii.bz2")
    hu = np.asarray(image.dataobj).astype(np.int16).transpose(2, 1, 0)
    hu = np.where(hu >= 100, 1000, np.where(hu <= -20, -1000, hu)).astype(np.int16)
    bleed = np.asarray(nibabel.load(folder / f"{name}_bleed.nii.bz2").dataobj).transpose(2, 1, 0) > 0
    dx, dy, dz = (float(mm) for mm in image.header.get_zooms()[:3])
    geometry = Geometry(
        origins_mm=np.outer(np.arange(len(hu)) * dz, [0.0, 0.0, 1.0]),
        row_cosine=np.array([1.0, 0, 0]),
        column_cosine=np.array([0, 1.0, 0]),
        row_spacing_mm=dy,
        column_spacing_mm=dx,
        rows=hu.shape[1],
        columns=hu.shape[2],
    )
    return hu, bleed, geometry
