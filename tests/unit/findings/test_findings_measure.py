import numpy as np
import pytest

from ichnode.domain.errors import BadGeometry
from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.geometry import Geometry
from ichnode.domain.values import Expansion, FrameSource, ModelIdentity, Volume
from ichnode.findings.measure import largest_components, measure, volume_ml

MODEL = ModelIdentity(name="n", version="1", sha256="ab")


def stack(z_mm, *, tilt_deg=0.0, spacing_mm=2.0, size=20):
    tilt = np.radians(tilt_deg)
    return Geometry(
        origins_mm=np.array([[0.0, 0.0, z] for z in z_mm]),
        row_cosine=np.array([1.0, 0.0, 0.0]),
        column_cosine=np.array([0.0, np.cos(tilt), np.sin(tilt)]),
        row_spacing_mm=spacing_mm,
        column_spacing_mm=spacing_mm,
        rows=size,
        columns=size,
    )


def volume_of(geometry, hu=30):
    sources = tuple(FrameSource(sop_instance_uid=f"1.{i}") for i in range(geometry.shape[0]))
    return Volume(hu=np.full(geometry.shape, hu, np.int16), geometry=geometry, sources=sources)


def block(geometry, z, y, x):
    mask = np.zeros(geometry.shape, bool)
    mask[z, y, x] = True
    return mask


def test_a_voxel_counts_with_the_thickness_that_its_slice_stands_for():
    geometry = stack([0, 2, 4, 9, 14])  # the third slice stands for (2 + 5) / 2 = 3.5 mm

    assert volume_ml(block(geometry, 2, 5, 5), geometry) == pytest.approx(3.5 * 4 / 1000)


def test_a_tilted_gantry_does_not_inflate_the_volume():
    upright, tilted = stack(np.arange(6) * 5.0), stack(np.arange(6) * 5.0, tilt_deg=18)
    mask = block(upright, slice(1, 5), slice(5, 10), slice(5, 10))

    assert volume_ml(mask, tilted) == pytest.approx(volume_ml(mask, upright) * np.cos(np.radians(18)))


def test_a_sphere_of_known_size_is_measured_within_three_percent():
    geometry = stack(np.arange(20) * 5.0, spacing_mm=0.5, size=200)
    z, y, x = np.mgrid[:20, :200, :200]
    mask = (z * 5.0 - 47) ** 2 + (y * 0.5 - 50) ** 2 + (x * 0.5 - 48) ** 2 < 20**2

    assert volume_ml(mask, geometry) == pytest.approx(4 / 3 * np.pi * 8, rel=0.03)


def test_parts_that_are_too_small_are_dropped_and_others_kept():
    geometry = stack(np.arange(6) * 5.0)
    large = block(geometry, slice(2, 4), slice(2, 8), slice(2, 8))  # 72 voxels of 0.02 mL
    small = block(geometry, 2, 15, slice(15, 17))  # 2 of them

    assert (largest_components(large | small, geometry, min_ml=0.1) == large).all()
    assert (largest_components(large | small, geometry, min_ml=0.04) == (large | small)).all()
    assert not largest_components(large | small, geometry, min_ml=2).any()


def test_the_size_of_a_part_is_weighed_slice_by_slice():
    geometry = stack([0, 1, 2, 12, 22, 32])
    thin, thick = block(geometry, 1, 5, 5), block(geometry, 4, 15, 15)

    assert (largest_components(thin | thick, geometry, min_ml=0.03) == thick).all()


def test_voxels_that_touch_by_a_corner_are_one_part():
    geometry = stack(np.arange(6) * 5.0)
    mask = block(geometry, 2, 5, 5) | block(geometry, 3, 6, 6)

    assert measure(volume_of(geometry), mask, MODEL).lesions[0].number == 1


def test_density_is_that_of_the_marked_voxels_alone():
    geometry = stack(np.arange(6) * 5.0)
    volume = volume_of(geometry)
    volume.hu[2, 5, 5:7] = [60, 70]

    findings = measure(volume, block(geometry, 2, 5, slice(5, 7)), MODEL)

    assert (findings.hu_mean, findings.hu_sd) == (65.0, 5.0)


def test_the_key_slice_is_the_one_with_the_largest_area():
    geometry = stack(np.arange(6) * 5.0)
    mask = block(geometry, 2, 5, 5) | block(geometry, 4, slice(5, 8), 5)

    assert measure(volume_of(geometry), mask, MODEL).key_slice == 4


def test_nothing_found_has_no_density_and_the_middle_slice():
    geometry = stack(np.arange(6) * 5.0)

    findings = measure(volume_of(geometry), np.zeros(geometry.shape, bool), MODEL)

    assert not findings.present
    assert (findings.volume_ml, findings.hu_mean, findings.hu_sd, findings.lesions) == (0.0, None, None, ())
    assert findings.key_slice == 3
    assert findings.flags == frozenset()


@pytest.mark.parametrize("place", [(0, 5, 5), (5, 5, 5), (2, 0, 5), (2, 19, 5), (2, 5, 0), (2, 5, 19)])
def test_a_mask_at_the_border_of_the_volume_is_flagged(place):
    geometry = stack(np.arange(6) * 5.0)

    assert Flag.QF_TOUCH in measure(volume_of(geometry), block(geometry, *place), MODEL).flags


def test_a_mask_within_the_volume_is_not_flagged():
    geometry = stack(np.arange(6) * 5.0)

    assert measure(volume_of(geometry), block(geometry, 1, 1, 1), MODEL).flags == frozenset()


def test_doubts_of_all_earlier_steps_are_kept():
    geometry = stack(np.arange(6) * 5.0)
    volume = Volume(
        hu=np.zeros(geometry.shape, np.int16),
        geometry=geometry,
        sources=volume_of(geometry).sources,
        flags=frozenset({Flag.QF_TILT}),
    )

    expansion = Expansion(probability=0.5, threshold=0.4, trained_on_patients=True)

    findings = measure(volume, block(geometry, 2, 5, 5), MODEL, expansion, [Doubt(flag=Flag.QF_STRIP)])

    assert findings.flags == {Flag.QF_TILT, Flag.QF_STRIP}
    assert findings.expansion is expansion


def test_a_mask_of_another_shape_is_refused():
    geometry = stack(np.arange(6) * 5.0)

    with pytest.raises(BadGeometry):
        volume_ml(np.zeros((6, 20, 21), bool), geometry)
