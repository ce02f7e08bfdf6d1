"""What becomes of the findings of a series when an earlier scan of the same haematoma is known."""

from dataclasses import replace
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from ichnode.domain.errors import Rejected, Retryable
from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.followup import Baseline, Tracked
from ichnode.domain.values import Findings, Volume
from ichnode.findings.followup import before, growth_since, tracked
from ichnode.findings.registration import Head, register
from ichnode.image.load import load_series, read_datasets
from ichnode.image.strip import brain_mask
from ichnode.report.seg_read import read_tracked


def followed(findings: Findings, volume: Volume, baseline: Baseline, acquired_at: float) -> Findings:
    """``findings`` of ``volume`` with growth since ``baseline``; its parts bear the names that they had there.

    Where the earlier images are no longer kept, growth is a matter of two volumes: it is reported, with that reason,
    and the parts keep names of their own. Where the heads do not lie on each other there is no growth but a doubt: that
    may be another person under the same identity.
    """
    then, now = baseline.weights_sha256, findings.model.sha256
    if then not in ("", now):
        findings = _doubted(findings, Flag.QF_WEIGHTS, f"{then[:12]}, not {now[:12]}")
    growth = growth_since(baseline, findings.volume_ml, acquired_at)
    try:
        earlier = _earlier(baseline)
        known = _tracked(baseline, earlier)
    except (Rejected, Retryable) as error:
        return replace(findings, growth=replace(growth, unregistered=str(error)))
    try:
        motion = register(_head(volume), _head(earlier))
    except Rejected as error:
        return _doubted(findings, Flag.QF_OTHERHEAD, f"growth is not told: {error}")
    findings = tracked(findings, volume.geometry, known, earlier.geometry, motion)
    section = before(volume.geometry, findings.key_slice, earlier, known, motion)
    return replace(findings, growth=replace(growth, before=section))


def _doubted(findings: Findings, flag: Flag, evidence: str) -> Findings:
    return replace(findings, doubts=(*findings.doubts, Doubt(flag=flag, evidence=evidence)))


def _earlier(baseline: Baseline) -> Volume:
    if not baseline.paths:
        raise Rejected("The images of the earlier scan are no longer kept.")
    return load_series(read_datasets([Path(path) for path in baseline.paths]))


def _tracked(baseline: Baseline, earlier: Volume) -> Tracked:
    """The parts of the earlier haematoma. Raises Rejected where their segmentation cannot be read."""
    if baseline.seg_path is None:
        raise Rejected("The segmentation of the earlier scan is no longer kept.")
    try:
        return read_tracked(dcmread(baseline.seg_path), earlier)
    except (OSError, InvalidDicomError) as error:
        raise Rejected("The segmentation of the earlier scan cannot be read.") from error


def _head(volume: Volume) -> Head:
    brain, _ = brain_mask(volume.hu, volume.geometry)
    return Head(hu=volume.hu, brain=brain, geometry=volume.geometry)
