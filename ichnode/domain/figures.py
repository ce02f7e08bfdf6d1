"""A result in figures: what the queue keeps of it, to list it, to compare it later and to count how it came out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ichnode.domain.followup import Growth
from ichnode.domain.values import Findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one analysis measured, without a word of the patient.

    ``report_uid`` and ``seg_uid``: SOP instances of its SR and SEG, no SEG where nothing was found. Expansion is None
    where the weights may not speak of it, growth and ``baseline_job_id`` where there was no earlier scan.
    ``undetermined``: nothing was found by a network that saw no brain, which is no volume of 0 mL. ``facts``:
    JSON-able, for people to read.
    """

    volume_ml: float
    report_uid: str | None = None
    seg_uid: str | None = None
    undetermined: bool = False
    expansion_probability: float | None = None
    expansion_threshold: float | None = None
    expansion_trained: bool | None = None
    baseline_job_id: int | None = None
    growth_ml: float | None = None
    growth_percent: float | None = None
    expanded: bool | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, findings: Findings, *, report_uid: str | None, seg_uid: str | None) -> "Figures":
        """The figures of ``findings``, and the objects that say them."""
        expansion, growth = findings.expansion, findings.growth
        return cls(
            volume_ml=findings.volume_ml,
            report_uid=report_uid,
            seg_uid=seg_uid,
            undetermined=findings.undetermined,
            expansion_probability=expansion.probability if expansion else None,
            expansion_threshold=expansion.threshold if expansion else None,
            expansion_trained=expansion.trained_on_patients if expansion else None,
            baseline_job_id=growth.baseline.job_id if growth else None,
            growth_ml=growth.growth_ml if growth else None,
            growth_percent=growth.growth_percent if growth else None,
            expanded=growth.expanded if growth else None,
            facts=_facts(findings),
        )


def _facts(findings: Findings) -> dict[str, Any]:
    size, onset, growth = findings.size, findings.onset, findings.growth
    return {
        "weights": f"{findings.model.name} {findings.model.version}",
        "weights_sha256": findings.model.sha256,
        "lesions_ml": [lesion.volume_ml for lesion in findings.lesions],
        "hu_mean": findings.hu_mean,
        "hu_sd": findings.hu_sd,
        "laterality": findings.laterality.value if findings.laterality else None,
        "abc2_ml": size.abc2_ml if size else None,
        "diameter_mm": size.diameter_mm if size else None,
        "markers": [{"name": m.name.value, "present": m.present, "reason": m.reason} for m in findings.markers],
        "bat": findings.bat.text if findings.bat else None,
        "onset": {"hours": onset.hours, "source": onset.source} if onset else None,
        "doubts": [{"flag": d.flag.name, "meaning": d.flag.value, "evidence": d.evidence} for d in findings.doubts],
        "growth": _growth(growth) if growth else None,
    }


def _growth(growth: Growth) -> dict[str, Any]:
    return {
        "hours": growth.hours,
        "baseline_ml": growth.baseline_ml,
        "baseline_study": growth.baseline.study_instance_uid,
        "history": [list(point) for point in growth.history],
        "unregistered": growth.unregistered,
    }
