"""The tree of the structured report: what is said, in templates. Source: PS3.16 TID 1500, 1411, 1501, 1600, 4019."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ichnode.domain.flags import Flag
from ichnode.domain.identity import MANUFACTURER, MODEL_NAME, RESEARCH_NOTICE
from ichnode.domain.values import Expansion, Findings, Lesion, ModelIdentity
from ichnode.report import codes
from ichnode.report.equipment import installation_uid
from ichnode.report.inputs import Context, Source
from ichnode.report.seg import tracking_of

CONTAINS: Final = sr.RelationshipTypeValues.CONTAINS
CONTEXT: Final = sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
MODIFIES: Final = sr.RelationshipTypeValues.HAS_CONCEPT_MOD
STUDY_IDENTIFIER: Final = "ICH study-level"
UNTRAINED_NOTE: Final = "Expansion score: network untrained on patient outcomes, the value means nothing clinically"


def result_tree(source: Source, findings: Findings, seg: Dataset | None, context: Context) -> Dataset:
    """The root of the report of ``findings``."""
    groups = []
    if seg is not None:
        groups = [_lesion_group(source, findings, lesion, seg, context) for lesion in findings.lesions]
    groups.append(_study_group(source, findings, context))
    comments = [RESEARCH_NOTICE]
    if findings.expansion is not None and not findings.expansion.trained_on_patients:
        comments.append(UNTRAINED_NOTE)
    quality = codes.LIMITED_QUALITY if findings.flags else codes.DIAGNOSTIC_QUALITY
    return _root(
        context,
        codes.CT_HEAD_WITHOUT_CONTRAST,
        [
            _source_library(source),
            _container(codes.MEASUREMENTS, [item for group in groups for item in group]),
            _evaluations(comments, sorted(findings.flags), quality),
        ],
    )


def not_analysed_tree(datasets: Sequence[Dataset], reason: str, flags: Sequence[Flag], context: Context) -> Dataset:
    """The root of a report that names the images that were not analysed, and the ``reason``, in ASCII."""
    images = [dataset for dataset in datasets if "Rows" in dataset]
    entries = [_reference(codes.SOURCE, image) for image in images]
    library = [_library([*_modality(datasets[0]), *entries])] if entries else []
    why = reason.removeprefix("not analysed: ")  # the queue's sentence begins so already
    comments = [f"Not analysed: {why}", RESEARCH_NOTICE]
    return _root(context, codes.CT_UNSPECIFIED, [*library, _evaluations(comments, flags, None)])


def _root(context: Context, procedure: Code, parts: Sequence[Dataset]) -> Dataset:
    observer = sr.ObserverContext(
        observer_type=codes.DEVICE,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=installation_uid(context.installation.device_serial),
            name="ICHNODE (research use only)",
            manufacturer_name=MANUFACTURER,
            model_name=MODEL_NAME,
            serial_number=context.installation.device_serial,
        ),
    )
    root: Dataset = sr.ContainerContentItem(name=codes.REPORT_TITLE, template_id="1500")
    root.ContentSequence = sr.ContentSequence(
        [
            *sr.LanguageOfContentItemAndDescendants(codes.ENGLISH),
            *sr.ObservationContext(observer_device_context=observer),
            sr.CodeContentItem(codes.PROCEDURE_REPORTED, procedure, MODIFIES),
            *parts,
        ]
    )
    _separate(root)
    return root


def _lesion_group(
    source: Source, findings: Findings, lesion: Lesion, seg: Dataset, context: Context
) -> Iterable[Dataset]:
    """TID 1411: what is measured on one segment."""
    identifier, uid = tracking_of(lesion, context)
    density = [
        sr.Measurement(codes.ATTENUATION, round(value, 1), codes.HOUNSFIELD, derivation=derivation)
        for value, derivation in ((lesion.hu_mean, codes.MEAN), (lesion.hu_sd, codes.STANDARD_DEVIATION))
    ]
    group: Iterable[Dataset] = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(identifier=identifier, uid=uid),
        referenced_segment=_segment(source, findings, lesion, seg),
        finding_category=codes.MORPHOLOGICALLY_ABNORMAL,
        finding_type=codes.HEMORRHAGE,
        finding_sites=[sr.FindingSite(anatomic_location=codes.BRAIN)],
        algorithm_id=_algorithm(findings.model, context),
        measurements=[
            sr.Measurement(codes.VOLUME, round(lesion.volume_ml, 2), codes.MILLILITER, method=codes.VOXEL_SUMMATION),
            *density,
        ],
    )
    return group


def _segment(source: Source, findings: Findings, lesion: Lesion, seg: Dataset) -> Any:
    """The segment, and the images it was drawn on. highdicom's own way names one frame of a multi-frame image only."""
    marked = np.flatnonzero((findings.labels == lesion.number).any(axis=(1, 2)))
    images = [
        sr.SourceImageForSegmentation(str(image.SOPClassUID), str(image.SOPInstanceUID), frames or None)
        for image, frames in _images_and_frames(source, marked)
    ]
    return sr.ReferencedSegment(str(seg.SOPClassUID), str(seg.SOPInstanceUID), lesion.number, source_images=images)


def _images_and_frames(source: Source, slices: Iterable[int]) -> list[tuple[Dataset, list[int]]]:
    """The images behind some slices, each once, and its frame numbers where it is multi-frame."""
    found: dict[str, tuple[Dataset, list[int]]] = {}
    for index in slices:
        image, frame = source.images[index], source.volume.sources[index].frame_number
        frames = found.setdefault(str(image.SOPInstanceUID), (image, []))[1]
        if frame is not None:
            frames.append(frame)
    return [(image, sorted(frames)) for image, frames in found.values()]


def _study_group(source: Source, findings: Findings, context: Context) -> Iterable[Dataset]:
    """TID 1501: whether there is a haemorrhage at all, and what is said of its growth."""
    measurements, evaluations = _expansion(findings.expansion)
    if findings.present:
        total_ml = round(findings.volume_ml, 2)
        total = sr.Measurement(codes.VOLUME, total_ml, codes.MILLILITER, method=codes.VOXEL_SUMMATION)
        measurements = [total, *measurements]
    absence = codes.UNDETERMINED if findings.undetermined else codes.ABSENT
    presence = codes.PRESENT if findings.present else absence
    image, frame = source.images[findings.key_slice], source.volume.sources[findings.key_slice].frame_number
    key_image = sr.SourceImageForMeasurementGroup(
        str(image.SOPClassUID), str(image.SOPInstanceUID), None if frame is None else [frame]
    )
    group: Iterable[Dataset] = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            identifier=STUDY_IDENTIFIER, uid=context.tracking_uid(STUDY_IDENTIFIER)
        ),
        finding_sites=[sr.FindingSite(anatomic_location=codes.BRAIN)],
        source_images=[key_image],
        algorithm_id=_algorithm(findings.model, context),
        measurements=measurements,
        qualitative_evaluations=[sr.QualitativeEvaluation(codes.CEREBRAL_HEMORRHAGE, presence), *evaluations],
    )
    return group


def _expansion(expansion: Expansion | None) -> tuple[list[Dataset], list[Dataset]]:
    """Measurements and evaluations; none where the weights may not speak of expansion."""
    if expansion is None:
        return [], []
    high = expansion.probability >= expansion.threshold
    measurements = [
        sr.Measurement(codes.EXPANSION_PROBABILITY, round(100 * expansion.probability, 1), codes.PERCENT),
        sr.Measurement(codes.EXPANSION_THRESHOLD, round(100 * expansion.threshold, 1), codes.PERCENT),
    ]
    category = codes.EXPANSION_HIGH if high else codes.EXPANSION_LOW
    return measurements, [sr.QualitativeEvaluation(codes.EXPANSION_CATEGORY, category)]


def _algorithm(model: ModelIdentity, context: Context) -> Any:
    """TID 4019, with the values that the ContributingEquipmentSequence has."""
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        manufacturer=MANUFACTURER,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        parameters=[f"weights sha256={model.sha256}", f"node={MODEL_NAME} {context.installation.node_version}"],
    )


def _source_library(source: Source) -> Dataset:
    """The compact form of TID 1600: what is common stands once, the images are bare references."""
    geometry = source.volume.geometry
    common = [
        *_modality(source.images[0]),
        sr.CodeContentItem(codes.TARGET_REGION, codes.HEAD, CONTEXT),
        sr.UIDRefContentItem(codes.FRAME_OF_REFERENCE, source.frame_of_reference_uid, CONTEXT),
        sr.NumContentItem(
            codes.HORIZONTAL_SPACING, geometry.column_spacing_mm, codes.MILLIMETER, relationship_type=CONTEXT
        ),
        sr.NumContentItem(codes.VERTICAL_SPACING, geometry.row_spacing_mm, codes.MILLIMETER, relationship_type=CONTEXT),
    ]
    images = _images_and_frames(source, range(len(source.images)))
    return _library([*common, *(_reference(codes.SOURCE, image, frames) for image, frames in images)])


def _modality(dataset: Dataset) -> list[Dataset]:
    if str(dataset.get("Modality", "")) != "CT":
        return []
    return [sr.CodeContentItem(codes.MODALITY, codes.COMPUTED_TOMOGRAPHY, CONTEXT)]


def _library(entries: Sequence[Dataset]) -> Dataset:
    return _container(codes.IMAGE_LIBRARY, [_container(codes.IMAGE_LIBRARY_GROUP, entries)], template_id="1600")


def _reference(name: Code, image: Dataset, frames: Sequence[int] = ()) -> Dataset:
    """An image by reference. TID 1601 wants no name, but highdicom cannot read a nameless item."""
    item: Dataset = sr.ImageContentItem(
        name, str(image.SOPClassUID), str(image.SOPInstanceUID), list(frames) or None, relationship_type=CONTAINS
    )
    return item


def _evaluations(comments: Sequence[str], flags: Sequence[Flag], quality: Code | None) -> Dataset:
    """TID 1500 row 12: quality of the series, doubts about it, and free text."""
    items = [] if quality is None else [sr.CodeContentItem(codes.SERIES_QUALITY, quality, CONTAINS)]
    items += [sr.CodeContentItem(codes.QUALITY_FINDING, codes.flag_code(flag), CONTAINS) for flag in flags]
    items += [sr.TextContentItem(codes.COMMENT, text, CONTAINS) for text in comments]
    return _container(codes.QUALITATIVE_EVALUATIONS, items)


def _container(name: Code, items: Iterable[Dataset], template_id: str | None = None) -> Dataset:
    container: Dataset = sr.ContainerContentItem(name=name, relationship_type=CONTAINS, template_id=template_id)
    container.ContentSequence = sr.ContentSequence(items)
    return container


def _separate(item: Dataset) -> None:
    """Mark every container as a list of items; highdicom marks them as running prose."""
    if item.ValueType == "CONTAINER":
        item.ContinuityOfContent = "SEPARATE"
    for child in item.get("ContentSequence", ()):
        _separate(child)
