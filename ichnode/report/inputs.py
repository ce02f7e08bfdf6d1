"""What a report is made from, besides the findings: the source images, the installation, earlier versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ichnode.domain.errors import ConfigError, Rejected
from ichnode.domain.flags import Flag
from ichnode.domain.outputs import ObjectKind
from ichnode.domain.values import ModelIdentity, Volume
from ichnode.report.stated import raw_value
from ichnode.report.uids import ENCODER_REVISION, digest, instances_digest, uid

MAX_LONG_STRING: Final = 64  # characters of a value with VR LO, PS3.5 6.2
MAX_THICKNESS_MM: Final = 100.0  # more is no thickness but an error of the header


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """This node among others, and how its series are called. Text is ASCII, of at most 64 characters.

    Raises ConfigError for other text, for a description that does not say RESEARCH, for a number below 1.
    """

    device_serial: str
    node_version: str
    series_numbers: Mapping[ObjectKind, int] = field(
        default_factory=lambda: {kind: number for number, kind in enumerate(ObjectKind, 9001)}
    )
    descriptions: Mapping[ObjectKind, str] = field(
        default_factory=lambda: {
            ObjectKind.SEG: "ICHNODE ICH segmentation (RESEARCH)",
            ObjectKind.SR: "ICHNODE ICH report (RESEARCH)",
            ObjectKind.SC: "ICHNODE ICH overlay (RESEARCH)",
            ObjectKind.KOS: "ICHNODE ICH key images (RESEARCH)",
            ObjectKind.PDF: "ICHNODE ICH summary (RESEARCH)",
        }
    )
    not_analysed_description: str = "ICHNODE not analysed (RESEARCH)"

    def __post_init__(self) -> None:
        descriptions = [*self.descriptions.values(), self.not_analysed_description]
        for text in [self.device_serial, self.node_version, *descriptions]:
            if not text.isascii() or not text.isprintable() or "\\" in text or not 0 < len(text) <= MAX_LONG_STRING:
                raise ConfigError(f'"{text}" cannot be written into an object.', hint="Use 1 to 64 ASCII characters.")
        for text in descriptions:
            if "RESEARCH" not in text:
                raise ConfigError(f'The description "{text}" does not say RESEARCH.', hint="Put the word into it.")
        if min(self.series_numbers.values()) < 1 or set(self.series_numbers) != set(ObjectKind):
            raise ConfigError("Each kind of object needs a series number of at least 1.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """The images that were analysed. ``datasets``: their headers, in any order, the ones the volume left out too.

    Raises Rejected when a slice of the volume comes from none of the datasets.
    """

    datasets: tuple[Dataset, ...]
    volume: Volume

    def __post_init__(self) -> None:
        if not {slice_.sop_instance_uid for slice_ in self.volume.sources} <= set(self._by_uid):
            raise Rejected("The volume refers to images that are not in the series.")

    @cached_property
    def _by_uid(self) -> dict[str, Dataset]:
        return {str(dataset.SOPInstanceUID): dataset for dataset in self.datasets}

    @cached_property
    def images(self) -> tuple[Dataset, ...]:
        """(Z,) the dataset behind each slice of the volume; the same one Z times where it is multi-frame."""
        return tuple(self._by_uid[slice_.sop_instance_uid] for slice_ in self.volume.sources)

    @cached_property
    def frame_of_reference_uid(self) -> str:
        """FrameOfReferenceUID of the images; where they have none, one made up from their series."""
        stated = raw_value(self.images[0], "FrameOfReferenceUID").decode("ascii", "replace")
        return stated if UID(stated).is_valid else uid("frame-of-reference", str(self.images[0].SeriesInstanceUID))

    @cached_property
    def slice_thickness_mm(self) -> float:
        """SliceThickness of the first image; where it states none, the median distance between slices."""
        return _stated_thickness_mm(self.images[0]) or float(np.median(self.volume.geometry.gaps_mm))

    def slice_name(self, index: int) -> str:
        """What to call a slice: its place in the stack, and its number in the series if any."""
        frame = self.volume.sources[index].frame_number
        number = raw_value(self.images[index], "InstanceNumber").decode("ascii", "replace")
        known = f" (frame {frame})" if frame is not None else f" (image {number})" if number.isdigit() else ""
        return f"slice {index + 1} of {len(self.images)}{known}"

    @property
    def repairs(self) -> frozenset[Flag]:
        """QF_HEADER where the headers lack something that every object needs."""
        stated = raw_value(self.images[0], "FrameOfReferenceUID").decode("ascii", "replace")
        whole = stated == self.frame_of_reference_uid and _stated_thickness_mm(self.images[0])
        return frozenset() if whole else frozenset({Flag.QF_HEADER})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Context:
    """What all objects of one result have in common.

    ``header``: a source image, whose patient and study they take over. ``model`` is None where none spoke. ``at``: when
    the result came to be, in local time; it is no part of any UID, so whoever makes a result again hands in the first
    run's time.
    """

    installation: Installation
    at: datetime
    header: Dataset
    instances: str  # instances_digest of the source series
    model: ModelIdentity | None

    @classmethod
    def of(
        cls, datasets: Sequence[Dataset], installation: Installation, at: datetime, model: ModelIdentity | None = None
    ) -> "Context":
        """The context of a result about ``datasets``, all of one series. Raises Rejected for none."""
        if not datasets:
            raise Rejected("There are no images to report about.")
        instances = instances_digest(str(dataset.SOPInstanceUID) for dataset in datasets)
        local = at.replace(tzinfo=None, microsecond=0)
        return cls(installation=installation, at=local, header=datasets[0], instances=instances, model=model)

    def uid(self, kind: str, *content: str) -> str:
        """The UID of something of this result; ``content``: digests of what it says: other content, other UID."""
        model = self.model
        weights = (model.name, model.version, model.sha256) if model else ("", "", "")
        there = (self.study_uid, self.series_uid, self.instances, self._patient_digest())
        return uid(kind, *there, self._installation_digest(), *weights, ENCODER_REVISION, *content)

    def _patient_digest(self) -> str:
        """Of whose it is: under a corrected identity a result is another object, not the same with other bytes."""
        keywords = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
        return digest(*(raw_value(self.header, keyword) for keyword in keywords))

    def tracking_uid(self, identifier: str) -> str:
        """The UID of a lesion, or of the study as a whole; another model sees the same one."""
        return uid("tracking", self.study_uid, self.series_uid, identifier)

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID of the source."""
        return str(self.header.StudyInstanceUID)

    @property
    def series_uid(self) -> str:
        """SeriesInstanceUID of the source."""
        return str(self.header.SeriesInstanceUID)

    def _installation_digest(self) -> str:
        here = self.installation
        named = [f"{kind} {here.series_numbers[kind]} {here.descriptions[kind]}" for kind in ObjectKind]
        return digest(here.device_serial, here.node_version, *named, here.not_analysed_description)


def _stated_thickness_mm(image: Dataset) -> float | None:
    """SliceThickness that the header states, in its functional groups where it is multi-frame; None for no number."""
    holder = image
    for group in frame_groups(image):
        if group.get("PixelMeasuresSequence"):
            holder = group.PixelMeasuresSequence[0]
            break
    try:
        thickness = float(raw_value(holder, "SliceThickness"))
    except ValueError:
        return None
    return thickness if 0 < thickness < MAX_THICKNESS_MM else None


def frame_groups(image: Dataset, frame: int | None = None) -> list[Dataset]:
    """The functional groups of a multi-frame image: the shared ones, then those of ``frame`` (from 1) or of all frames.

    None of a single-frame image.
    """
    shared, single = image.get("SharedFunctionalGroupsSequence"), image.get("PerFrameFunctionalGroupsSequence")
    own = list(single or ())
    return [*(shared or ()), *(own if frame is None else own[frame - 1 : frame])]
