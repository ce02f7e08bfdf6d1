"""CT and mask of a case on one grid, whatever way they are stored."""

import bz2
import gzip
from dataclasses import replace
from shutil import copytree

import nibabel
import numpy as np
import pytest

from ichnode.cohort.read import outcome_of, read_case, read_followup, source_digest
from ichnode.cohort.table import Card, Case
from ichnode.domain.errors import BadGeometry, Rejected
from ichnode.domain.flags import Flag

AXES = ["LPS", "RAS", "LAS", "RPI", "PLS", "SRA", "AIL"]


@pytest.mark.parametrize("stored", AXES)
def test_a_ct_is_the_same_however_its_axes_are_stored(built, card, straight, drawn_head, stored):
    hu, mask = drawn_head(straight(slices=24))

    found = read_case(built(geometry=straight(slices=24), orientation=stored, mask_orientation=stored), card)

    assert np.array_equal(found.volume.hu, hu)
    assert np.array_equal(found.bleed, mask)
    assert found.volume.hu.dtype == np.int16
    geometry = found.volume.geometry
    assert np.allclose(geometry.origins_mm, straight(slices=24).origins_mm, atol=1e-3)
    assert np.allclose([geometry.row_cosine, geometry.column_cosine, geometry.normal], np.eye(3))


@pytest.mark.parametrize("stored", AXES)
def test_a_mask_with_other_axes_is_turned_to_its_ct(built, card, drawn_head, straight, stored):
    found = read_case(built(mask_orientation=stored), card)

    assert np.array_equal(found.bleed, drawn_head(straight())[1])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nii.bz2"])
def test_packed_and_unpacked_files_are_read(built, card, suffix):
    assert read_case(built(suffix=suffix), card).bleed_ml == pytest.approx(14.8, abs=0.3)


def test_no_mask_is_an_empty_one(built, card):
    case = replace(built(), mask=None)

    found = read_case(case, card)

    assert found.bleed.shape == found.volume.hu.shape
    assert found.bleed_ml == 0


def test_a_sheared_stack_is_tilted_and_its_slices_no_thicker_for_it(built, card, straight, drawn_head):
    hu, mask = drawn_head(straight())

    found = read_case(built(geometry=straight(lean_mm=2.0), hu=hu, mask=mask), card)

    assert found.volume.geometry.tilt_deg == pytest.approx(np.degrees(np.arctan2(2, 5)), abs=0.01)
    assert found.volume.flags == {Flag.QF_TILT}
    assert found.bleed_ml == pytest.approx(mask.sum() * 2.4 * 2.4 * 5 / 1000)


def test_the_spacing_of_the_table_overrides_that_of_the_files(built, card, straight):
    case = built(geometry=straight(spacing_mm=2.4, lean_mm=1.0))

    plain = read_case(case, card)
    other = read_case(replace(case, spacing_mm=(7.0, 1.2, 0.6)), card)

    assert other.bleed_ml / plain.bleed_ml == pytest.approx(7.0 / 5.0 * 1.2 * 0.6 / 2.4**2)
    geometry = other.volume.geometry
    assert (geometry.row_spacing_mm, geometry.column_spacing_mm) == (1.2, 0.6)
    assert geometry.gaps_mm == pytest.approx(7.0)
    assert geometry.tilt_deg == pytest.approx(plain.volume.geometry.tilt_deg)
    assert Flag.QF_THICK in other.volume.flags


def test_clipping_is_undone_as_the_card_says(built, straight, drawn_head):
    clipping = Card(name="c", description="", source="s", licence="l", clipped_hu=(-20, 100))
    hu, _ = drawn_head(straight())
    case = built(hu=np.clip(hu, -20, 100).astype(np.int8))

    found = read_case(case, clipping)

    assert np.array_equal(found.volume.hu, hu)


def test_a_mask_of_another_size_is_rejected(built, card, nifti, straight, drawn_head, ras_affine):
    case = built()
    nifti(case.mask, drawn_head(straight())[1][:-1].astype(np.uint8), ras_affine(straight()))

    with pytest.raises(BadGeometry, match="different sizes: 96 × 96 × 32 and 96 × 96 × 31 voxels"):
        read_case(case, card)


@pytest.mark.parametrize(("axis", "apart_mm", "fits"), [(0, 0.9, True), (0, 1.1, False), (2, -2.0, False)])
def test_a_mask_that_lies_elsewhere_is_rejected(built, card, straight, ras_affine, axis, apart_mm, fits):
    affine = ras_affine(straight())
    affine[axis, 3] += apart_mm
    case = built(mask_affine=affine)

    if fits:
        assert read_case(case, card).bleed.any()
    else:
        with pytest.raises(BadGeometry, match=f"{abs(apart_mm):.1f} mm apart"):
            read_case(case, card)


def test_a_mask_with_other_voxels_is_rejected(built, card, straight, ras_affine):
    case = built(mask_affine=ras_affine(straight(spacing_mm=2.5)))

    with pytest.raises(BadGeometry, match="mm apart"):
        read_case(case, card)


def test_a_mask_of_several_labels_is_rejected_and_255_is_one(built, card, nifti, straight, drawn_head, ras_affine):
    case = built()
    mask = drawn_head(straight())[1].astype(np.uint8)
    nifti(case.mask, mask * 255, ras_affine(straight()))
    assert read_case(case, card).bleed.sum() == mask.sum()
    mask[0, 0, 0] = 2
    nifti(case.mask, mask, ras_affine(straight()))

    with pytest.raises(Rejected, match=r"other labels \(1, 2\)"):
        read_case(case, card)


@pytest.mark.parametrize("kind", ["ct", "mask"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nii.bz2"])
def test_a_damaged_file_is_rejected_by_its_name(built, card, kind, suffix):
    case = built(suffix=suffix)
    path = getattr(case, kind)
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], b"", b"no image at all", gzip.compress(b"x"), bz2.compress(b"x")):
        path.write_bytes(damaged)
        with pytest.raises(Rejected, match=path.name):
            read_case(case, card)
    path.unlink()
    with pytest.raises(Rejected, match=f"{path.name} is not there"):
        read_case(case, card)


@pytest.mark.parametrize("kind", ["ct", "mask"])
@pytest.mark.parametrize(
    ("field", "value", "kind_of_fault"),
    [
        ("vox_offset", np.nan, Rejected),
        ("vox_offset", np.inf, Rejected),
        ("datatype", 7, Rejected),
        ("scl_inter", np.inf, Rejected),
        ("dim", [3, -1, 96, 32, 1, 1, 1, 1], Rejected),
        ("srow_x", np.nan, BadGeometry),
        ("srow_y", np.inf, BadGeometry),
        ("srow_z", 0, BadGeometry),
        ("pixdim", 0, BadGeometry),
        ("pixdim", -1, BadGeometry),
        ("pixdim", np.nan, BadGeometry),
    ],
)
def test_a_file_with_a_damaged_header_is_rejected_by_its_name(built, card, kind, field, value, kind_of_fault):
    case = built()
    path = getattr(case, kind)
    header = np.frombuffer(path.read_bytes()[:348], nibabel.Nifti1Header.template_dtype).copy()
    header["scl_slope"] = 1  # without which the intercept means nothing
    header[field] = value
    path.write_bytes(header.tobytes() + path.read_bytes()[348:])

    with pytest.raises(kind_of_fault, match=path.name):
        read_case(case, card)


def test_an_image_of_another_format_is_rejected(built, card, tmp_path):
    nibabel.save(nibabel.MGHImage(np.zeros((4, 4, 12), np.float32), np.eye(4)), tmp_path / "a.mgz")

    with pytest.raises(Rejected, match=r"a\.mgz is not NIfTI"):
        read_case(replace(built(), ct=tmp_path / "a.mgz"), card)


@pytest.mark.parametrize(("value", "why"), [(np.nan, "no numbers"), (np.inf, "no numbers"), (-1, r"labels \(-1\)")])
def test_a_mask_of_no_labels_is_rejected(built, card, nifti, straight, drawn_head, ras_affine, value, why):
    case = built()
    nifti(case.mask, np.where(drawn_head(straight())[1], np.float32(value), 0), ras_affine(straight()))

    with pytest.raises(Rejected, match=f"{case.mask.name} .*{why}"):
        read_case(case, card)


def test_values_that_are_no_hu_are_rejected(built, card, nifti, straight, drawn_head, ras_affine):
    case = built()
    hu = drawn_head(straight())[0].astype(np.float32)
    hu[0, 0, 0] = np.nan
    nifti(case.ct, hu, ras_affine(straight()))
    with pytest.raises(Rejected, match="no numbers"):
        read_case(case, card)
    nifti(case.ct, (drawn_head(straight())[0] + 1024).astype(np.uint16), ras_affine(straight()))
    with pytest.raises(Rejected, match="no air round the head"):
        read_case(case, card)


def test_an_empty_folder_and_a_short_stack_are_rejected(built, card, straight, tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(Rejected, match="empty"):
        read_case(replace(built(), ct=tmp_path / "nothing"), card)
    with pytest.raises(Rejected, match="at least 10 axial slices"):
        read_case(built(geometry=straight(slices=9)), card)


def test_the_table_knows_the_outcome_and_else_the_follow_up_does(built, card, straight, drawn_head):
    first = built()
    baseline_ml = read_case(first, card).bleed_ml
    grown = drawn_head(straight(), bleed=((30, 0, 10), (16, 20, 16)))
    later = built("later", hu=grown[0], mask=grown[1])
    followed = replace(first, followup_ct=later.ct, followup_mask=later.mask)

    assert outcome_of(first, card, baseline_ml) is None
    assert outcome_of(replace(first, expanded=False), card, baseline_ml) is False
    assert outcome_of(followed, card, baseline_ml) is True
    assert outcome_of(replace(followed, followup_ct=None), card, baseline_ml) is True
    assert outcome_of(replace(followed, expanded=False), card, baseline_ml) is False
    assert outcome_of(replace(followed, followup_mask=first.mask), card, baseline_ml) is False
    assert read_followup(first, card) is None
    assert read_followup(followed, card).bleed_ml > baseline_ml


def test_the_digest_is_of_what_a_case_is_made_from_and_not_of_where_it_lies(built, card, tmp_path):
    case = built()
    copytree(tmp_path, tmp_path / "copy")
    moved = replace(case, ct=tmp_path / "copy" / case.ct.name, mask=tmp_path / "copy" / case.mask.name, split="val")
    digest = source_digest(case, card)

    assert source_digest(moved, card) == digest
    assert source_digest(replace(case, spacing_mm=(5.0, 1.0, 1.0)), card) != digest
    assert source_digest(replace(case, mask=None), card) != digest
    assert source_digest(case, card.model_copy(update={"clipped_hu": (-20, 100)})) != digest
    moved.mask.write_bytes(moved.mask.read_bytes()[:-1] + b"\1")
    assert source_digest(moved, card) != digest


def test_the_tilted_unequal_dicom_head_takes_a_mask_on_its_mean_grid(real_data, card, tmp_path, nifti, ras_affine):
    folder = real_data / "dicom" / "ge-tilt"
    bare = Case(name="ge", patient="ge", split="test", ct=folder, mask=None)
    volume = read_case(bare, card).volume
    mask = np.zeros(volume.hu.shape, np.uint8)
    mask[12:15, 250:270, 200:210] = 1
    path = nifti(tmp_path / "mask.nii.gz", mask, ras_affine(volume.geometry), "RAS")

    found = read_case(replace(bare, mask=path), card)

    assert np.array_equal(found.bleed, mask > 0)
    assert found.volume.flags >= {Flag.QF_TILT, Flag.QF_UNEQUAL}


def test_the_volumes_of_the_shared_cohort_are_those_of_its_manifest(real_data):
    folder = real_data / "phe-sich" / "train"
    clipping = Card(name="c", description="", source="s", licence="l", clipped_hu=(-20, 100))
    for name, volume_ml in (("0001", 8.11), ("0006", 37.33)):
        ct, mask = (folder / f"{name}_{kind}.nii.bz2" for kind in ("ct", "bleed"))

        found = read_case(Case(name=name, patient=name, split="train", ct=ct, mask=mask), clipping)

        assert found.bleed_ml == pytest.approx(volume_ml, abs=0.006)
        assert set(np.unique(found.volume.hu)) >= {-1000, 1000}
        assert found.volume.hu[found.bleed].max() < 1000
        assert not ((found.volume.hu > -1000) & (found.volume.hu <= -20)).any()


def test_dicom_of_a_cohort_that_was_clipped_is_refused(real_data, card):
    case = Case(name="ge", patient="ge", split="test", ct=real_data / "dicom" / "ge-tilt", mask=None)

    with pytest.raises(Rejected, match="ge-tilt is DICOM: clipped_hu in the card is for NIfTI alone"):
        read_case(case, card.model_copy(update={"clipped_hu": (-20, 100)}))


def test_what_is_wrong_with_a_dicom_series_is_said_with_its_folder(built, card, tmp_path):
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1.dcm").write_bytes(b"no DICOM")

    with pytest.raises(Rejected, match="series: One of the files is not a DICOM image"):
        read_case(replace(built(), ct=tmp_path / "series"), card)
