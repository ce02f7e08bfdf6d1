"""The structured report: root TID 1500, in three SOP classes, for a result and for a series that was not analysed.

highdicom builds the templates of the tree; the document around it is ours, for highdicom would stamp it with the clock
and cannot report on sources of a class that it does not know. Source: PS3.3 A.35.13, PS3.16 TID 1500.
"""

import json
from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset

from ichnode.domain.flags import Doubt, Flag
from ichnode.domain.followup import Growth
from ichnode.domain.outputs import ObjectKind, Reference
from ichnode.domain.profile import SOP_CLASSES, SrForm
from ichnode.domain.values import Findings
from ichnode.report.codes import coding_scheme_item
from ichnode.report.content import not_analysed_tree, result_tree
from ichnode.report.header import complete
from ichnode.report.inputs import Context, Source
from ichnode.report.uids import digest
from ichnode.report.wording import ascii_text


def build_result_sr(
    source: Source,
    findings: Findings,
    seg: Dataset | None,
    context: Context,
    predecessors: Sequence[Reference] = (),
    form: SrForm = SrForm.COMPREHENSIVE_3D,
) -> Dataset:
    """The report of ``findings``; ``seg`` is None where there is nothing to segment: the report then says Absent, or
    Undetermined."""
    tree = result_tree(source, findings, seg, context)
    evidence = [*source.images, *([seg] if seg is not None else [])]
    return _document(tree, evidence, context, predecessors, form, earlier=_earlier(findings.growth))


def build_not_analysed_sr(
    datasets: Sequence[Dataset],
    reason: str,
    flags: Iterable[Flag],
    context: Context,
    predecessors: Sequence[Reference] = (),
    form: SrForm = SrForm.COMPREHENSIVE_3D,
) -> Dataset:
    """The report that says of a series that it was not analysed, and why; of haemorrhage it says nothing.

    ``reason`` becomes ASCII. ``datasets`` may be of any class, and need no geometry.
    """
    doubts = [Doubt(flag=flag) for flag in sorted(set(flags))]
    tree = not_analysed_tree(datasets, ascii_text(reason), doubts, context)
    description = context.installation.not_analysed_description
    return _document(tree, datasets, context, predecessors, form, description=description)


def _document(
    tree: Dataset,
    evidence: Sequence[Dataset],
    context: Context,
    predecessors: Sequence[Reference],
    form: SrForm,
    *,
    description: str = "",
    earlier: Sequence[tuple[str, Reference]] = (),
) -> Dataset:
    """A document that says all that stands in ``tree``, which with its form decides its UID.

    ``evidence``: objects of the same study. ``earlier``: study UID and reference of what the tree names besides.
    """
    sop_instance_uid, predecessors = _identify([form, tree.to_json()], context, predecessors)
    sr = Dataset()
    sr.SOPClassUID = SOP_CLASSES[form]
    sr.SOPInstanceUID = sop_instance_uid
    sr.Modality = "SR"
    complete(sr, context, ObjectKind.SR, number=len(predecessors) + 1, description=description)  # the last word is told
    sr.CompletionFlag, sr.VerificationFlag, sr.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    sr.PerformedProcedureCodeSequence = []
    sr.ReferencedPerformedProcedureStepSequence = []
    sr.CodingSchemeIdentificationSequence = [coding_scheme_item()]
    references = {(str(ds.SOPClassUID), str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID)): None for ds in evidence}
    references |= {_three(old): None for study, old in earlier if study == context.study_uid}
    sr.CurrentRequestedProcedureEvidenceSequence = [hierarchy(context.study_uid, references)]
    others = [(study, old) for study, old in earlier if study != context.study_uid]
    if others:
        sr.PertinentOtherEvidenceSequence = [
            hierarchy(study, [_three(old) for whose, old in others if whose == study])
            for study in dict.fromkeys(study for study, _ in others)
        ]
    if predecessors:
        sr.PredecessorDocumentsSequence = [hierarchy(context.study_uid, [_three(old) for old in predecessors])]
    for element in tree:
        sr.add(element)
    return sr


def _identify(said: object, context: Context, predecessors: Sequence[Reference]) -> tuple[str, Sequence[Reference]]:
    """The UID of a document that says ``said``, and the documents that it replaces.

    A second run that comes to the same words is that very document once more: where the last of ``predecessors``
    (oldest first) has the UID that these words had after those before it, the document does not replace itself. Words
    that were said before the last ones (an onset taken back) make a new document: the last word must be the one that
    holds.
    """
    for count in range(max(0, len(predecessors) - 1), len(predecessors) + 1):
        replaced = [_three(old) for old in predecessors[:count]]
        uid = context.uid("sr", digest(json.dumps([said, replaced], sort_keys=True)))
        if count == len(predecessors) or predecessors[count].sop_instance_uid == uid:
            break
    return uid, predecessors[:count]


def _earlier(growth: Growth | None) -> list[tuple[str, Reference]]:
    """What the follow-up group refers to, with the study it is of."""
    if growth is None:
        return []
    baseline = growth.baseline
    return [(baseline.study_instance_uid, one) for one in (baseline.report, baseline.seg) if one is not None]


def _three(old: Reference) -> tuple[str, str, str]:
    return old.sop_class_uid, old.sop_instance_uid, old.series_instance_uid


def hierarchy(study_uid: str, references: Iterable[tuple[str, str, str]]) -> Dataset:
    """References (SOP class, instance, series) within one study. Source: PS3.3 10.3, Hierarchical SOP Instance."""
    series: dict[str, Dataset] = {}
    for sop_class_uid, sop_instance_uid, series_uid in references:
        if series_uid not in series:
            series[series_uid] = Dataset()
            series[series_uid].SeriesInstanceUID = series_uid
            series[series_uid].ReferencedSOPSequence = []
        instance = Dataset()
        instance.ReferencedSOPClassUID = sop_class_uid
        instance.ReferencedSOPInstanceUID = sop_instance_uid
        series[series_uid].ReferencedSOPSequence.append(instance)
    study = Dataset()
    study.StudyInstanceUID = study_uid
    study.ReferencedSeriesSequence = list(series.values())
    return study
