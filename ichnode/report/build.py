"""From findings to the objects of one result, in the order in which they are sent: SEG, SR, SC.

The same arguments give the same bytes. ``at`` is no part of a UID: hand in the first run's time on every later one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydicom.dataset import Dataset

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.outputs import ObjectKind, Reference
from ichnode.domain.values import Findings
from ichnode.report.inputs import Context, Installation, Source
from ichnode.report.sc import build_pictures
from ichnode.report.seg import build_seg
from ichnode.report.sr import build_not_analysed_sr, build_result_sr


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportObject:
    """One object of a result; ``number`` counts from 1 within its kind."""

    kind: ObjectKind
    number: int
    dataset: Dataset


def build_result(
    source: Source,
    findings: Findings,
    installation: Installation,
    at: datetime,
    predecessors: Sequence[Reference] = (),
) -> list[ReportObject]:
    """What is said of an analysed series: SEG, SR and SC; where nothing was found, SR and one picture.

    ``predecessors``: reports on an earlier revision of the series, which the new one replaces.
    """
    context = Context.of((source.images[0], *source.datasets), installation, at, findings.model)
    grows = findings.expansion if findings.present else None  # what is not there does not grow
    repairs = tuple(Doubt(flag=flag) for flag in source.repairs - findings.flags)
    findings = replace(findings, doubts=(*findings.doubts, *repairs), expansion=grows)
    seg = build_seg(source, findings, context) if findings.present else None
    report = build_result_sr(source, findings, seg, context, predecessors)
    pictures = build_pictures(source, findings, context)
    return [
        *([ReportObject(kind=ObjectKind.SEG, number=1, dataset=seg)] if seg is not None else []),
        ReportObject(kind=ObjectKind.SR, number=1, dataset=report),
        *(ReportObject(kind=ObjectKind.SC, number=n, dataset=picture) for n, picture in enumerate(pictures, 1)),
    ]


def build_not_analysed(
    datasets: Sequence[Dataset],
    reason: str,
    flags: Iterable[Flag],
    installation: Installation,
    at: datetime,
    predecessors: Sequence[Reference] = (),
) -> list[ReportObject]:
    """The report that says that a series was not analysed and why. Raises Rejected for no datasets."""
    ordered = sorted(datasets, key=lambda dataset: str(dataset.SOPInstanceUID))
    context = Context.of(ordered, installation, at)
    report = build_not_analysed_sr(ordered, reason, flags, context, predecessors)
    return [ReportObject(kind=ObjectKind.SR, number=1, dataset=report)]
