"""The images that a report speaks of: the image library, and what a group of measurements refers to."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from highdicom import sr
from pydicom.dataset import Dataset

from ichnode.domain.values import Findings, Lesion
from ichnode.report import codes
from ichnode.report.inputs import Source
from ichnode.report.tree import CONTEXT, container, image


def source_library(source: Source) -> Dataset:
    """The compact form of TID 1600: what is common stands once, the images are bare references, feet first."""
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
    return _library([*common, *(image(codes.SOURCE, dataset, frames) for dataset, frames in images)])


def bare_library(datasets: Sequence[Dataset]) -> list[Dataset]:
    """The library of images that were not analysed; none where there is no image among them."""
    entries = [image(codes.SOURCE, dataset) for dataset in datasets if "Rows" in dataset]
    return [_library([*_modality(datasets[0]), *entries])] if entries else []


def segment_of(source: Source, findings: Findings, lesion: Lesion, seg: Dataset) -> Any:
    """The segment, and the images it was drawn on. highdicom's own way names one frame of a multi-frame image only."""
    marked = np.flatnonzero((findings.labels == lesion.number).any(axis=(1, 2)))
    images = [
        sr.SourceImageForSegmentation(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), frames or None)
        for dataset, frames in _images_and_frames(source, marked)
    ]
    return sr.ReferencedSegment(str(seg.SOPClassUID), str(seg.SOPInstanceUID), lesion.number, source_images=images)


def key_image(source: Source, findings: Findings) -> Any:
    """The slice with the largest area, as what a group was measured on."""
    dataset, frame = source.images[findings.key_slice], source.volume.sources[findings.key_slice].frame_number
    frames = None if frame is None else [frame]
    return sr.SourceImageForMeasurementGroup(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), frames)


def _images_and_frames(source: Source, slices: Iterable[int]) -> list[tuple[Dataset, list[int]]]:
    """The images behind some slices, each once, and its frame numbers where it is multi-frame."""
    found: dict[str, tuple[Dataset, list[int]]] = {}
    for index in slices:
        dataset, frame = source.images[index], source.volume.sources[index].frame_number
        frames = found.setdefault(str(dataset.SOPInstanceUID), (dataset, []))[1]
        if frame is not None:
            frames.append(frame)
    return [(dataset, sorted(frames)) for dataset, frames in found.values()]


def _modality(dataset: Dataset) -> list[Dataset]:
    if str(dataset.get("Modality", "")) != "CT":
        return []
    return [sr.CodeContentItem(codes.MODALITY, codes.COMPUTED_TOMOGRAPHY, CONTEXT)]


def _library(entries: Sequence[Dataset]) -> Dataset:
    return container(codes.IMAGE_LIBRARY, [container(codes.IMAGE_LIBRARY_GROUP, entries)], template_id="1600")
