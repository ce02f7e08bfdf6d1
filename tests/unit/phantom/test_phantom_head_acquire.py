"""The scanner: whatever tilt, distances and thickness, things are where they are and as large as they are."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ichnode.domain.errors import ConfigError
from ichnode.phantom.acquire import Acquisition, Pose, acquire, blood_share
from ichnode.phantom.anatomy import make_head
from ichnode.phantom.artefacts import hardening, noise
from ichnode.phantom.holder import with_holder
from ichnode.phantom.make import draw_acquisition
from ichnode.phantom.scene import Scene
from ichnode.phantom.spec import PhantomSpec

EVEN = tuple(np.arange(-40.0, 41.0, 5.0))
UNEQUAL = tuple(np.cumsum([-42.0, *[2.2] * 12, *[5.0] * 6, *[7.0] * 4]))
POSE = Pose(turn_deg=(6, -3, 8), shift_mm=(4, -6, 2))


@dataclass(frozen=True)
class Ball:
    """A lesion that is a ball of blood and moves nothing."""

    centre: tuple = (20.0, 5.0, 4.0)
    radius: float = 14.0
    hu: float = 800.0

    @property
    def box_mm(self):
        return np.array([np.subtract(self.centre, self.radius), np.add(self.centre, self.radius)], np.float32)

    def displace(self, points):
        return points

    def paint(self, points, hu):
        return np.where(self.blood_at(points), np.float32(self.hu), hu)

    def blood_at(self, points):
        return ((points - np.float32(self.centre)) ** 2).sum(axis=-1) < self.radius**2

    @property
    def volume_ml(self):
        return 4 / 3 * np.pi * self.radius**3 / 1000


class Nothing:
    """A head of water without an edge: what is seen is the lesion alone."""

    def hu_at(self, points):
        return np.zeros(points.shape[:-1], np.float32)

    def outline_mm(self, points):
        return np.full(points.shape[:-1], -1, np.float32)


def scan(table_mm=EVEN, thickness_mm=5.0, **options):
    still = {"noise_hu": 0.0, "hardening": 0.0, "holder": False, "blur_mm": 0.01}
    place = {"centre_mm": (0.0, 0.0), "pose": POSE, "rows": 128, "columns": 128, "pixel_mm": 1.4}
    return Acquisition(table_mm=table_mm, thickness_mm=thickness_mm, **{**still, **place, **options})


@pytest.mark.parametrize(
    ("table_mm", "tilt_deg", "thickness_mm"),
    [(EVEN, 0, 5), (EVEN, 18.5, 5), (UNEQUAL, 0, 5), (UNEQUAL, -20, 2.5), (tuple(np.arange(-30.0, 31, 1)), 0, 1)],
)
def test_shares_of_blood_sum_to_the_true_volume_and_its_mask_lies_near(table_mm, tilt_deg, thickness_mm):
    ball = Ball()
    acquisition = scan(table_mm, thickness_mm, tilt_deg=tilt_deg)

    share = blood_share(Scene(head=Nothing(), lesions=(ball,)), acquisition)

    weights = acquisition.geometry.voxel_volumes_ml
    assert share.sum(axis=(1, 2)) @ weights == pytest.approx(ball.volume_ml, rel=0.01)
    assert (share >= 0.5).sum(axis=(1, 2)) @ weights == pytest.approx(ball.volume_ml, rel=0.05)


@pytest.mark.parametrize(("table_mm", "tilt_deg"), [(EVEN, 0), (EVEN, 20), (UNEQUAL, -15)])
def test_a_thing_is_seen_where_the_geometry_says_that_it_is(table_mm, tilt_deg):
    ball = Ball(radius=10.0)
    acquisition = scan(table_mm, 2.5, tilt_deg=tilt_deg)

    seen = acquire(Scene(head=Nothing(), lesions=(ball,)), acquisition, np.random.default_rng(0))

    geometry = seen.geometry
    weights = np.maximum(seen.hu, 0) * geometry.voxel_volumes_ml[:, None, None]
    z, y, x = (weights.sum(axis=axes) / weights.sum() for axes in ((1, 2), (0, 2), (0, 1)))
    rows = (weights.sum(axis=2) @ np.arange(128)).sum() / weights.sum() * geometry.row_spacing_mm
    columns = (weights.sum(axis=1) @ np.arange(128)).sum() / weights.sum() * geometry.column_spacing_mm
    found = z @ geometry.origins_mm + rows * geometry.column_cosine + columns * geometry.row_cosine
    assert y.sum() == pytest.approx(1)
    assert x.sum() == pytest.approx(1)
    assert found == pytest.approx(POSE.to_patient(np.asarray(ball.centre)), abs=0.7)
    assert geometry.tilt_deg == pytest.approx(abs(tilt_deg))
    assert geometry.is_unequal == (table_mm is UNEQUAL)


def test_a_tilt_leans_the_way_that_scanners_write_it():
    """As in the real head on a GE gantry: +18.5 degrees is (0, 0.948, -0.317) down the columns."""
    assert scan(tilt_deg=18.5).geometry.column_cosine == pytest.approx([0, 0.9483237, -0.3173047], abs=1e-6)


def test_a_slice_that_is_half_within_a_thing_shows_half_of_it():
    class Block(Ball):
        def blood_at(self, points):
            return points[..., 2] < 0

        @property
        def box_mm(self):
            return np.array([[-300] * 3, [300] * 3], np.float32)

    flat = scan((-10.0, 0.0, 10.0), 5.0, pose=Pose())

    seen = acquire(Scene(head=Nothing(), lesions=(Block(hu=100.0),)), flat, np.random.default_rng(0))

    assert [int(plane[64, 64]) for plane in seen.hu] == [100, 50, 0]


def test_noise_has_the_strength_that_was_asked_for_and_the_same_seed_the_same_grain():
    water = np.zeros((3, 256, 256), np.float32)
    water[:, 60:200, 60:200] = 30

    one = noise(water - 400, 0.9, 4.0, 0.45, np.random.default_rng(5))
    again = noise(water - 400, 0.9, 4.0, 0.45, np.random.default_rng(5))

    assert one[:, 110:150, 110:150].std() == pytest.approx(4, rel=0.35)
    assert np.array_equal(one, again)
    assert abs(one.mean()) < 0.2


def test_beam_hardening_makes_a_dark_band_between_two_bones():
    y, x = np.mgrid[:128, :128] - 63.5
    hu = np.where(np.hypot(x, y) < 45, 30.0, -1000.0)
    hu = np.where((np.hypot(x - 25, y) < 9) | (np.hypot(x + 25, y) < 9), 1400.0, hu)[None].astype(np.float32)

    added = hardening(hu, 1.8, 1.0, np.random.default_rng(0))[0]

    assert added[60:68, 58:70].mean() < added[30:38, 58:70].mean() - 3
    assert np.abs(hardening(hu, 1.8, 0.0, np.random.default_rng(0))).max() == 0


def test_the_holder_fills_air_and_spares_the_head():
    acquisition = scan(rows=256, columns=256, pixel_mm=0.94)
    head = np.full(acquisition.geometry.shape, -1000, np.float32)
    head[:, 90:160, 90:160] = 30

    held = with_holder(head.copy(), acquisition.geometry, (0, 0, 0), np.random.default_rng(1))

    assert np.array_equal(held[:, 90:160, 90:160], head[:, 90:160, 90:160])
    assert held.max() > 100
    assert np.mean(held > -900) < 0.6


def test_any_scan_of_a_head_begins_at_the_foramen_magnum_and_ends_in_the_air_above():
    head = make_head(np.random.default_rng(3))
    for number, (tilt, unequal, thickness) in enumerate([(0, False, 5), (20, True, 5), (-15, False, 1.25)]):
        spec = PhantomSpec(seed=3, tilt_deg=tilt, unequal=unequal, thickness_mm=thickness, matrix=128)
        acquisition = draw_acquisition(head, spec, np.random.default_rng(number))
        geometry = acquisition.geometry
        ends = (
            acquisition.pose.to_patient(np.array([[0, 27, -66], [0, 6, head.shell.semi_mm[2] + 13]])) @ geometry.normal
        )

        assert geometry.positions_mm[0] <= ends[0] < geometry.positions_mm[0] + 2 * thickness
        assert geometry.positions_mm[-2] <= ends[1] + 0.01
        assert ends[1] <= geometry.positions_mm[-1] + 0.01
        assert geometry.is_unequal == unequal


def test_a_matrix_that_the_artefacts_cannot_follow_is_refused():
    with pytest.raises(ConfigError, match="matrix of 100"):
        replace(PhantomSpec(seed=1), matrix=100)
