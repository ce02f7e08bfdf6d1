"""From findings to the objects of one result, in the order in which they are sent: SEG, SR, SC, KOS, PDF.

Destinations take them in different forms; what has the same content in the forms of several is made once. The same
arguments give the same bytes. ``at`` is no part of a UID: hand in the first run's time on every later one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.outputs import USUAL_PROFILE, ObjectKind, Reference
from ichnode.domain.profile import SOP_CLASSES, USUAL, Profile, ScForm
from ichnode.domain.values import Findings
from ichnode.report.inputs import Context, Installation, Source
from ichnode.report.kos import build_kos
from ichnode.report.multiframe import bind
from ichnode.report.pdf import build_pdf
from ichnode.report.sc import build_pictures, build_refusal
from ichnode.report.seg import build_seg
from ichnode.report.sr import build_not_analysed_sr, build_result_sr

ORDER: Final = tuple(ObjectKind)
PICTURED: Final = frozenset({ObjectKind.SC, ObjectKind.PDF})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportObject:
    """One object of a result; ``number`` counts from 1 within its kind. ``profiles``: the names of those it is of."""

    kind: ObjectKind
    number: int
    dataset: Dataset
    profiles: tuple[str, ...] = (USUAL_PROFILE,)


def build_result(
    source: Source,
    findings: Findings,
    installation: Installation,
    at: datetime,
    predecessors: Sequence[Reference] = (),
    profiles: Sequence[Profile] = (USUAL,),
) -> list[ReportObject]:
    """What is said of an analysed series, in the forms of every profile; where nothing was found, no SEG and no KOS.

    ``predecessors``: reports on an earlier revision of the series, which the new ones replace.
    """
    context = Context.of((source.images[0], *source.datasets), installation, at, findings.model)
    grows = findings.expansion if findings.present else None  # what is not there does not grow
    repairs = tuple(Doubt(flag=flag) for flag in source.repairs - findings.flags)
    findings = replace(findings, doubts=(*findings.doubts, *repairs), expansion=grows)
    forms = dict.fromkeys(profile.seg for profile in profiles) if findings.present else {}
    segs = {form: build_seg(source, findings, context, form) for form in forms}
    pages = build_pictures(source, findings, context) if any(p.kinds & PICTURED for p in profiles) else []
    made: list[ReportObject] = []
    for profile in profiles:
        seg, earlier = segs.get(profile.seg), replaced_by(profile, profiles, predecessors)
        report = build_result_sr(source, findings, seg, context, earlier, profile.sr)
        found: dict[ObjectKind, Sequence[Dataset]] = {
            ObjectKind.SEG: [seg] if seg is not None else [],
            ObjectKind.SR: [report],
            **dict(_in_addition(source, findings, context, pages, profile)),
        }
        made += [
            ReportObject(kind=kind, number=number, dataset=dataset, profiles=(profile.name,))
            for kind in found
            for number, dataset in enumerate(found[kind], 1)
        ]
    return _once(made)


def build_not_analysed(
    datasets: Sequence[Dataset],
    reason: str,
    flags: Iterable[Flag],
    installation: Installation,
    at: datetime,
    predecessors: Sequence[Reference] = (),
    profiles: Sequence[Profile] = (USUAL,),
    *,
    awaited: bool = True,
) -> list[ReportObject]:
    """The report that says that a series was not analysed, and why; with a page where its result was ``awaited``.

    A scout or a bone kernel beside the chosen series has a report alone. Raises Rejected for no datasets.
    """
    ordered = sorted(datasets, key=lambda dataset: str(dataset.SOPInstanceUID))
    context, marks = Context.of(ordered, installation, at), tuple(flags)
    pictured = awaited and any(ObjectKind.SC in profile.kinds for profile in profiles)
    pages = [build_refusal(ordered, reason, marks, context)] if pictured else []
    made: list[ReportObject] = []
    for profile in profiles:
        earlier = replaced_by(profile, profiles, predecessors)
        report = build_not_analysed_sr(ordered, reason, marks, context, earlier, profile.sr)
        made.append(ReportObject(kind=ObjectKind.SR, number=1, dataset=report, profiles=(profile.name,)))
        if pages and ObjectKind.SC in profile.kinds:
            page = pages[0] if profile.sc is ScForm.SINGLE_FRAME else bind(pages, context)
            made.append(ReportObject(kind=ObjectKind.SC, number=1, dataset=page, profiles=(profile.name,)))
    return _once(made)


def replaced_by(
    profile: Profile, profiles: Sequence[Profile], predecessors: Sequence[Reference]
) -> Sequence[Reference]:
    """Those of ``predecessors`` that a report of ``profile`` replaces: of its SOP class, and not made for another of
    ``profiles`` alone. One that was made for none of them is from before a change of the configuration."""
    now = {other.name for other in profiles}
    return [
        old
        for old in predecessors
        if old.sop_class_uid == SOP_CLASSES[profile.sr]
        and (profile.name in old.profiles or now.isdisjoint(old.profiles))
    ]


def _in_addition(
    source: Source, findings: Findings, context: Context, pages: Sequence[Dataset], profile: Profile
) -> Iterator[tuple[ObjectKind, Sequence[Dataset]]]:
    """What a profile has besides SEG and SR, for readers without either."""
    if ObjectKind.SC in profile.kinds:
        yield ObjectKind.SC, pages if profile.sc is ScForm.SINGLE_FRAME else [bind(pages, context)]
    if ObjectKind.KOS in profile.kinds and findings.present:
        yield ObjectKind.KOS, [build_kos(source, findings, context)]
    if ObjectKind.PDF in profile.kinds:
        distinct = {str(image.SOPInstanceUID): image for image in source.images}
        yield ObjectKind.PDF, [build_pdf(pages[0], list(distinct.values()), context)]


def _once(made: Iterable[ReportObject]) -> list[ReportObject]:
    """Each object once, with the names of all profiles that it is of, in the order of sending."""
    found: dict[str, ReportObject] = {}
    for one in made:
        key = str(one.dataset.SOPInstanceUID)
        names = found[key].profiles if key in found else ()
        found[key] = replace(found.get(key, one), profiles=(*names, *one.profiles))
    return sorted(found.values(), key=lambda one: (ORDER.index(one.kind), one.number))
