import numpy as np
import pytest

from ichnode.domain.errors import Rejected
from ichnode.domain.flags import Flag
from ichnode.image.strip import brain_mask

TRUE_ML = 4 / 3 * np.pi * 67 * 87 * 77 / 1000


def volume_ml(mask, geometry):
    return float(mask.sum(axis=(1, 2)) @ geometry.voxel_volumes_ml)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.mark.parametrize(
    "shape",
    [
        {"slices": 38, "size": 256, "spacing_mm": 0.9},
        {"slices": 190, "size": 128, "gap_mm": 1.0},
        {"slices": 38, "size": 256, "spacing_mm": 0.9, "row": (-1, 0, 0), "column": (0, 1, 0)},
    ],
    ids=["thick", "thin", "from-the-other-side"],
)
def test_the_inside_of_the_skull_is_found(stack, head, ellipsoid, shape):
    geometry = stack(**shape)

    mask, flags = brain_mask(head(geometry), geometry)

    assert not flags
    assert volume_ml(mask, geometry) == pytest.approx(TRUE_ML, rel=0.05)
    assert dice(mask, ellipsoid(geometry, (0, 0, 0), (67, 87, 77))) > 0.97


def test_a_clot_that_touches_bone_stays_in(stack, head, ellipsoid):
    geometry = stack(slices=38, size=256, spacing_mm=0.9)
    where = (58, 0, 10), (15, 25, 20)
    clot = ellipsoid(geometry, *where) & ellipsoid(geometry, (0, 0, 0), (67, 87, 77))
    hu = head(geometry)
    hu[clot] = 75

    mask, flags = brain_mask(hu, geometry)

    assert not flags
    assert (mask & clot).sum() / clot.sum() > 0.99


def test_a_hole_in_the_skull_lets_neither_brain_out_nor_scalp_in(stack, head, ellipsoid):
    geometry = stack(slices=38, size=256, spacing_mm=0.9)
    hu = head(geometry, opening=((75, 0, 20), (20, 22, 22)))
    outside = ellipsoid(geometry, (80, 0, 20), (14, 40, 35)) & (hu == -1000)
    hu[outside] = 50  # swelling, or the muscles of the neck

    mask, flags = brain_mask(hu, geometry)

    assert not flags
    assert dice(mask, ellipsoid(geometry, (0, 0, 0), (67, 87, 77))) > 0.96
    assert (mask & outside).sum() / outside.sum() < 0.05


def test_half_a_skull_is_not_trusted_and_the_whole_head_is_taken(stack, head, ellipsoid):
    geometry = stack(slices=38, size=256, spacing_mm=0.9)
    hu = head(geometry, opening=((70, 0, 0), (60, 200, 200)))

    mask, flags = brain_mask(hu, geometry)

    assert flags == {Flag.QF_STRIP}
    assert dice(mask, ellipsoid(geometry, (0, 0, 0), (80, 100, 90))) > 0.97


def test_what_was_cut_off_on_one_side_is_noticed(stack, head, ellipsoid):
    geometry = stack(slices=38, size=256, spacing_mm=0.9)
    hu = head(geometry)
    hu[ellipsoid(geometry, (60, 0, 0), (30, 90, 90)) & (hu < 100)] = -100

    assert brain_mask(hu, geometry)[1] == {Flag.QF_STRIP}


def test_padding_metal_and_table_do_not_lead_astray(stack, head, ellipsoid):
    geometry = stack(slices=38, size=256, spacing_mm=0.9)
    plain, _ = brain_mask(head(geometry), geometry)
    hu = head(geometry)
    hu[:, :10] = -1024
    hu[:, 245:250] = 500
    hu[ellipsoid(geometry, (0, -90, -20), (4, 4, 4))] = 30000

    mask, flags = brain_mask(hu, geometry)

    assert not flags
    assert dice(mask, plain) > 0.995


@pytest.mark.parametrize("fill", [-1000, 0])
def test_a_volume_of_one_value_is_rejected(stack, fill):
    geometry = stack(slices=20, size=64, spacing_mm=3.5)

    with pytest.raises(Rejected, match="do not show a head"):
        brain_mask(np.full(geometry.shape, fill, np.int16), geometry)


def test_noise_in_air_is_rejected(stack):
    geometry = stack(slices=20, size=64, spacing_mm=3.5)
    noise = np.random.default_rng(3).normal(-1000, 20, geometry.shape).astype(np.int16)

    with pytest.raises(Rejected, match="do not show a head"):
        brain_mask(noise, geometry)


def test_a_water_phantom_is_rejected(stack, ellipsoid):
    geometry = stack(slices=32, size=128)
    hu = np.where(ellipsoid(geometry, (0, 0, 0), (100, 100, 1000)), 0, -1000).astype(np.int16)

    with pytest.raises(Rejected, match="do not show a head"):
        brain_mask(hu, geometry)
