"""Which part is which, growth, and the earlier scan in the later one's plane; the motion is given."""

from dataclasses import replace

import numpy as np
import pytest

from ichnode.domain.followup import Baseline, Tracked
from ichnode.domain.geometry import Geometry
from ichnode.domain.outputs import Reference
from ichnode.domain.values import FrameSource, ModelIdentity, Volume
from ichnode.findings.followup import before, growth_since, tracked
from ichnode.findings.measure import measure
from ichnode.findings.registration import Motion
from ichnode.findings.space import coarse, indices_of, places_mm, sampled

MODEL = ModelIdentity(name="w", version="1", sha256="0" * 64)
STILL = Motion(matrix=np.eye(3), shift_mm=np.zeros(3), overlap=1, correlation=1)
SHAPE = (12, 40, 40)


def stack(*, tilt: float = 0.0, gap: float = 5.0, unequal: bool = False, at: tuple[float, float, float] = (0, 0, 0)):
    """A stack of 12 slices of 40 x 40 pixels of 2 mm; ``tilt`` degrees of lean."""
    angle, heights = np.radians(tilt), np.arange(SHAPE[0]) * gap
    if unequal:
        heights = heights * np.linspace(0.6, 1.4, SHAPE[0])
    return Geometry(
        origins_mm=np.array(at) + heights[:, None] * np.array([0.0, 0.0, 1.0]),
        row_cosine=np.array([1.0, 0, 0]),
        column_cosine=np.array([0, np.cos(angle), np.sin(angle)]),
        row_spacing_mm=2.0,
        column_spacing_mm=2.0,
        rows=SHAPE[1],
        columns=SHAPE[2],
    )


def ball(geometry: Geometry, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """(Z, Y, X) bool, in the patient's own space."""
    places = places_mm(np.argwhere(np.ones(geometry.shape, bool)).astype(float), geometry)
    return (np.linalg.norm(places - centre, axis=1) < radius).reshape(geometry.shape)


def volume(geometry: Geometry, mask: np.ndarray) -> Volume:
    sources = tuple(FrameSource(sop_instance_uid=f"1.{n}") for n in range(geometry.shape[0]))
    return Volume(hu=np.where(mask, 60, 30).astype(np.int16), geometry=geometry, sources=sources)


def found(geometry: Geometry, *balls: tuple[tuple[float, float, float], float]):
    """Findings of some balls of blood."""
    mask = np.any([ball(geometry, *one) for one in balls], axis=0)
    return measure(volume(geometry, mask), mask, MODEL)


def named(findings) -> Tracked:
    """Findings as their segmentation would be read back."""
    names = {lesion.number: (f"ICH {lesion.number}", f"2.25.{lesion.number}") for lesion in findings.lesions}
    return Tracked(labels=findings.labels, tracking=names)


def uids(findings) -> list[str | None]:
    return [lesion.tracking_uid for lesion in findings.lesions]


LEFT, RIGHT, BACK = (22.0, 30.0, 30.0), (56.0, 30.0, 30.0), (40.0, 66.0, 30.0)
HERE = stack()


def test_each_part_keeps_its_name_though_their_order_by_size_has_turned():
    earlier = found(HERE, (LEFT, 12), (RIGHT, 9))
    later = found(HERE, (LEFT, 10), (RIGHT, 15))
    assert uids(tracked(later, HERE, named(earlier), HERE, STILL)) == ["2.25.2", "2.25.1"]


def test_a_new_part_gets_a_number_that_was_not_in_use_and_a_name_of_its_own():
    earlier = found(HERE, (LEFT, 9), (RIGHT, 8))
    later = tracked(found(HERE, (BACK, 13), (LEFT, 9), (RIGHT, 8)), HERE, named(earlier), HERE, STILL)
    assert [(one.tracking_id, one.tracking_uid) for one in later.lesions] == [
        ("ICH 3", None),
        ("ICH 1", "2.25.1"),
        ("ICH 2", "2.25.2"),
    ]


def test_parts_that_grew_together_keep_the_name_of_the_larger():
    earlier = found(HERE, ((26.0, 30.0, 30.0), 9), ((48.0, 30.0, 30.0), 12))
    later = found(HERE, ((26.0, 30.0, 30.0), 12), ((48.0, 30.0, 30.0), 14))
    assert len(later.lesions) == 1
    assert uids(tracked(later, HERE, named(earlier), HERE, STILL)) == ["2.25.1"]


def test_the_largest_overlap_is_paired_first_whatever_else_is_touched():
    earlier = found(HERE, ((26.0, 30.0, 30.0), 12), ((58.0, 30.0, 30.0), 10))
    later = found(HERE, ((52.0, 30.0, 30.0), 19), ((20.0, 30.0, 30.0), 8))  # the first reaches into both
    assert uids(tracked(later, HERE, named(earlier), HERE, STILL)) == ["2.25.2", "2.25.1"]


def test_of_a_part_that_fell_apart_the_larger_remnant_keeps_the_name():
    earlier = found(HERE, ((30.0, 30.0, 30.0), 12), ((48.0, 30.0, 30.0), 12))
    later = tracked(found(HERE, ((26.0, 30.0, 30.0), 6), ((52.0, 30.0, 30.0), 8)), HERE, named(earlier), HERE, STILL)
    assert [(one.tracking_id, one.tracking_uid) for one in later.lesions] == [("ICH 1", "2.25.1"), ("ICH 2", None)]


@pytest.mark.parametrize("there", [stack(tilt=20.0), stack(gap=3.5), stack(unequal=True), stack(at=(-6, 4, -9))])
def test_parts_are_matched_where_they_are_in_the_patient_whatever_the_stacks(there):
    earlier = found(there, (LEFT, 9), (RIGHT, 11))
    later = found(HERE, (LEFT, 11), (RIGHT, 9))
    assert uids(tracked(later, HERE, named(earlier), there, STILL)) == ["2.25.2", "2.25.1"]


def test_the_motion_of_the_head_is_undone_before_parts_are_matched():
    """The head was turned by half: what was left of the middle is right of it."""
    turned = Motion(matrix=np.diag([-1.0, -1.0, 1.0]), shift_mm=np.array([78.0, 60.0, 0]), overlap=1, correlation=1)
    earlier = found(HERE, (LEFT, 12), (RIGHT, 9))
    later = found(HERE, (LEFT, 9), (RIGHT, 12))
    assert uids(tracked(later, HERE, named(earlier), HERE, STILL)) == ["2.25.2", "2.25.1"]
    assert uids(tracked(later, HERE, named(earlier), HERE, turned)) == ["2.25.1", "2.25.2"]


@pytest.mark.parametrize("there", [HERE, stack(tilt=20.0), stack(gap=3.5)])
def test_the_earlier_scan_stands_in_the_plane_of_the_later_ones_slice(there):
    earlier = found(there, (LEFT, 12))
    section = before(HERE, 6, volume(there, earlier.mask), named(earlier), STILL)
    truth = ball(HERE, LEFT, 12)[6]
    assert section.hu.shape == section.mask.shape == truth.shape
    dice = 2 * (section.mask & truth).sum() / (section.mask.sum() + truth.sum())
    assert dice > 0.88  # slices of 5 mm: a ball's edge moves between them
    assert section.hu[truth & section.mask].mean() > 50
    assert section.hu[~truth & ~section.mask & (section.hu > -500)].mean() < 35


def test_beyond_the_earlier_scan_there_is_air():
    earlier = found(HERE, (LEFT, 12))
    far = replace(STILL, shift_mm=np.array([0, 0, 500.0]))
    section = before(HERE, 6, volume(HERE, earlier.mask), named(earlier), far)
    assert (section.hu == -1024).all()
    assert not section.mask.any()


BASELINE = Baseline(
    study_instance_uid="1.1",
    acquired_at=1000.0,
    volume_ml=10.0,
    paths=(),
    report=Reference(sop_class_uid="1", sop_instance_uid="2", series_instance_uid="3"),
    earlier=((1000.0, 10.0), (8200.0, 12.0)),
)


@pytest.mark.parametrize(("ml", "said"), [(13.2, False), (13.3, True), (16.0, True), (7.0, False)])
def test_growth_is_told_in_ml_in_percent_and_by_the_definition(ml, said):
    growth = growth_since(BASELINE, ml, 1000.0 + 24 * 3600)
    assert (growth.hours, growth.expanded) == (24.0, said)
    assert growth.growth_ml == pytest.approx(ml - 10)
    assert growth.growth_percent == pytest.approx(10 * (ml - 10))


def test_the_curve_begins_with_the_first_scan_and_ends_with_this_one():
    assert growth_since(BASELINE, 13.0, 1000.0 + 24 * 3600).history == ((0.0, 10.0), (2.0, 12.0), (24.0, 13.0))


def test_places_and_voxels_are_each_others_inverse_in_a_leaning_unequal_stack():
    geometry = stack(tilt=17.0, unequal=True)
    indices = np.random.default_rng(0).uniform(0, 1, (200, 3)) * (np.array(SHAPE) - 1)
    indices[:, 0] = indices[:, 0].round()
    assert indices_of(places_mm(indices, geometry), geometry) == pytest.approx(indices, abs=1e-9)


def test_half_a_gap_beyond_the_last_slice_belongs_to_it_and_no_more():
    values = np.ones(SHAPE, np.float32)
    ends = np.array([[20, 20, 55 + 2.4], [20, 20, 55 + 2.6], [20, 20, -2.4], [20, 20, -2.6]], float)
    assert sampled(values, HERE, ends, fill=7).tolist() == [1, 7, 1, 7]


def test_coarse_blocks_lie_where_their_voxels_lay():
    geometry = stack(tilt=17.0)
    ramp = (places_mm(np.argwhere(np.ones(SHAPE, bool)).astype(float), geometry) @ [1.0, 2.0, 0.5]).reshape(SHAPE)
    means, blocks = coarse(ramp.astype(np.float32), geometry, 6.0)
    there = places_mm(np.argwhere(np.ones(means.shape, bool)).astype(float), blocks) @ [1.0, 2.0, 0.5]
    assert means.shape == (12, 13, 13)
    assert means.ravel() == pytest.approx(there, abs=1e-3)
