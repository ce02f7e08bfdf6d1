"""Our objects in an Orthanc: every form is stored byte for byte, and what it shows of it is no black picture."""

import urllib.error
from datetime import datetime
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from ichnode.domain.outputs import ObjectKind
from ichnode.domain.profile import Profile, ScForm, SegForm, SrForm
from ichnode.domain.values import ModelIdentity
from ichnode.findings.describe import describe
from ichnode.findings.measure import measure
from ichnode.image.load import load_series
from ichnode.report import gate
from ichnode.report.build import build_result
from ichnode.report.inputs import Installation, Source
from tests.peers.judges import LABEL_MAP, REPORTS, SC, SC_MULTI, SEG, class_of
from tests.peers.traps import COLUMNS, ROWS, SLICES, STACKS, series

ALL_KINDS = frozenset(ObjectKind)
FORMS = (
    Profile(kinds=ALL_KINDS),
    Profile(sr=SrForm.COMPREHENSIVE, sc=ScForm.MULTI_FRAME, kinds=ALL_KINDS),
    Profile(sr=SrForm.ENHANCED, kinds=frozenset({ObjectKind.SR})),
    Profile(seg=SegForm.LABELMAP, kinds=frozenset({ObjectKind.SEG, ObjectKind.SR})),
)


@pytest.fixture(scope="module")
def stored(orthanc, tmp_path_factory):
    """The files of a result in every form, each of which Orthanc has taken."""
    mask = np.zeros((SLICES, ROWS, COLUMNS), bool)
    mask[4:8, 10:24, 12:24] = True
    images = series(STACKS["plain"], mask)
    volume = load_series(images)
    findings = describe(volume, measure(volume, mask, ModelIdentity(name="m", version="1", sha256="0" * 64)))
    source = Source(datasets=tuple(images), volume=volume)
    here = Installation(device_serial="ICHNODE-0001", node_version="0.1.0")
    paths = []
    for one in build_result(source, findings, here, datetime(2026, 1, 5), (), FORMS):
        paths.append(tmp_path_factory.mktemp("forms") / "object.dcm")
        paths[-1].write_bytes(gate.encode(one.dataset))
        orthanc.put(paths[-1].read_bytes())
    return paths


def test_every_form_is_stored_with_its_bytes(orthanc, stored):
    assert {class_of(path) for path in stored} == set().union(*(profile.sop_classes for profile in FORMS))
    for path in stored:
        assert orthanc.of_instance(uid_of(path), "file") == path.read_bytes()


def uid_of(path):
    return str(dcmread(path, stop_before_pixels=True).SOPInstanceUID)


def test_pictures_and_label_maps_are_shown_and_are_not_black(orthanc, stored):
    for path in stored:
        if class_of(path) in (SC, SC_MULTI, LABEL_MAP):
            dataset = dcmread(path)
            picture = np.asarray(Image.open(BytesIO(orthanc.of_instance(uid_of(path), "preview"))))
            assert picture.shape[:2] == (dataset.Rows, dataset.Columns)
            assert picture.max() > picture.min(), (class_of(path), path)


def test_reports_and_bit_planes_are_kept_but_not_shown(orthanc, stored):
    """Debian's Orthanc draws no picture of one bit a pixel, whoever made it: this is why there are pages."""
    for path in stored:
        if class_of(path) in {*REPORTS, SEG}:
            with pytest.raises(urllib.error.HTTPError):
                orthanc.of_instance(uid_of(path), "preview")
