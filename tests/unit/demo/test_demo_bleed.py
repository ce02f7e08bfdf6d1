import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from ichnode.demo.bleed import Bleed, blood_share, geometry_of, place
from ichnode.domain.errors import Rejected

BLEED = Bleed(centre_mm=(3.0, -4.0, 2.0), semi_axes_mm=(9.0, 14.0, 11.0), turn_deg=20.0)
TILT = np.radians(18.5)


def stack(heights_mm: list[float], *, tilt: float = TILT, hu: int = 30) -> list[Dataset]:
    """Slices whose table positions are ``heights_mm``, 80 x 80 voxels of 1 mm, all of one HU."""
    return [one_slice(height, tilt, hu, number) for number, height in enumerate(heights_mm, start=1)]


def one_slice(height_mm: float, tilt: float, hu: int, number: int) -> Dataset:
    dataset, dataset.file_meta = Dataset(), FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"2.25.{number}"
    dataset.ImageOrientationPatient = [1, 0, 0, 0, round(float(np.cos(tilt)), 7), round(-float(np.sin(tilt)), 7)]
    dataset.ImagePositionPatient = [-40, round(-40 * float(np.cos(tilt)), 4), height_mm + round(40 * np.sin(tilt), 4)]
    dataset.PixelSpacing, dataset.Rows, dataset.Columns = [1, 1], 80, 80
    dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
    dataset.set_pixel_data(np.full((80, 80), hu + 1024, np.uint16), "MONOCHROME2", 12, generate_instance_uid=False)
    return dataset


HEIGHTS_MM = [*np.arange(-30.0, -9.0, 4.0), -8.0, -6.5, *np.arange(0.0, 36.0, 7.0)]


@pytest.mark.parametrize("tilt", [0.0, TILT, -TILT])
def test_the_shares_of_blood_sum_to_the_ellipsoid_whatever_the_tilt_and_the_gaps(tilt: float) -> None:
    geometry = geometry_of(stack(HEIGHTS_MM, tilt=tilt))

    share = blood_share(geometry, BLEED)

    assert share.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml == pytest.approx(BLEED.volume_ml, rel=2e-3)
    assert share.min() == 0
    assert share.max() == 1


def test_the_blood_lies_where_it_was_said_to_lie() -> None:
    geometry = geometry_of(stack(HEIGHTS_MM))
    share = blood_share(geometry, BLEED)
    rows, columns = np.mgrid[:80, :80]

    weight = share * geometry.voxel_volumes_ml[:, None, None]
    centre = np.zeros(3)
    for index, origin in enumerate(geometry.origins_mm):
        places = origin + rows[..., None] * geometry.column_cosine + columns[..., None] * geometry.row_cosine
        centre += (weight[index, ..., None] * places).sum(axis=(0, 1))

    # unequal gaps shift what a slice stands for away from its plane, hence the millimetre along the stack
    np.testing.assert_allclose(centre / weight.sum(), BLEED.centre_mm, atol=1.0)


def test_placing_changes_the_blood_and_nothing_else() -> None:
    before = stack(HEIGHTS_MM)

    placed = place(list(reversed(before)), BLEED)

    assert [one.SOPInstanceUID for one in placed.datasets] == [one.SOPInstanceUID for one in before]
    hu = np.stack([one.pixel_array.astype(float) - 1024 for one in placed.datasets])
    assert hu[placed.mask].mean() == pytest.approx(60, abs=4)
    assert np.all(hu[blood_share(placed.geometry, BLEED).max(axis=(1, 2)) == 0] == 30)
    assert before[6].pixel_array.max() == 30 + 1024
    assert placed.volume_ml == pytest.approx(BLEED.volume_ml, rel=0.05)


def test_placing_twice_gives_the_same_pixels_and_another_seed_others() -> None:
    first, again, other = (place(stack(HEIGHTS_MM), BLEED, seed=seed) for seed in (1, 1, 2))

    assert [one.PixelData for one in first.datasets] == [one.PixelData for one in again.datasets]
    assert [one.PixelData for one in first.datasets] != [one.PixelData for one in other.datasets]


def test_a_bleed_that_leaves_the_stack_is_refused() -> None:
    with pytest.raises(Rejected, match=r"mL of the bleed"):
        place(stack(HEIGHTS_MM[8:]), BLEED)
