"""Each gate is seen to open and to shut: on a real head, on phantoms, and on both damaged on purpose."""

import time
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from pydicom.dataset import Dataset
from scipy import ndimage

from ichnode.cohort.read import read_case
from ichnode.cohort.table import Card, Case
from ichnode.domain.flags import Flag
from ichnode.domain.geometry import Geometry
from ichnode.domain.values import FrameSource, Volume
from ichnode.findings.gates import skull
from ichnode.findings.gates.headers import NOTHING_STATED, Stated, stated
from ichnode.findings.gates.judge import doubts_of_images
from ichnode.findings.gates.rules import GateRules, sources_of_gate_rules
from ichnode.findings.gates.sight import look
from ichnode.image.load import load_series, read_datasets
from ichnode.phantom.make import make_phantom
from ichnode.phantom.spec import PhantomSpec

CLIPPED = Card(name="phe-sich", description="Plain head CT.", source="s", licence="l", clipped_hu=(-20, 100))
KNOWN_OF_THE_REAL_HEAD = {Flag.QF_TILT, Flag.QF_UNEQUAL, Flag.QF_THICK}


@pytest.fixture(scope="session")
def real_head(real_data):
    files = sorted(path for path in (real_data / "dicom" / "ge-tilt").rglob("*") if path.is_file())
    return load_series(read_datasets(files))


@cache
def phantom(**options):
    return make_phantom(PhantomSpec(seed=7, matrix=256, **options)).volume


def doubts(volume, stated=NOTHING_STATED):
    return {doubt.flag: doubt.evidence for doubt in doubts_of_images(volume, look(volume), stated)}


def with_hu(volume, hu):
    return replace(volume, hu=np.clip(hu, -1024, 3071).astype(np.int16))


def part(volume, slices):
    geometry = replace(volume.geometry, origins_mm=volume.geometry.origins_mm[slices])
    return replace(volume, hu=volume.hu[slices], sources=volume.sources[slices], geometry=geometry)


def coordinates_mm(volume, k):
    """Rows and columns of a slice as mm from the middle of its cavity."""
    sight = look(volume)
    at = int(np.flatnonzero((sight.slabs[:, 0] <= k) & (k <= sight.slabs[:, 1]))[0])
    middle = np.array(ndimage.center_of_mass(sight.cavity[at])) * sight.pixel_mm
    geometry = volume.geometry
    rows = np.arange(geometry.rows)[:, None] * geometry.row_spacing_mm - middle[0]
    columns = np.arange(geometry.columns)[None, :] * geometry.column_spacing_mm - middle[1]
    return rows, columns


def test_the_real_head_bears_its_tilt_and_its_gaps_in_figures_and_nothing_else(real_head):
    found = doubts(real_head, Stated(thickness_mm=(4.0, 7.0)))

    assert found == {
        Flag.QF_TILT: "leans by 19 degrees",
        Flag.QF_UNEQUAL: "gaps of 1.08 to 7 mm",
        Flag.QF_THICK: "slices of 4 to 7 mm",
    }


@pytest.mark.parametrize("options", [{}, {"tilt_deg": 14.0, "unequal": True}, {"thickness_mm": 1.0}])
def test_a_whole_phantom_head_bears_only_what_its_stack_is(options):
    assert doubts(phantom(**options)).keys() <= {Flag.QF_TILT, Flag.QF_UNEQUAL, Flag.QF_THICK}


def test_thickness_without_a_header_is_that_of_the_gaps():
    thick = phantom(thickness_mm=7.5)

    assert doubts(thick)[Flag.QF_THICK] == "slices of 7.5 mm"


def test_slices_that_never_came_are_counted():
    volume = phantom()
    volume = replace(volume, flags=volume.flags | {Flag.QF_MISSING})

    assert doubts(volume, Stated(missing=2))[Flag.QF_MISSING] == "2 slices not received, gaps of up to 5 mm"


def test_a_flag_of_the_volume_without_a_gate_is_passed_on():
    assert Flag.QF_HEADER in doubts(replace(phantom(), flags=frozenset({Flag.QF_HEADER})))


@pytest.mark.parametrize("cut", [4, 6, 8])
def test_a_missing_vertex_is_told_in_mm(cut):
    whole = phantom()
    last = int(np.flatnonzero(look(whole).areas_cm2)[-1])
    missing_mm = 5.0 * cut

    said = doubts(part(whole, slice(0, last + 1 - cut)))[Flag.QF_COVERAGE]

    assert said.startswith("vertex missing, about ")
    assert abs(float(said.split()[3]) - missing_mm) <= 10


@pytest.mark.parametrize("cut", [4, 6])
def test_a_missing_skull_base_is_told_in_mm(cut):
    whole = phantom()
    first = int(np.flatnonzero(look(whole).areas_cm2 > 4)[0])

    said = doubts(part(whole, slice(first + cut, None)))[Flag.QF_COVERAGE]

    assert said.startswith("skull base missing, about ")
    assert abs(float(said.split()[4]) - 5.0 * cut) <= 10


def test_a_head_at_the_edge_of_the_picture_is_told(real_head):
    aside = np.full_like(real_head.hu, -1000)
    aside[:, :, :-130] = real_head.hu[:, :, 130:]

    assert "at the edge of the picture" in doubts(with_hu(real_head, aside))[Flag.QF_COVERAGE]


@pytest.mark.parametrize(("agent", "given"), [("Omnipaque 300", True), ("NONE", False), ("no contrast", False)])
def test_a_contrast_agent_of_the_header_is_told_but_not_named(agent, given):
    header = Dataset()
    header.ContrastBolusAgent = agent
    header.SliceThickness = "5.0"

    read = stated([header])

    assert read.thickness_mm == (5.0,)
    assert (Flag.QF_CONTRAST in doubts(phantom(), read)) == given
    assert agent not in doubts(phantom(), read).get(Flag.QF_CONTRAST, "")


def test_the_agent_of_an_enhanced_image_stands_in_its_sequence():
    header, item, group, measures = Dataset(), Dataset(), Dataset(), Dataset()
    item.CodeMeaning = "Iohexol"
    measures.SliceThickness = "1.25"
    header.ContrastBolusAgentSequence = [item]
    group.PixelMeasuresSequence = [measures]
    header.SharedFunctionalGroupsSequence = [group]

    assert stated([header], missing=3) == Stated(contrast_agent="Iohexol", thickness_mm=(1.25,), missing=3)


def painted(volume, hu, *, wide_mm, long_mm, slices=1):
    """The volume with a bar of ``hu`` through the middle of its brain, from side to side and front to back."""
    out = volume.hu.astype(np.float32)
    for k in range(13, 13 + slices):
        rows, columns = coordinates_mm(volume, k)
        out[k][(abs(rows) < long_mm / 2) & (abs(columns) < wide_mm / 2)] = hu
    return with_hu(volume, out)


def test_an_arterial_tree_is_as_dense_as_contrast_medium(real_head):
    said = doubts(painted(real_head, 280, wide_mm=70, long_mm=5))[Flag.QF_VESSELS]

    assert "connected over 7" in said


@pytest.mark.parametrize(
    ("hu", "wide_mm", "long_mm"),
    [
        pytest.param(70, 60, 30, id="clot"),
        pytest.param(400, 4, 60, id="falx"),
        pytest.param(900, 15, 15, id="choroid"),
    ],
)
def test_clot_and_calcium_are_no_vessels(real_head, hu, wide_mm, long_mm):
    assert Flag.QF_VESSELS not in doubts(painted(real_head, hu, wide_mm=wide_mm, long_mm=long_mm, slices=3))


def test_where_hu_were_cut_off_vessels_are_not_judged(real_head):
    vessels = painted(real_head, 280, wide_mm=70, long_mm=5)
    clipped = np.where(vessels.hu >= 100, 1000, np.where(vessels.hu <= -20, -1000, vessels.hu))

    assert Flag.QF_VESSELS not in doubts(with_hu(vessels, clipped))


def test_a_piece_of_metal_is_told_with_its_slices(real_head):
    hu = real_head.hu.astype(np.float32)
    for k in (13, 14):
        rows, columns = coordinates_mm(real_head, k)
        hu[k][np.hypot(rows, columns - 30) < 4] = 3071

    said = doubts(with_hu(real_head, hu))[Flag.QF_METAL]

    assert "above 2500 HU, slices 14 to 15" in said


def test_streaks_are_told_with_the_share_of_the_brain_that_they_cross(real_head):
    hu = real_head.hu.astype(np.float32)
    rows, columns = coordinates_mm(real_head, 14)
    hu[14] += 200 * np.sin(24 * np.arctan2(rows, columns - 40)) * (np.hypot(rows, columns - 40) > 4)

    said = doubts(with_hu(real_head, hu))[Flag.QF_METAL]

    assert said.startswith("streaks: ")
    assert said.endswith("slice 15")


def test_a_head_that_jumps_between_two_slices_is_told(real_head):
    hu = real_head.hu.copy()
    hu[16:] = np.roll(hu[16:], 14, axis=2)  # 7 mm

    said = doubts(with_hu(real_head, hu))[Flag.QF_MOTION]

    assert said.startswith("the head jumps by ")
    assert abs(float(said.split()[4]) - 7) <= 1.5


def test_a_head_that_turns_between_two_slices_is_told():
    hu = phantom().hu.copy()
    half = len(hu) // 2
    hu[half:] = ndimage.rotate(hu[half:], 10, axes=(2, 1), reshape=False, order=1, mode="nearest")

    said = doubts(with_hu(phantom(), hu))[Flag.QF_MOTION]

    assert "the head turns by 1" in said or "the head turns by 9" in said


def test_a_head_that_moves_while_a_slice_is_taken_is_seen_twice(real_head):
    hu = real_head.hu.astype(np.float32)
    hu[20] = (hu[20] + np.roll(hu[20], 24, axis=1)) / 2  # half of the projections before a move of 12 mm

    said = doubts(with_hu(real_head, hu))[Flag.QF_MOTION]

    assert "the skull is seen twice" in said
    assert said.endswith("slice 21")


def test_a_lacking_bone_flap_is_told_and_a_whole_skull_is_not():
    said = doubts(phantom(craniotomy=True))

    assert said[Flag.QF_BONEGAP].startswith("no bone over ")
    assert Flag.QF_BONEGAP not in doubts(phantom())


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("0048", {Flag.QF_BONEGAP: "no bone over 40 mm of the skull, slices 15 to 20"}),  # a craniectomy
        ("0099", {Flag.QF_COVERAGE: "skull base missing, about 21 mm"}),  # begins amid the cerebellum
        ("0001", {}),
    ],
)
def test_real_patients_bear_what_a_reader_sees(real_data, name, said):
    ct = real_data / "phe-sich" / "train" / f"{name}_ct.nii.bz2"
    case = Case(name=name, patient=name, split="train", ct=ct, mask=None)
    found = doubts(read_case(case, CLIPPED).volume)

    assert found.items() >= said.items()
    assert found.keys() <= {*said, Flag.QF_COVERAGE} if said else found == {}


def test_without_a_vault_there_are_no_rays():
    rays = skull.rays_of(look(torso()))

    assert len(skull.seen_twice(rays)) == len(rays.slabs)


def torso():
    """A chest: soft tissue 350 mm wide, lungs, spine and ribs."""
    size, spacing, slices = 128, 3.5, 30
    rows = (np.arange(size)[:, None] - size / 2) * spacing
    columns = (np.arange(size)[None, :] - size / 2) * spacing
    plane = np.full((size, size), -1000, np.float32)
    plane[(rows / 120) ** 2 + (columns / 175) ** 2 < 1] = 50
    for side in (-1, 1):
        plane[(rows / 80) ** 2 + ((columns - side * 85) / 60) ** 2 < 1] = -850
    plane[(np.hypot(rows - 70, columns) < 20)] = 500
    ring = (rows / 110) ** 2 + (columns / 165) ** 2
    ribs = (ring > 0.92) & (ring < 1) & (np.sin(8 * np.arctan2(rows, columns)) > 0.3)
    plane[ribs] = 600
    geometry = Geometry(
        origins_mm=np.array([[0.0, 0.0, 5.0 * k] for k in range(slices)]),
        row_cosine=np.array([1.0, 0, 0]),
        column_cosine=np.array([0, 1.0, 0]),
        row_spacing_mm=spacing,
        column_spacing_mm=spacing,
        rows=size,
        columns=size,
    )
    sources = tuple(FrameSource(sop_instance_uid=f"1.{k}") for k in range(slices))
    return Volume(hu=np.repeat(plane[None].astype(np.int16), slices, 0), geometry=geometry, sources=sources)


def test_a_chest_is_no_head():
    assert Flag.QF_HEAD in doubts(torso())


def test_a_plastic_skull_is_no_head(real_data):
    files = sorted(path for path in (real_data / "dicom" / "philips-study" / "S2010").rglob("*") if path.is_file())

    assert "bone surrounds soft tissue over 0 mm" in doubts(load_series(read_datasets(files)))[Flag.QF_HEAD]


def test_a_skull_filled_with_water_is_no_head(real_head):
    hull = look(real_head).hull
    water = np.repeat(np.repeat(hull, 4, axis=1), 4, axis=2)
    hu = np.where(water, 0, real_head.hu)

    assert doubts(with_hu(real_head, hu))[Flag.QF_HEAD] == "what the skull encloses has 0 HU"


@pytest.mark.parametrize("turn", [lambda hu: hu[:, ::-1], lambda hu: hu[:, :, ::-1]], ids=["up-down", "left-right"])
def test_doubts_do_not_depend_on_how_the_head_lies(real_head, turn):
    found = doubts(with_hu(real_head, turn(real_head.hu)))

    assert found.keys() == KNOWN_OF_THE_REAL_HEAD


def test_every_threshold_says_where_it_comes_from():
    sources = sources_of_gate_rules()

    assert sources.keys() == set(GateRules.__dataclass_fields__)
    assert all(sources.values())


def test_all_gates_of_the_images_take_less_than_a_second(real_head):
    started = time.process_time()
    doubts(real_head)

    assert time.process_time() - started < 1
