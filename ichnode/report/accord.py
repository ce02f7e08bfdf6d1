"""Whether the objects of one result say the same: of the patient, of each lesion, and of each other.

The gate judges each object by itself. What is wrong only beside another object, a volume that is not that of the
segment, a patient that is another's, would pass it one by one.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from pydicom.dataset import Dataset

from ichnode.domain.geometry import UNEQUAL_MM
from ichnode.report.codes import VOLUME
from ichnode.report.gate import NotConformant
from ichnode.report.header import OPTIONAL, REQUIRED
from ichnode.report.stated import raw_value
from ichnode.report.tree_rules import REFERENCED_SEGMENT, name_of

SAME: Final = ("StudyInstanceUID", "SpecificCharacterSet", *REQUIRED, *OPTIONAL)
ROUNDING_ML: Final = 0.011  # a report states volumes to 0.01 mL
TRACKING_UID: Final = "112040"  # DCM, PS3.16 TID 1411


def check_together(datasets: Sequence[Dataset]) -> None:
    """Raises NotConformant, naming all that is wrong, unless the objects of one result agree."""
    wrong = [*_same_patient(datasets), *_own_uids(datasets), *_one_frame_of_reference(datasets), *_lesions(datasets)]
    if wrong:
        raise NotConformant(f"The objects of this result must not leave: {'; '.join(wrong)}.")


def _same_patient(datasets: Sequence[Dataset]) -> Iterator[str]:
    for one, other in pairwise(datasets):
        for keyword in SAME:
            if raw_value(one, keyword) != raw_value(other, keyword):
                yield f"{one.Modality} and {other.Modality} differ in {keyword}"


def _own_uids(datasets: Sequence[Dataset]) -> Iterator[str]:
    seen = [str(dataset.SOPInstanceUID) for dataset in datasets]
    if len(set(seen)) < len(seen):
        yield "two objects have one SOPInstanceUID"
    series: dict[str, str] = {}
    for dataset in datasets:
        if series.setdefault(str(dataset.SeriesInstanceUID), str(dataset.Modality)) != dataset.Modality:
            yield f"a series holds {dataset.Modality} beside another modality"


def _one_frame_of_reference(datasets: Sequence[Dataset]) -> Iterator[str]:
    if len({str(dataset.FrameOfReferenceUID) for dataset in datasets if "FrameOfReferenceUID" in dataset}) > 1:
        yield "the objects do not share one FrameOfReferenceUID"


def _lesions(datasets: Sequence[Dataset]) -> Iterator[str]:
    """Each group of a report that has a segment speaks of that segment: same tracking, same volume."""
    segs = {str(dataset.SOPInstanceUID): dataset for dataset in datasets if "SegmentSequence" in dataset}
    counts = {instance: _voxels(seg) for instance, seg in segs.items()}
    if not segs:
        return
    for report in (dataset for dataset in datasets if dataset.Modality == "SR"):
        spoken = list(_spoken_of(report))
        if not spoken:
            yield "the report speaks of no segment"
        for instance, number, group in spoken:
            if instance not in segs:
                yield "the report speaks of a segmentation that is no part of this result"
            else:
                yield from _tracking(segs[instance], number, group)
                yield from _volumes(segs[instance], number, counts[instance].get(number, 0), group)


def _spoken_of(report: Dataset) -> Iterator[tuple[str, int, Dataset]]:
    """(SEG instance, segment number, group) of every group that has a segment."""
    for group in _items(report):
        for item in group.get("ContentSequence", ()):
            if name_of(item) == REFERENCED_SEGMENT:
                reference = item.ReferencedSOPSequence[0]
                yield str(reference.ReferencedSOPInstanceUID), int(reference.get("ReferencedSegmentNumber", 0)), group


def _tracking(seg: Dataset, number: int, group: Dataset) -> Iterator[str]:
    segment = next((item for item in seg.SegmentSequence if int(item.SegmentNumber) == number), None)
    if segment is None:
        yield f"the report speaks of segment {number}, which is not there"
    elif [str(item.UID) for item in group.ContentSequence if name_of(item) == TRACKING_UID] != [segment.TrackingUID]:
        yield f"segment {number} and its group are tracked differently"


def _volumes(seg: Dataset, number: int, voxels: int, group: Dataset) -> Iterator[str]:
    """The stated volume is that of the marked voxels. Where gaps differ a SEG without its empty frames cannot tell."""
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    if "SpacingBetweenSlices" not in measures:
        return
    gap_mm = float(measures.SpacingBetweenSlices)
    voxel_ml = gap_mm * float(np.prod([float(mm) for mm in measures.PixelSpacing])) / 1000
    counted_ml = voxels * voxel_ml
    allowed_ml = ROUNDING_ML + counted_ml * UNEQUAL_MM / gap_mm  # gaps that differ by less count as equal
    for item in group.ContentSequence:
        if name_of(item) == VOLUME.value:
            stated_ml = float(item.MeasuredValueSequence[0].NumericValue)
            if abs(stated_ml - counted_ml) > allowed_ml:
                yield f"the report gives segment {number} {stated_ml:g} mL, its voxels come to {counted_ml:.2f} mL"


def _voxels(seg: Dataset) -> Counter[int]:
    """Marked voxels of each segment, in a binary segmentation or a label map of stored bytes."""
    groups, found = seg.PerFrameFunctionalGroupsSequence, Counter[int]()
    size = int(seg.Rows) * int(seg.Columns)
    if seg.SegmentationType == "LABELMAP":
        labels = np.frombuffer(seg.PixelData, "<u1" if seg.BitsAllocated == 8 else "<u2")
        for frame in labels[: size * len(groups)].reshape(len(groups), size):
            found.update(dict(enumerate(np.bincount(frame).tolist())))
        return found
    bits = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
    for group, frame in zip(groups, bits[: size * len(groups)].reshape(len(groups), size), strict=True):
        found[int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)] += int(np.count_nonzero(frame))
    return found


def _items(node: Dataset) -> Iterable[Dataset]:
    for item in node.get("ContentSequence", ()):
        yield item
        yield from _items(item)
