"""The tree of the structured report: what is said, in templates. Source: PS3.16 TID 1500, 1600, 1004."""

from collections.abc import Sequence
from typing import Any, Final

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ichnode.domain.flags import Doubt
from ichnode.domain.identity import MANUFACTURER, MODEL_NAME, RESEARCH_NOTICE
from ichnode.domain.values import Findings
from ichnode.report import codes
from ichnode.report.equipment import installation_uid
from ichnode.report.groups import follow_up_group, lesion_group, study_group
from ichnode.report.inputs import Context, Source
from ichnode.report.library import bare_library, source_library
from ichnode.report.tree import CONTAINS, MODIFIES, RESTS_ON, add, comment, container, separate
from ichnode.report.wording import distinct

UNTRAINED_NOTE: Final = "Expansion score: network untrained on patient outcomes, the value means nothing clinically"


def result_tree(source: Source, findings: Findings, seg: Dataset | None, context: Context) -> Dataset:
    """The root of the report of ``findings``."""
    groups = []
    if seg is not None:
        groups = [lesion_group(source, findings, lesion, seg, context) for lesion in findings.lesions]
    groups.append(study_group(source, findings, context))
    if findings.growth is not None:
        groups.append(follow_up_group(source, findings, findings.growth, context))
    comments = [RESEARCH_NOTICE]
    if findings.expansion is not None and not findings.expansion.trained_on_patients:
        comments.append(UNTRAINED_NOTE)
    quality = codes.LIMITED_QUALITY if findings.flags else codes.DIAGNOSTIC_QUALITY
    return _root(
        context,
        codes.CT_HEAD_WITHOUT_CONTRAST,
        [
            source_library(source),
            container(codes.MEASUREMENTS, [item for group in groups for item in group]),
            _evaluations(comments, distinct(findings.doubts), quality),
        ],
    )


def not_analysed_tree(datasets: Sequence[Dataset], reason: str, doubts: Sequence[Doubt], context: Context) -> Dataset:
    """The root of a report that names the images that were not analysed, and the ``reason``, in ASCII."""
    why = reason.removeprefix("not analysed: ")  # the queue's sentence begins so already
    comments = [f"Not analysed: {why}", RESEARCH_NOTICE]
    return _root(context, codes.CT_UNSPECIFIED, [*bare_library(datasets), _evaluations(comments, doubts, None)])


def observer_of(context: Context) -> Any:
    """TID 1004: this node, as who observed."""
    return sr.ObserverContext(
        observer_type=codes.DEVICE,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=installation_uid(context.installation.device_serial),
            name="ICHNODE (research use only)",
            manufacturer_name=MANUFACTURER,
            model_name=MODEL_NAME,
            serial_number=context.installation.device_serial,
        ),
    )


def _root(context: Context, procedure: Code, parts: Sequence[Dataset]) -> Dataset:
    root: Dataset = sr.ContainerContentItem(name=codes.REPORT_TITLE, template_id="1500")
    root.ContentSequence = sr.ContentSequence(
        [
            *sr.LanguageOfContentItemAndDescendants(codes.ENGLISH),
            *sr.ObservationContext(observer_device_context=observer_of(context)),
            sr.CodeContentItem(codes.PROCEDURE_REPORTED, procedure, MODIFIES),
            *parts,
        ]
    )
    separate(root)
    return root


def _evaluations(comments: Sequence[str], doubts: Sequence[Doubt], quality: Code | None) -> Dataset:
    """TID 1500 row 12: quality of the series, doubts about it with what they rest on, and free text."""
    items = [] if quality is None else [sr.CodeContentItem(codes.SERIES_QUALITY, quality, CONTAINS)]
    for doubt in doubts:
        item = sr.CodeContentItem(codes.QUALITY_FINDING, codes.flag_code(doubt.flag), CONTAINS)
        add(item, [comment(doubt.evidence, RESTS_ON)] if doubt.evidence else [])
        items.append(item)
    return container(codes.QUALITATIVE_EVALUATIONS, [*items, *(comment(text) for text in comments)])
