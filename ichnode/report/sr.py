"""The structured report: Comprehensive 3D SR, root TID 1500, for a result and for a series that was not analysed.

highdicom builds the templates of the tree; the document around it is ours, for highdicom would stamp it with the clock
and cannot report on sources of a class that it does not know. Source: PS3.3 A.35.13, PS3.16 TID 1500.
"""

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from ichnode.domain.flags import Flag
from ichnode.domain.outputs import ObjectKind, Reference
from ichnode.domain.values import Findings
from ichnode.report.codes import coding_scheme_item
from ichnode.report.content import not_analysed_tree, result_tree
from ichnode.report.header import complete
from ichnode.report.inputs import Context, Source
from ichnode.report.uids import digest

# what decomposition does not turn into ASCII
PUNCTUATION: Final = str.maketrans(
    {
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u2013": "-",
        "\u2014": "-",
        "\u2212": "-",
        "\u00d7": "x",
        "\u00df": "ss",
        "\u2265": ">=",
        "\u2264": "<=",
    }
)


def build_result_sr(
    source: Source, findings: Findings, seg: Dataset | None, context: Context, predecessors: Sequence[Reference] = ()
) -> Dataset:
    """The report of ``findings``; ``seg`` is None where there is nothing to segment: the report then says Absent, or
    Undetermined."""
    tree = result_tree(source, findings, seg, context)
    evidence = [*source.images, *([seg] if seg is not None else [])]
    said = {
        "seg": str(seg.SOPInstanceUID) if seg is not None else "",
        "volume_ml": findings.volume_ml,
        "hu": [findings.hu_mean, findings.hu_sd],
        "key_slice": findings.key_slice,
        "expansion": str(findings.expansion),
        "flags": sorted(flag.name for flag in findings.flags),
    }
    return _document(tree, evidence, said, context, predecessors)


def build_not_analysed_sr(
    datasets: Sequence[Dataset],
    reason: str,
    flags: Iterable[Flag],
    context: Context,
    predecessors: Sequence[Reference] = (),
) -> Dataset:
    """The report that says of a series that it was not analysed, and why; of haemorrhage it says nothing.

    ``reason`` becomes ASCII. ``datasets`` may be of any class, and need no geometry.
    """
    text, marks = ascii_text(reason), sorted(set(flags))
    tree = not_analysed_tree(datasets, text, marks, context)
    said = {"not analysed": text, "flags": [flag.name for flag in marks]}
    description = context.installation.not_analysed_description
    return _document(tree, datasets, said, context, predecessors, description=description)


def ascii_text(text: str) -> str:
    """``text`` with accents taken off; what is no ASCII letter after that becomes a question mark."""
    decomposed = unicodedata.normalize("NFKD", text.translate(PUNCTUATION))
    bare = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return " ".join(bare.encode("ascii", "replace").decode("ascii").split())


def _document(
    tree: Dataset,
    evidence: Sequence[Dataset],
    said: object,
    context: Context,
    predecessors: Sequence[Reference],
    *,
    description: str = "",
) -> Dataset:
    """A document that says ``said``, which decides its UID."""
    sop_instance_uid, predecessors = _identify(said, context, predecessors)
    sr = Dataset()
    sr.SOPClassUID = Comprehensive3DSRStorage
    sr.SOPInstanceUID = sop_instance_uid
    sr.Modality = "SR"
    complete(sr, context, ObjectKind.SR, number=1, description=description)
    sr.CompletionFlag, sr.VerificationFlag, sr.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    sr.PerformedProcedureCodeSequence = []
    sr.ReferencedPerformedProcedureStepSequence = []
    sr.CodingSchemeIdentificationSequence = [coding_scheme_item()]
    references = {(str(ds.SOPClassUID), str(ds.SOPInstanceUID), str(ds.SeriesInstanceUID)): None for ds in evidence}
    sr.CurrentRequestedProcedureEvidenceSequence = [_hierarchy(context.study_uid, references)]
    if predecessors:
        sr.PredecessorDocumentsSequence = [_hierarchy(context.study_uid, [_three(old) for old in predecessors])]
    for element in tree:
        sr.add(element)
    return sr


def _identify(said: object, context: Context, predecessors: Sequence[Reference]) -> tuple[str, Sequence[Reference]]:
    """The UID of a document that says ``said``, and the documents that it replaces.

    A second run that comes to the same words is that very document once more: where one of ``predecessors`` (oldest
    first) has the UID that these words had after those before it, the document does not replace itself.
    """
    for count in range(len(predecessors) + 1):
        replaced = [_three(old) for old in predecessors[:count]]
        uid = context.uid("sr", digest(json.dumps([said, replaced], sort_keys=True)))
        if count == len(predecessors) or predecessors[count].sop_instance_uid == uid:
            break
    return uid, predecessors[:count]


def _three(old: Reference) -> tuple[str, str, str]:
    return old.sop_class_uid, old.sop_instance_uid, old.series_instance_uid


def _hierarchy(study_uid: str, references: Iterable[tuple[str, str, str]]) -> Dataset:
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
