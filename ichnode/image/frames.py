"""What the headers say of each frame of a series, classic (one frame an instance) or Enhanced (many)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from pydicom import Dataset

from ichnode.domain.errors import Rejected
from ichnode.image.readable import UNREADABLE

# Where the attributes of a frame stand in a multi-frame image. Source: PS3.3 C.7.6.16.2, C.8.15.3.10
FUNCTIONAL_GROUPS: Final = MappingProxyType(
    {
        "ImagePositionPatient": "PlanePositionSequence",
        "ImageOrientationPatient": "PlaneOrientationSequence",
        "PixelSpacing": "PixelMeasuresSequence",
        "SliceThickness": "PixelMeasuresSequence",
        "RescaleSlope": "PixelValueTransformationSequence",
        "RescaleIntercept": "PixelValueTransformationSequence",
        "RescaleType": "PixelValueTransformationSequence",
        "AcquisitionNumber": "FrameContentSequence",
    }
)
# AcquisitionNumber (0020,0012) is called otherwise in a frame's own context: FrameAcquisitionNumber (0020,9156)
KEYWORD_IN_GROUP: Final = MappingProxyType({"AcquisitionNumber": "FrameAcquisitionNumber"})
MOST_BITS: Final = 32  # allocated to a pixel; a CT has 16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One frame. ``index`` counts from 0 within ``dataset``, None for a classic image; ``number`` is its name in a
    sentence. ``position`` and ``orientation`` in LPS (mm, unit vectors); ``spacing`` mm between rows, columns.
    """

    dataset: Dataset
    index: int | None
    number: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    slope: float
    intercept: float
    thickness_mm: float | None
    acquisition: int | None

    @property
    def matrix(self) -> tuple[int, int]:
        """(rows, columns)."""
        return int(self.dataset.Rows), int(self.dataset.Columns)


def frames_of(datasets: Sequence[Dataset]) -> tuple[Frame, ...]:
    """All frames of the images, in the order given.

    Raises Rejected where a frame does not say where it lies or what its numbers mean in HU.
    """
    numbers = [_whole(_read(dataset, "InstanceNumber")) for dataset in datasets]
    named = None not in numbers and len(set(numbers)) == len(numbers)
    frames = []
    for ordinal, (dataset, number) in enumerate(zip(datasets, numbers, strict=True), start=1):
        _check_picture(dataset, ordinal)
        for header in _headers(dataset):
            single = number if named and number is not None else ordinal
            frames.append(_frame(header, single if header.index is None else header.index + 1))
    return tuple(frames)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Header:
    """One frame's view of its data set: looks where the attribute stands for this kind of image."""

    dataset: Dataset
    index: int | None

    def get(self, keyword: str) -> Any:
        if self.index is None:
            return _read(self.dataset, keyword)
        keyword_in_group = KEYWORD_IN_GROUP.get(keyword, keyword)
        own = self.dataset.PerFrameFunctionalGroupsSequence[self.index]
        for groups in (own, *(self.dataset.get("SharedFunctionalGroupsSequence") or ())):
            sequence = groups.get(FUNCTIONAL_GROUPS[keyword])
            if sequence and (value := _read(sequence[0], keyword_in_group)) is not None:
                return value
        return None

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        value = self.get(keyword)
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        try:
            found = tuple(float(v) for v in values)
        except (TypeError, ValueError):
            return None
        return found if len(found) == count and all(map(math.isfinite, found)) else None


def _headers(dataset: Dataset) -> Iterator[_Header]:
    count = _whole(_read(dataset, "NumberOfFrames")) or 1
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        if count > 1:
            raise Rejected("An image has several frames, but does not say where each of them lies.")
        yield _Header(dataset=dataset, index=None)
        return
    if len(groups) != count:
        raise Rejected(f"An image announces {count} frames and describes {len(groups)}.")
    for index in range(count):
        yield _Header(dataset=dataset, index=index)


def _frame(header: _Header, number: int) -> Frame:
    def needed(keyword: str, count: int, what: str) -> tuple[float, ...]:
        found = header.numbers(keyword, count)
        if found is None:
            raise Rejected(f"Slice {number} does not say {what}.")
        return found

    scale = "how its values become Hounsfield units (rescale slope and intercept)"
    (slope,), (intercept,) = needed("RescaleSlope", 1, scale), needed("RescaleIntercept", 1, scale)
    kind = str(header.get("RescaleType") or "HU").strip()
    if kind != "HU" or slope == 0:
        raise Rejected(f"The values of slice {number} are not Hounsfield units (rescale type {kind}, slope {slope:g}).")
    thickness = header.numbers("SliceThickness", 1)
    return Frame(
        dataset=header.dataset,
        index=header.index,
        number=number,
        position=needed("ImagePositionPatient", 3, "where it lies (image position)"),
        orientation=needed("ImageOrientationPatient", 6, "how it is turned (image orientation)"),
        spacing=needed("PixelSpacing", 2, "how large its pixels are (pixel spacing)"),
        slope=slope,
        intercept=intercept,
        thickness_mm=thickness[0] if thickness and thickness[0] > 0 else None,
        acquisition=_whole(header.get("AcquisitionNumber")),
    )


def _check_picture(dataset: Dataset, ordinal: int) -> None:
    rows, columns = (_whole(_read(dataset, keyword)) or 0 for keyword in ("Rows", "Columns"))
    if "PixelData" not in dataset or rows <= 0 or columns <= 0:
        raise Rejected(f"Object {ordinal} of the series is not an image.")
    if dataset.get("SamplesPerPixel", 1) != 1:
        raise Rejected(f"Image {ordinal} of the series is a colour picture, not a CT slice.")
    if not _says_how_stored(dataset):
        raise Rejected(f"Image {ordinal} of the series does not say how its values are stored (bits and sign).")


def _says_how_stored(dataset: Dataset) -> bool:
    """Whether bits and sign are such as can be. Source: PS3.5 8.1.1."""
    keywords = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
    allocated, stored, high, signed = (_whole(_read(dataset, keyword)) for keyword in keywords)
    if allocated is None or stored is None or signed not in (0, 1):
        return False
    if high is None and _read(dataset, "HighBit"):
        return False
    return 0 < stored <= allocated <= MOST_BITS and 0 <= (high or 0) < allocated


def _read(dataset: Dataset, keyword: str) -> Any:
    """The attribute's value; None where it is absent, empty or written so that it cannot be read."""
    try:
        return dataset.get(keyword)
    except UNREADABLE:
        return None


def _whole(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None
