"""The items that a report's tree is built of. Source: PS3.3 C.17.3, PS3.16 TID 320."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage

from ichnode.domain.outputs import Reference
from ichnode.report import codes
from ichnode.report.inputs import Source
from ichnode.report.wording import ascii_text

CONTAINS: Final = sr.RelationshipTypeValues.CONTAINS
CONTEXT: Final = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
MODIFIES: Final = sr.RelationshipTypeValues.HAS_CONCEPT_MOD
RESTS_ON: Final = sr.RelationshipTypeValues.INFERRED_FROM
HAS: Final = sr.RelationshipTypeValues.HAS_PROPERTIES

SR_CLASSES: Final = (Comprehensive3DSRStorage, ComprehensiveSRStorage, EnhancedSRStorage)

Relation = Any  # a RelationshipTypeValues; highdicom's types are not checked


def container(name: Code, items: Iterable[Dataset], template_id: str | None = None) -> Dataset:
    """Items under a heading."""
    made: Dataset = sr.ContainerContentItem(name=name, relationship_type=CONTAINS, template_id=template_id)
    made.ContentSequence = sr.ContentSequence(items)
    return made


def comment(text: str, relation: Relation = CONTAINS) -> Dataset:
    """Words of ours, or of others in ASCII."""
    made: Dataset = sr.TextContentItem(codes.COMMENT, ascii_text(text) or "-", relation)
    return made


def image(name: Code, dataset: Dataset, frames: Sequence[int] = (), relation: Relation = CONTAINS) -> Dataset:
    """An image by reference. TID 1601 wants no name, but highdicom cannot read a nameless item."""
    made: Dataset = sr.ImageContentItem(
        name, str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), list(frames) or None, relationship_type=relation
    )
    return made


def slice_image(source: Source, index: int) -> Dataset:
    """The image or frame behind a slice, as what a figure was measured on."""
    frame = source.volume.sources[index].frame_number
    frames = () if frame is None else (frame,)
    return image(codes.SOURCE_OF_MEASUREMENT, source.images[index], frames, RESTS_ON)


def referred(name: Code, reference: Reference) -> Dataset:
    """An object of another result; a segmentation is an image, a report is none."""
    form = sr.CompositeContentItem if reference.sop_class_uid in SR_CLASSES else sr.ImageContentItem
    made: Dataset = form(name, reference.sop_class_uid, reference.sop_instance_uid, relationship_type=CONTAINS)
    return made


def number(name: Code, value: float, unit: Code, relation: Relation) -> Dataset:
    """A figure that belongs to another item."""
    made: Dataset = sr.NumContentItem(name, value, unit, relationship_type=relation)
    return made


def measurement(name: Code, value: float, unit: Code, *rests_on: Dataset, **modifiers: Any) -> Any:
    """TID 300: a figure of a measurement group, and the items that it rests on."""
    made = sr.Measurement(name, value, unit, **modifiers)
    add(made[0], rests_on)
    return made


def evaluation(name: Code, value: Code, *rests_on: Dataset) -> Any:
    """A coded judgement of a measurement group, and the items that it rests on."""
    made = sr.QualitativeEvaluation(name, value)
    add(made[0], rests_on)
    return made


def add(item: Dataset, children: Iterable[Dataset]) -> None:
    """Put further items below one."""
    below = [*(item.get("ContentSequence") or ()), *children]
    if below:
        item.ContentSequence = sr.ContentSequence(below)


def separate(item: Dataset) -> None:
    """Mark every container as a list of items; highdicom marks them as running prose."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        separate(child)
