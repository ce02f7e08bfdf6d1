"""The gates within the walk of a series: doubts reach the findings, and what a site refuses is told to the PACS."""

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ichnode.analyse import Known, Network, Settings, analyse
from ichnode.domain.flags import Flag
from ichnode.domain.followup import Baseline
from ichnode.domain.markers import MarkerName
from ichnode.domain.outputs import ObjectKind, Reference
from ichnode.domain.profile import USUAL
from ichnode.domain.states import JobState
from ichnode.domain.values import ModelIdentity, Prediction
from ichnode.model.weights import read_card
from ichnode.phantom.dicom import images
from ichnode.phantom.make import make_phantom
from ichnode.phantom.spec import PhantomSpec
from ichnode.report.inputs import Installation

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
CARD = read_card(Path(__file__).parents[3] / "weights" / "ich-zhong2021")
THREE = {"sop_class_uid": "1.2", "sop_instance_uid": "1.3", "series_instance_uid": "1.4"}
SPEC = PhantomSpec(seed=7, matrix=128, craniotomy=True)


class Silent:
    """A network that finds nothing, and counts how often it was asked."""

    name = "silent"

    def __init__(self):
        self.asked = 0

    def predict(self, x):
        self.asked += 1
        model = ModelIdentity(name=CARD.name, version=CARD.version, sha256=CARD.sha256)
        return Prediction(probability=np.zeros_like(x.values), expansion=0.0, geometry=x.geometry, model=model)

    def warm_up(self):
        """Nothing to warm up."""


@pytest.fixture(scope="module")
def datasets():
    return images(make_phantom(SPEC).baseline, SPEC, "baseline")


def settings(**changes):
    return Settings(
        weights=Path("weights"),
        device="cpu",
        threads=1,
        cache=Path("cache"),
        installation=Installation(device_serial="1", node_version="0"),
        profiles=(USUAL,),
        untrained_expansion=False,
        **changes,
    )


def codes_of(tree, concept):
    found = []
    for item in tree.get("ContentSequence", ()):
        name = item.get("ConceptNameCodeSequence")
        if name and name[0].CodeMeaning == concept:
            found.append(item.ConceptCodeSequence[0].CodeValue)
        found += codes_of(item, concept)
    return found


def report_of(result):
    return next(made.dataset for made in result.objects if made.kind == "SR")


def test_doubts_with_their_evidence_reach_findings_and_report(datasets):
    result = analyse(datasets, Network(runtime=Silent(), card=CARD), settings(), at=AT)

    assert result.state is JobState.DONE
    evidence = {doubt.flag: doubt.evidence for doubt in result.findings.doubts}
    assert evidence[Flag.QF_BONEGAP].startswith("no bone over ")
    assert "QF_BONEGAP" in codes_of(report_of(result), "Quality Finding")


def test_a_refused_flag_ends_in_a_report_that_says_why_and_the_network_is_not_asked(datasets):
    network = Network(runtime=Silent(), card=CARD)

    result = analyse(datasets, network, settings(refused=frozenset({Flag.QF_BONEGAP})), at=AT)

    assert result.state is JobState.REJECTED
    assert result.text.startswith("Gap in the skull (no bone over ")
    assert network.runtime.asked == 0
    assert "QF_BONEGAP" in codes_of(report_of(result), "Quality Finding")


def test_a_series_with_contrast_medium_can_be_refused(datasets):
    for dataset in datasets:
        dataset.ContrastBolusAgent = "OMNIPAQUE"
    try:
        network = Network(runtime=Silent(), card=CARD)
        result = analyse(datasets, network, settings(refused=frozenset({Flag.QF_CONTRAST})), at=AT)
    finally:
        for dataset in datasets:
            del dataset.ContrastBolusAgent

    assert result.state is JobState.REJECTED
    assert "Send the series without contrast medium" in result.text
    assert "OMNIPAQUE" not in result.text


def test_slices_that_never_came_stand_in_the_evidence(datasets):
    result = analyse(datasets, Network(runtime=Silent(), card=CARD), settings(), at=AT, missing=2)

    [doubt] = [doubt for doubt in result.findings.doubts if doubt.flag is Flag.QF_MISSING]
    assert doubt.evidence.startswith("2 slices not received")


class Marking(Silent):
    """A network that marks a block in the middle of the brain."""

    def predict(self, x):
        answer = super().predict(x)
        answer.probability[14:18, 110:140, 110:140] = 1
        return answer


@pytest.mark.parametrize("what", ["describe", "followed"])
def test_a_defect_in_an_extra_costs_neither_volume_nor_segmentation(datasets, monkeypatch, caplog, what):
    def broken(*_, **__):
        raise RecursionError("too deep")

    monkeypatch.setattr(f"ichnode.analyse.{what}", broken)
    earlier = Baseline(study_instance_uid="1.1", acquired_at=0.0, volume_ml=1.0, paths=(), report=Reference(**THREE))
    known = Known(acquired_at=86400.0, baseline=earlier)

    result = analyse(datasets, Network(runtime=Marking(), card=CARD), settings(), at=AT, known=known)

    assert {made.kind for made in result.objects} == {ObjectKind.SEG, ObjectKind.SR, ObjectKind.SC}
    assert result.findings.volume_ml > 1
    [doubt] = [doubt for doubt in result.findings.doubts if doubt.flag is Flag.QF_DEFECT]
    assert doubt.evidence.endswith("could not be read (RecursionError)")
    assert "RecursionError" in caplog.text


def test_a_metal_clip_in_the_mask_does_not_cost_the_markers(datasets):
    shown = [deepcopy(one) for one in datasets]
    for one in shown[12:24]:
        pixels = one.pixel_array.copy()
        pixels[40:80, 40:80] = pixels.max()
        one.PixelData = pixels.tobytes()

    findings = analyse(shown, Network(runtime=Marking(), card=CARD), settings(), at=AT).findings

    assert findings.hu_mean > 300
    assert Flag.QF_DEFECT not in findings.flags
    assert len(findings.markers) == len(MarkerName)
