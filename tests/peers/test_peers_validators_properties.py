"""Any mask in any header that we have seen: valid objects with the true volume, or a sentence that says why not."""

from datetime import datetime
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from ichnode.domain.errors import Rejected
from ichnode.domain.outputs import ObjectKind
from ichnode.domain.profile import USUAL, Profile, SegForm
from ichnode.domain.values import Expansion, ModelIdentity
from ichnode.findings.describe import describe
from ichnode.findings.measure import measure
from ichnode.image.load import load_series
from ichnode.report import codes, gate
from ichnode.report.accord import check_together
from ichnode.report.build import build_not_analysed, build_result
from ichnode.report.inputs import Installation, Source
from ichnode.report.tree_rules import name_of
from tests.peers.judges import DCIODVFY
from tests.peers.spoil import every
from tests.peers.traps import COLUMNS, REJECTED, ROWS, SLICES, STACKS, TRAPS, series

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of headers as dirty as these
AT = datetime(2026, 1, 5, 8, 20, 11)
HERE = Installation(device_serial="ICHNODE-0001", node_version="0.1.0")
MODEL = ModelIdentity(name="ich-small", version="0.1.0", sha256="0123456789abcdef" * 4)
WITHOUT_PICTURES = (
    Profile(kinds=frozenset({ObjectKind.SEG, ObjectKind.SR, ObjectKind.KOS})),
    Profile(seg=SegForm.LABELMAP, kinds=frozenset({ObjectKind.SEG, ObjectKind.SR})),
)
THEIRS = ("PatientName", "StudyDescription", "SpecificCharacterSet", "PatientID")  # go over as they came
LABEL_MAP_UNKNOWN = "Referenced SOP Class that is not segmentation"
SIZES = {"few": 3, "many": 60}

frugal = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@st.composite
def masks(draw):
    """(Z, Y, X) bool: the shapes that make readers and writers stumble."""
    kind = draw(st.sampled_from(["empty", "one", "all", "few", "many", "border", "slice", "first", "last", "box"]))
    mask = np.zeros((SLICES, ROWS, COLUMNS), bool)
    noise = np.random.default_rng(draw(st.integers(0, 2**16)))
    if kind == "all":
        mask[:] = True
    elif kind == "one":
        mask[tuple(noise.integers(0, mask.shape))] = True
    elif kind in SIZES:  # single voxels and small blocks, of which none touches another
        places = np.argwhere(np.ones((SLICES // 2, ROWS // 4, COLUMNS // 4)))
        for z, y, x in noise.permutation(places)[: SIZES[kind]] * (2, 4, 4):
            mask[z, y : y + noise.integers(1, 4), x : x + noise.integers(1, 4)] = True
    elif kind == "border":
        mask[:, :2], mask[:, :, -2:] = True, True
    elif kind in ("slice", "first", "last"):
        index = {"first": 0, "last": SLICES - 1}.get(kind, int(noise.integers(1, SLICES - 1)))
        mask[index, 10:25, 8:20] = noise.random((15, 12)) < 0.7
    elif kind == "box":
        corner = noise.integers(0, (SLICES - 1, ROWS - 4, COLUMNS - 4))
        mask[corner[0] : corner[0] + 5, corner[1] : corner[1] + 12, corner[2] : corner[2] + 9] = True
    return mask


def received(stack: str, mask, traps):
    """The images as the node reads them, with the traps in them."""
    images = series(STACKS[stack], mask)
    for trap in traps:
        trap(images)
    return images


def built(images, mask, profiles):
    volume = load_series(images)
    expansion = Expansion(probability=0.4, threshold=0.5, trained_on_patients=True) if mask.any() else None
    findings = describe(volume, measure(volume, mask, MODEL, expansion))
    return build_result(Source(datasets=tuple(images), volume=volume), findings, HERE, AT, (), profiles)


def judged(objects, folder):
    """The objects as a PACS gets them: checked one by one, together and by dciodvfy, then read again."""
    paths = []
    for number, one in enumerate(objects):
        gate.check(one.dataset)
        paths.append(folder / f"{number}.dcm")
        paths[-1].write_bytes(gate.encode(one.dataset))
    check_together([one.dataset for one in objects])
    for path, errors in DCIODVFY(paths).items():
        ours = [e for e in errors if not any(f"</{name}(" in e for name in THEIRS) and LABEL_MAP_UNKNOWN not in e]
        assert ours == [], path.name
    return [dcmread(BytesIO(path.read_bytes())) for path in paths]


def stated_ml(report) -> tuple[float, list[float]]:
    """The volume of all lesions, and that of each, as a report gives them."""
    groups = [item for item in every(report) if name_of(item) == "125007"]
    by_segment: dict[bool, list[float]] = {True: [], False: []}
    for group in groups:
        has_segment = any(name_of(item) == "121191" for item in group.ContentSequence)
        for item in group.ContentSequence:
            if name_of(item) == codes.VOLUME.value and not _is_ellipsoid(item):
                by_segment[has_segment].append(float(item.MeasuredValueSequence[0].NumericValue))
    return sum(by_segment[False]), by_segment[True]


def _is_ellipsoid(item) -> bool:
    """Whether a volume is that of ABC/2, which is no sum of voxels."""
    return any(
        item.get("ConceptCodeSequence") and item.ConceptCodeSequence[0].CodeValue == codes.ABC2.value
        for item in item.get("ContentSequence", ())
    )


def drawn_ml(seg, voxels_ml, images) -> float:
    """Marked pixels of every frame, each with the true volume of a voxel of the slice where the frame says it lies."""
    heights = [float(image.ImagePositionPatient[2]) for image in images]
    pixels, total = seg.pixel_array.reshape(-1, ROWS, COLUMNS), 0.0
    for frame, group in zip(pixels, seg.PerFrameFunctionalGroupsSequence, strict=True):
        height = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        total += np.count_nonzero(frame) * voxels_ml[int(np.abs(np.subtract(heights, height)).argmin())]
    return float(total)


def check_volumes(objects, stack, mask, images):
    true_ml = float(mask.sum(axis=(1, 2)) @ STACKS[stack].voxels_ml)
    segs = [one for one in objects if one.Modality == "SEG"]
    reports = [one for one in objects if one.Modality == "SR"]
    assert bool(segs) == bool(mask.any())
    assert reports
    for seg in segs:
        assert drawn_ml(seg, STACKS[stack].voxels_ml, images) == pytest.approx(true_ml, rel=1e-6)
    for report in reports:
        total, lesions = stated_ml(report)
        assert total == pytest.approx(true_ml, abs=0.006)
        assert sum(lesions) == pytest.approx(true_ml, abs=0.006 + 0.005 * len(lesions))


@given(mask=masks(), stack=st.sampled_from(sorted(STACKS)), traps=st.sets(st.sampled_from(sorted(TRAPS)), max_size=3))
@settings(frugal, max_examples=20)
def test_any_mask_in_any_header_gives_valid_objects_with_the_true_volume(mask, stack, traps, tmp_path):
    images = received(stack, mask, [TRAPS[name] for name in sorted(traps)])

    objects = judged(built(images, mask, WITHOUT_PICTURES), tmp_path)

    check_volumes(objects, stack, mask, images)


@given(mask=masks(), stack=st.sampled_from(sorted(STACKS)))
@settings(frugal, max_examples=2)
def test_so_it_is_with_the_pictures(mask, stack, tmp_path):
    images = received(stack, mask, [])
    check_volumes(judged(built(images, mask, (USUAL,)), tmp_path), stack, mask, images)


@pytest.mark.parametrize("name", TRAPS)
def test_each_trap_alone_gives_valid_objects(name, tmp_path):
    mask = np.zeros((SLICES, ROWS, COLUMNS), bool)
    mask[4:7, 10:20, 12:22] = True
    images = received("plain", mask, [TRAPS[name]])

    check_volumes(judged(built(images, mask, WITHOUT_PICTURES[:1]), tmp_path), "plain", mask, images)


@pytest.mark.parametrize("name", REJECTED)
def test_what_cannot_be_one_volume_is_rejected_in_a_sentence_and_reported_so(name, tmp_path):
    images = received("plain", np.zeros((SLICES, ROWS, COLUMNS), bool), [REJECTED[name][0], TRAPS["GB18030"]])

    with pytest.raises(Rejected, match=REJECTED[name][1]) as refusal:
        load_series(images)

    sentence = str(refusal.value)
    assert sentence.endswith(".")
    assert len(sentence.split()) >= 5
    [report, *_] = judged(build_not_analysed(images, sentence, [], HERE, AT), tmp_path)
    assert any(sentence[:40] in str(item.get("TextValue")) for item in every(report))
