"""A segmentation read back gives the parts that went into it, on every kind of source."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread

from ichnode.domain.errors import Rejected
from ichnode.domain.outputs import ObjectKind
from ichnode.domain.profile import Profile, SegForm
from ichnode.report.build import build_result
from ichnode.report.gate import encode
from ichnode.report.seg_read import read_tracked


def in_two_parts(case):
    """The case with its bleed cut in two: the parts alternate in number from those of the stack's order."""
    labels = case.findings.labels.copy()
    labels[: case.findings.key_slice][labels[: case.findings.key_slice] > 0] = 2
    first = case.findings.lesions[0]
    lesions = (first, replace(first, number=2, tracking_id="ICH 7", tracking_uid="2.25.7"))
    return replace(case, findings=replace(case.findings, labels=labels, lesions=lesions))


def written(case, installation, at, form=SegForm.BINARY):
    """The segmentation as a file has it."""
    objects = build_result(case.source, case.findings, installation, at, (), [Profile(seg=form)])
    [seg] = [one.dataset for one in objects if one.kind is ObjectKind.SEG]
    return dcmread(BytesIO(encode(seg)))


@pytest.mark.parametrize("form", list(SegForm))
def test_parts_and_their_tracking_come_back_from_every_kind_of_source(any_case, installation, at, form):
    case = in_two_parts(any_case)
    found = read_tracked(written(case, installation, at, form), case.source.volume)
    assert (found.labels == case.findings.labels).all()
    assert found.tracking[2] == ("ICH 7", "2.25.7")
    assert found.tracking[1][0] == "ICH 1"
    assert set(found.tracking) == {1, 2}


def test_a_segmentation_of_other_images_is_refused(make_case, installation, at):
    seg = written(make_case("axial"), installation, at)
    with pytest.raises(Rejected, match="does not fit"):
        read_tracked(seg, make_case("tilted").source.volume)


def test_a_segmentation_of_another_matrix_is_refused(make_case, installation, at):
    case = make_case("axial")
    volume = case.source.volume
    half = replace(volume.geometry, rows=volume.geometry.rows // 2)
    smaller = replace(volume, hu=np.ascontiguousarray(volume.hu[:, : half.rows]), geometry=half)
    with pytest.raises(Rejected, match="another matrix"):
        read_tracked(written(case, installation, at), smaller)
