"""A haematoma described: its side, its markers and BAT, the same however the picture lies in the file."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import ichnode.demo
from ichnode.domain.markers import MarkerName
from ichnode.domain.values import Laterality, Onset
from ichnode.findings.describe import describe
from ichnode.findings.midline import find_midline, other_side_hu
from ichnode.image.load import load_series, read_datasets
from tests.unit.findings.clots import BRAIN_HU, Head, measured

HEAD_CT = Path(ichnode.demo.__file__).parent / "head-ct"


@pytest.fixture(scope="module")
def head():
    """A bleed on the left with a black hole, a blend and a bay."""
    head = Head()
    head.hu[head.disk(0, -6, 4)] -= 42
    head.hu[head.mask & (head.y > 9)] -= 27
    return head


def told(volume, findings, **options):
    described = describe(volume, findings, **options)
    return described, {marker.name: marker.present for marker in described.markers}


def flipped(geometry, hu, mask, *, rows=False, columns=False, swapped=False):
    """The same voxels at the same places of the patient, stored in another order."""
    arrays = [hu, mask]
    if rows:
        arrays = [each[:, ::-1] for each in arrays]
        shift = (geometry.rows - 1) * geometry.row_spacing_mm * geometry.column_cosine
        geometry = replace(
            geometry, origins_mm=(geometry.origins_mm + shift)[::-1], column_cosine=-geometry.column_cosine
        )
        arrays = [each[::-1] for each in arrays]
    if columns:
        arrays = [each[:, :, ::-1] for each in arrays]
        shift = (geometry.columns - 1) * geometry.column_spacing_mm * geometry.row_cosine
        geometry = replace(geometry, origins_mm=(geometry.origins_mm + shift)[::-1], row_cosine=-geometry.row_cosine)
        arrays = [each[::-1] for each in arrays]
    if swapped:
        arrays = [each.transpose(0, 2, 1)[::-1] for each in arrays]
        geometry = replace(
            geometry,
            origins_mm=geometry.origins_mm[::-1],
            row_cosine=geometry.column_cosine,
            column_cosine=geometry.row_cosine,
            row_spacing_mm=geometry.column_spacing_mm,
            column_spacing_mm=geometry.row_spacing_mm,
            rows=geometry.columns,
            columns=geometry.rows,
        )
    return geometry, *(np.ascontiguousarray(each) for each in arrays)


def same(one, other):
    """Whether two descriptions say the same of the patient."""
    first, second = (
        {marker.name: (marker.present, len(marker.foci)) for marker in each.markers} for each in (one, other)
    )
    assert first == second
    assert one.laterality is other.laterality
    assert (one.size.a_mm, one.size.b_mm, one.size.c_mm) == pytest.approx(
        (other.size.a_mm, other.size.b_mm, other.size.c_mm), rel=1e-3
    )
    assert one.bat == other.bat
    for mine, its in zip(one.markers, other.markers, strict=True):
        if mine.foci:
            assert mine.foci[0].position_mm == pytest.approx(its.foci[0].position_mm, abs=0.1)


FLIPS = [{"rows": True}, {"columns": True}, {"rows": True, "columns": True}, {"swapped": True}]


@pytest.mark.parametrize("flips", FLIPS)
def test_the_order_of_rows_columns_and_slices_changes_nothing(head, flips):
    image = head.image()
    stored, _ = told(*measured(head.geometry, image, head.mask))
    other, present = told(*measured(*flipped(head.geometry, image, head.mask, **flips)))

    same(stored, other)
    assert present[MarkerName.BLACK_HOLE]
    assert present[MarkerName.BLEND]


@pytest.mark.parametrize("flips", FLIPS)
def test_nor_does_it_on_a_real_bleed(real_bleed, flips):
    volume, mask = real_bleed
    stored, present = told(*measured(volume.geometry, volume.hu, mask))
    other, _ = told(*measured(*flipped(volume.geometry, volume.hu, mask, **flips)))

    same(stored, other)
    assert present[MarkerName.HYPODENSITY]


@pytest.mark.parametrize("position", ["HFP", "FFP"])
def test_a_patient_on_the_face_has_the_same_level_in_the_picture(position):
    head = Head()
    head.hu[head.mask & (head.y < -4)] -= 24
    on_the_back, present = told(*measured(head.geometry, head.image(), head.mask), patient_position="HFS")
    turned = replace(head.geometry, row_cosine=-head.geometry.row_cosine, column_cosine=-head.geometry.column_cosine)
    on_the_face, as_well = told(*measured(turned, head.image(), head.mask), patient_position=position)

    assert present[MarkerName.FLUID_LEVEL]
    assert present == as_well
    assert (on_the_back.laterality, on_the_face.laterality) == (Laterality.LEFT, Laterality.RIGHT)


def test_the_order_in_which_slices_are_loaded_changes_nothing():
    datasets = read_datasets(sorted(HEAD_CT.glob("*.dcm")))
    shuffled = [datasets[k] for k in np.random.default_rng(3).permutation(len(datasets))]
    told_of = []
    for series in (datasets, shuffled):
        volume = load_series(series)
        middle = (volume.hu[8:16, 200:300, 200:300] > 25) & (volume.hu[8:16, 200:300, 200:300] < 80)
        mask = np.zeros(volume.hu.shape, bool)
        mask[8:16, 200:300, 200:300] = ndimage.binary_opening(middle, iterations=2)
        told_of.append(describe(*measured(volume.geometry, volume.hu, mask)))

    same(*told_of)


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
def test_a_picture_with_other_pixels_is_read_alike(head, real_bleed, factor):
    volume, marked = real_bleed
    near, within = set(), 0.03
    for geometry, hu, mask in ((head.geometry, head.image(), head.mask), (volume.geometry, volume.hu, marked)):
        first, present = told(*measured(geometry, hu, mask))
        finer_hu = ndimage.zoom(hu.astype(np.float32), (1, factor, factor), order=1, grid_mode=True, mode="nearest")
        share = ndimage.zoom(mask.astype(np.float32), (1, factor, factor), order=1, grid_mode=True, mode="nearest")
        _, rows, columns = finer_hu.shape
        scale = geometry.rows / rows, geometry.columns / columns
        finer = replace(
            geometry,
            rows=rows,
            columns=columns,
            row_spacing_mm=geometry.row_spacing_mm * scale[0],
            column_spacing_mm=geometry.column_spacing_mm * scale[1],
        )

        second, as_well = told(*measured(finer, finer_hu, share >= 0.5))

        assert {name for name in present if present[name] is not as_well[name]} <= near
        assert first.laterality is second.laterality
        assert second.volume_ml == pytest.approx(first.volume_ml, rel=0.03)
        assert (second.size.a_mm, second.size.b_mm) == pytest.approx((first.size.a_mm, first.size.b_mm), rel=within)
        assert second.size.c_mm == pytest.approx(first.size.c_mm, abs=2.5)  # a slice near 25 or 75 % counts by half
        near, within = {MarkerName.IRREGULAR}, 0.15  # two real slices are equally large, one bay 3.0 mm deep


@pytest.mark.parametrize("turned_deg", [-20.0, 0.0, 15.0])
@pytest.mark.parametrize(("side", "called"), [(1, Laterality.LEFT), (-1, Laterality.RIGHT), (0, Laterality.BILATERAL)])
def test_the_side_is_that_of_the_midline_of_the_head_however_it_is_turned(turned_deg, side, called):
    described, _ = told(*Head(side=side, turned_deg=turned_deg, off_mm=22.0).measured())

    assert described.laterality is called


def test_without_a_skull_there_is_no_side_and_no_swirl_to_tell():
    head = Head()
    head.hu[(head.hu > 900) | (head.hu < -900)] = BRAIN_HU

    described, present = told(*head.measured())

    assert described.laterality is None
    assert present[MarkerName.SWIRL] is None


def test_brain_is_measured_on_the_other_side():
    head = Head()
    head.hu[(head.x < -35) & (head.hu == BRAIN_HU)] = 25  # the right hemisphere
    image = head.image()

    assert other_side_hu(head.mask, image, head.geometry, find_midline(image, head.geometry)) == pytest.approx(
        25, abs=1
    )


@pytest.mark.parametrize(("hours", "score"), [(1.0, 5), (6.0, 3), (None, None)])
def test_bat_is_a_number_only_when_onset_is_known(head, hours, score):
    onset = None if hours is None else Onset(hours=hours, source="told")

    described, _ = told(*head.measured(), onset=onset)

    assert (described.bat.score, described.onset) == (score, onset)
    assert (described.bat.low, described.bat.high) == ((3, 5) if score is None else (score, score))


def test_where_nothing_was_found_nothing_is_described():
    head = Head()
    head.mask[:] = False

    described, present = told(*head.measured(), onset=Onset(hours=1.0, source="told"))

    assert (described.size, described.laterality, described.bat, present) == (None, None, None, {})
    assert described.onset is not None


def test_all_of_it_takes_less_than_a_second_for_32_slices(real_bleed):
    volume, mask = real_bleed
    assert len(volume.hu) == 32
    findings = measured(volume.geometry, volume.hu, mask)[1]

    begun = time.process_time()
    describe(volume, findings)

    assert time.process_time() - begun < 1
