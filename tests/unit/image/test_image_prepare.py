from dataclasses import replace

import numpy as np
import pytest

from ichnode.domain.errors import Rejected
from ichnode.domain.flags import Flag
from ichnode.image.prepare import PRESETS, network_geometry, prepare
from ichnode.image.resample import resample

FOV224 = PRESETS["fov224"]
BLEED = (-30, 15, 10), (18, 22, 16)
FLIPS = {
    "prone": {"row": (-1, 0, 0), "column": (0, -1, 0)},
    "feet-first": {"row": (-1, 0, 0), "column": (0, 1, 0)},
    "upside-down": {"row": (1, 0, 0), "column": (0, -1, 0)},
    "on-the-side": {"row": (0, 1, 0), "column": (-1, 0, 0)},
    "transposed": {"row": (0, 1, 0), "column": (1, 0, 0)},
}


@pytest.mark.parametrize("name", FLIPS)
def test_however_the_slices_lie_the_network_sees_the_same(stack, head_volume, name):
    usual = prepare(head_volume(stack(slices=36), bleed=BLEED), FOV224)

    turned = prepare(head_volume(stack(slices=36, **FLIPS[name]), bleed=BLEED), FOV224)

    assert np.allclose(turned.geometry.origins_mm, usual.geometry.origins_mm, atol=1e-6)
    assert np.abs(turned.values - usual.values).max() < 1e-2


def test_left_back_and_head_are_where_the_grid_says(stack, head_volume):
    seen = prepare(head_volume(stack(slices=36), bleed=((30, 20, 25), (12, 12, 12))), FOV224)

    z, y, x = (float(axis.mean()) for axis in np.nonzero(seen.values > 3))

    grid = seen.geometry
    where = grid.origins_mm[0] + x * 0.875 * grid.row_cosine + y * 0.875 * grid.column_cosine + z * 5 * grid.normal
    assert where == pytest.approx([30, 20, 25], abs=1.5)
    assert x > 127.5
    assert y > 127.5
    assert (grid.row_cosine[0], grid.column_cosine[1], grid.normal[2]) == (1, 1, 1)


def test_the_brain_is_normalised_and_all_else_is_zero(stack, head_volume, ellipsoid):
    seen = prepare(head_volume(stack(slices=36), bleed=BLEED), FOV224)

    brain = ellipsoid(seen.geometry, (0, 0, 0), (68, 88, 80))
    bleed = ellipsoid(seen.geometry, BLEED[0], np.array(BLEED[1]) - 4)
    assert seen.values.shape == (32, 256, 256)
    assert seen.values.dtype == np.float32
    assert seen.values.min() == 0
    assert seen.values[~brain].max() == 0
    assert np.ptp(seen.values[bleed]) < 0.01
    assert seen.values[bleed].min() > 2
    assert seen.flags == frozenset()


def test_neither_skull_nor_void_rings_into_the_brain(stack, head_volume):
    """The head is 35 HU wherever it is not liquor: a rim above the mean would be bone, or an overshoot of the cubic."""
    seen = prepare(head_volume(stack(slices=36, size=256, spacing_mm=0.9)), FOV224).values

    plain = np.median(seen[seen > 0])
    rim_voxels = (seen > plain * 1.5).sum()
    assert rim_voxels / (seen > 0).sum() < 0.02


def test_slices_as_thick_as_the_networks_are_not_blurred(stack, head_volume):
    volume = head_volume(stack(slices=35, gap_mm=5.0))

    grid = prepare(volume, FOV224).geometry

    apart = (grid.origins_mm[:, None, 2] - volume.geometry.origins_mm[None, :, 2]) % 5
    assert np.minimum(apart, 5 - apart).max() < 1e-6


def test_what_is_too_long_is_cut_at_the_caudal_end(stack):
    geometry = stack(slices=40)
    mask = np.ones(geometry.shape, bool)

    grid = network_geometry(geometry, mask, FOV224)

    assert grid.origins_mm[-1, 2] == pytest.approx(geometry.origins_mm[-1, 2])
    assert grid.origins_mm[0, 2] > geometry.origins_mm[0, 2]


def test_a_short_stack_is_padded(stack, head_volume):
    geometry = stack(slices=12, centre=(0, 0, 20))

    seen = prepare(head_volume(geometry), FOV224)

    filled = seen.values.any(axis=(1, 2))
    assert 11 <= filled.sum() <= 13
    assert not filled[0]
    assert not filled[-1]


def test_the_centre_of_the_brain_is_the_centre_of_the_grid(stack, head_volume):
    volume = head_volume(stack(slices=36, centre=(12, -7, 3)))

    grid = prepare(volume, FOV224).geometry

    middle = grid.origins_mm[0] + 127.5 * 0.875 * (grid.row_cosine + grid.column_cosine)
    assert middle[:2] == pytest.approx([0, 0], abs=1.0)


def test_the_printed_field_of_view_cuts_a_head_and_says_so(stack, head_volume):
    seen = prepare(head_volume(stack(slices=36)), PRESETS["fov112"])

    assert seen.geometry.row_spacing_mm == pytest.approx(0.4375)
    assert Flag.QF_FIELD in seen.flags


def test_a_brain_cut_by_the_networks_field_along_the_normal_is_flagged(stack, head_volume):
    short = replace(FOV224, fov_mm=(100.0, 224.0, 224.0))

    assert Flag.QF_FIELD in prepare(head_volume(stack(slices=36)), short).flags


def test_the_flags_of_the_volume_travel_on(stack, head_volume):
    volume = replace(head_volume(stack(slices=36)), flags=frozenset({Flag.QF_TILT}))

    assert Flag.QF_TILT in prepare(volume, FOV224).flags


@pytest.mark.parametrize(
    "native",
    [
        {"slices": 40, "size": 256, "spacing_mm": 0.9, "gap_mm": 4.5, "column": (0, 0.9483237, -0.3173047), "lean": 1},
        {"slices": 36, "size": 256, "spacing_mm": 0.9, "gaps_mm": [4.0] * 18 + [6.5] * 17},
        {"slices": 90, "size": 192, "spacing_mm": 1.2, "gap_mm": 2.0},
    ],
    ids=["tilted", "unequal", "thin"],
)
def test_a_bleed_keeps_its_volume_from_the_network_back_to_the_native_grid(stack, head_volume, ellipsoid, native):
    lean = -native["gap_mm"] * 0.3173047 / 0.9483237 if native.pop("lean", 0) else 0.0
    volume = head_volume(stack(**native, lean_mm=lean), bleed=BLEED)
    grid = prepare(volume, FOV224).geometry
    perfect = ellipsoid(grid, *BLEED).astype(np.float32)

    found = resample(perfect, grid, volume.geometry, 0) > 0.5

    true_ml = 4 / 3 * np.pi * np.prod(BLEED[1]) / 1000
    assert float(found.sum(axis=(1, 2)) @ volume.geometry.voxel_volumes_ml) == pytest.approx(true_ml, rel=0.03)


def test_a_head_of_one_density_is_not_blown_up_to_noise(stack, head_volume):
    volume = head_volume(stack(slices=36))
    flat = np.where((volume.hu > -100) & (volume.hu < 100), 40, volume.hu).astype(np.int16)

    seen = prepare(replace(volume, hu=flat), FOV224)

    assert seen.values.max() < 0.1


def test_no_head_is_rejected(stack, head_volume):
    volume = head_volume(stack(slices=36))

    with pytest.raises(Rejected, match="do not show a head"):
        prepare(replace(volume, hu=np.full_like(volume.hu, -1000)), FOV224)
