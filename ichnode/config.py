"""What may stand in config.toml: its tables and keys, with types, limits, defaults and meanings, all frozen."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydicom.datadict import keyword_dict, tag_for_keyword

from ichnode.config_values import AETitle, Days, Network, OneLine, Pattern, Port, Seconds, Section, Uid
from ichnode.domain.flags import Flag
from ichnode.domain.onset import OnsetMeaning
from ichnode.domain.outputs import USUAL_KINDS, ObjectKind
from ichnode.domain.profile import Profile, ScForm, SegForm, SrForm, distinct


class Node(Section):
    """The node itself."""

    ae_title: AETitle = Field("ICHNODE", description="Our AE title, as called and as calling.")
    state_dir: Path = Field(Path("/var/lib/ichnode"), description="Folder of the queue, the images and the results.")
    serial: OneLine = Field("ICHNODE-0001", description="Device serial number of this installation.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged.")


class AllowedPeer(Section):
    """Who may send: an AE title and the network that it calls from. `"*"` and `"0.0.0.0/0"` must be written out."""

    ae_title: AETitle = Field(description='Calling AE title; `"*"` for any.')
    network: Network = Field(description="Address or network in CIDR notation that it calls from.")


class Receive(Section):
    """The C-STORE SCP."""

    host: str = Field("0.0.0.0", description="Address to listen on.")
    port: Port = Field(11112, description="Port to listen on.")
    max_associations: int = Field(20, ge=1, le=200, description="More at once are rejected (local limit exceeded).")
    max_pdu_bytes: int = Field(131072, ge=4096, le=1048576, description="Largest PDU that we take.")
    acse_timeout_s: Seconds = Field(30, description="Longest wait while an association is negotiated.")
    dimse_timeout_s: Seconds = Field(60, description="Longest wait within a DIMSE message.")
    network_timeout_s: Seconds = Field(60, description="Longest silence on an open association.")
    min_free_mb: int = Field(2048, ge=0, description="Below this free space every C-STORE is refused with 0xA700.")
    accept_also: tuple[Uid, ...] = Field(
        ("1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"),
        description="SOP classes accepted beside CT, so that each such series ends with a reason; never analysed.",
    )
    peer: tuple[AllowedPeer, ...] = Field(min_length=1, description="Who may send: `[[receive.peer]]`, a table each.")


class Series(Section):
    """When a series is complete, and what becomes of one that never is."""

    quiet_s: Seconds = Field(20, description="A gapless series is complete after this long without a new slice.")
    study_quiet_s: Seconds = Field(15, description="The best series is chosen this long after the study's last slice.")
    give_up_s: Seconds = Field(600, description="A series that stays incomplete is waited for this long.")
    incomplete: Literal["analyse", "skip"] = Field(
        "analyse", description="Then it is analysed with flag QF_MISSING, or not at all, which an SR says."
    )
    prefer_thickness_mm: float = Field(5.0, gt=0, description="Of several candidates the nearest to this is analysed.")
    count_from: str = Field("", description="Name of a `[[pacs]]` that is asked how many images a series has.")


class RuleSection(Section):
    """One rule on series, read from the top: the first that fits decides. All conditions given must hold."""

    name: str = Field(description="Short name, for `rules test`.")
    action: Literal["skip", "analyse"] = Field("skip", description="`analyse` ends the rules: nothing below applies.")
    why: str = Field(description="The reason, as a person shall read it. `{kernel}` and the like are filled in.")
    calling_ae: tuple[str, ...] | None = Field(
        None, description="Calling AE title is one of these (`*` as in file names)."
    )
    modality: tuple[str, ...] | None = Field(None, description="Modality is one of these.")
    modality_not: tuple[str, ...] | None = Field(None, description="Modality is none of these.")
    sop_class_not: tuple[str, ...] | None = Field(None, description="SOP class is none of these.")
    image_type_any: tuple[str, ...] | None = Field(None, description="ImageType holds one of these values.")
    body_part: Pattern | None = Field(None, description="Regular expression found in BodyPartExamined.")
    description: Pattern | None = Field(None, description="Regular expression found in study, series or protocol text.")
    series_description: Pattern | None = Field(None, description="Regular expression found in SeriesDescription.")
    kernel: Pattern | None = Field(None, description="Regular expression found in ConvolutionKernel.")
    thickness_min_mm: float | None = Field(None, description="SliceThickness is at least this.")
    thickness_max_mm: float | None = Field(None, description="SliceThickness is at most this.")
    axial_below: float | None = Field(None, description="The slice normal's share along the body axis (0-1) is less.")
    slices_below: int | None = Field(None, description="Fewer slices.")
    slices_above: int | None = Field(None, description="More slices.")
    repeats: bool | None = Field(None, description="Several images lie at each position.")
    contrast: bool | None = Field(None, description="ContrastBolusAgent names an agent (an empty one proves nothing).")
    lossy: bool | None = Field(None, description="LossyImageCompression is 01.")
    only_if_other: bool = Field(False, description="Applies only where the study has another series to analyse.")

    @field_validator("body_part", "description", "series_description", "kernel")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"is not a regular expression: {error}") from error
        return pattern


class Work(Section):
    """The worker."""

    weights: Path = Field(Path("weights/ich-zhong2021"), description="Folder of the weights; relative to this file.")
    device: Literal["auto", "cuda", "cpu", "torch-cpu"] = Field(
        "auto", description="`auto`: CUDA where there is one, else OpenVINO on the CPU (`cpu`)."
    )
    threads: int = Field(0, ge=0, description="CPU threads of a worker; 0: all cores.")
    job_limit_s: Seconds = Field(300, description="A job that takes longer is stopped and tried again.")
    attempts: int = Field(3, ge=1, description="Then the job has failed; an SR says so.")
    retry_delay_s: Seconds = Field(30, description="Wait before a job is tried again.")
    lease_s: Seconds = Field(60, description="A worker silent for this long has lost its job.")
    untrained_expansion: bool = Field(
        False, description="Report expansion (marked) even from weights not trained on patients' outcomes."
    )


class OnsetSection(Section):
    """Where a site sends the time of onset: the first that finds one decides. `ichnode onset` goes before all."""

    attribute: str = Field(description='Keyword or tag: "StudyComments", "(0032,4000)", private "(0033,xx01)".')
    creator: str = Field("", description="Private creator; for a private attribute alone.")
    pattern: Pattern = Field(description="Regular expression searched in its text, with named groups.")
    meaning: OnsetMeaning = Field(
        OnsetMeaning.DURATION,
        description="`duration` to CT: groups `hours`, `minutes`; `clock` of onset: `hour`, `minute`, maybe a date.",
    )

    @field_validator("attribute")
    @classmethod
    def _exists(cls, attribute: str) -> str:
        if attribute.isalnum() and tag_for_keyword(attribute) is None:
            near = get_close_matches(attribute, keyword_dict, 1)
            raise ValueError(f"is no keyword of DICOM: {attribute!r}" + (f"; is it {near[0]}?" if near else ""))
        return attribute


class Quality(Section):
    """When a result is not to be believed: docs/explanation/quality.md lists the flags."""

    refuse: tuple[str, ...] = Field(
        ("QF_HEAD", "QF_CONTRAST"), description="Flags that end in no analysis; all others are told as doubts."
    )

    @field_validator("refuse")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in Flag.__members__:
                raise ValueError(f"names no flag: {name!r}; there are {', '.join(Flag.__members__)}")
        return names


class SeriesNaming(Section):
    """Number and description of the series that a kind of object goes into."""

    number: int = Field(ge=1, le=2**31 - 1, description="SeriesNumber.")
    description: OneLine = Field(description="SeriesDescription: ASCII, and it must say RESEARCH.")

    @field_validator("description")
    @classmethod
    def _says_research(cls, description: str) -> str:
        if "RESEARCH" not in description:
            raise ValueError(f"must say RESEARCH, which {description!r} does not")
        return description


class Report(Section):
    """The objects."""

    seg: SeriesNaming = Field(
        SeriesNaming(number=9001, description="ICHNODE ICH segmentation (RESEARCH)"), description="DICOM-SEG."
    )
    sr: SeriesNaming = Field(
        SeriesNaming(number=9002, description="ICHNODE ICH report (RESEARCH)"), description="Structured report."
    )
    sc: SeriesNaming = Field(
        SeriesNaming(number=9003, description="ICHNODE ICH overlay (RESEARCH)"), description="Secondary capture."
    )
    kos: SeriesNaming = Field(
        SeriesNaming(number=9004, description="ICHNODE ICH key images (RESEARCH)"), description="Key object selection."
    )
    pdf: SeriesNaming = Field(
        SeriesNaming(number=9005, description="ICHNODE ICH summary (RESEARCH)"), description="Page one as PDF."
    )

    @field_validator("seg", "sr", "sc", "kos", "pdf", mode="before")
    @classmethod
    def _complete(cls, given: object, info: ValidationInfo) -> object:
        default = cls.model_fields[str(info.field_name)].default.model_dump()
        return default | given if isinstance(given, dict) else given


class Remote(Section):
    """A DICOM application that we call."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w.-]+$", description="Our name for it.")
    host: str = Field(min_length=1, description="Host name or address.")
    port: Port = Field(description="Its port.")
    ae_title: AETitle = Field(description="Its AE title.")


class DestinationSection(Remote):
    """Where results go."""

    objects: tuple[ObjectKind, ...] = Field(USUAL_KINDS, description="Which objects it takes.")
    seg: SegForm = Field(SegForm.BINARY, description="Form of the SEG; few PACS take a label map yet.")
    sr: SrForm = Field(SrForm.COMPREHENSIVE_3D, description="SOP class of the SR; the content is the same.")
    sc: ScForm = Field(ScForm.SINGLE_FRAME, description="An object a page, or one with all pages.")
    not_analysed: bool = Field(
        True,
        description="A report with the reason for each series not analysed, a page too for one that was chosen.",
    )
    implicit_vr: bool = Field(True, description="Offer Implicit VR Little Endian beside Explicit.")
    first_retry_s: Seconds = Field(30, description="Wait after the first failure; doubles each time, with jitter.")
    max_retry_s: Seconds = Field(3600, description="Longest wait between tries. Tries never end by themselves.")

    @property
    def profile(self) -> Profile:
        """The forms of what it takes."""
        return Profile(seg=self.seg, sr=self.sr, sc=self.sc, kinds=frozenset(self.objects))


class PacsSection(Remote):
    """A PACS that we ask (C-FIND) and pull from (C-GET or C-MOVE)."""

    retrieve: Literal["get", "move"] = Field("get", description="How `replay --from-pacs` pulls.")


class Retention(Section):
    """When files are deleted. What was not delivered is never deleted."""

    delivered_days: Days = Field(30, description="Images and objects of delivered results.")
    skipped_days: Days = Field(7, description="Images of series that were not analysed.")
    failed_days: Days = Field(90, description="Images of series whose analysis failed.")
    quarantine_days: Days = Field(180, description="Files in quarantine.")
    target_free_mb: int = Field(
        8192, ge=0, description="Below this free space the oldest delivered series go before their time."
    )


class Schedule(Section):
    """What is done again and again."""

    sweep_s: Seconds = Field(2, description="How often the receiver looks for complete series.")
    lease_sweep_s: Seconds = Field(15, description="How often jobs of dead workers are looked for.")
    echo_s: Seconds = Field(300, description="How often every destination and PACS is echoed.")
    retention_s: Seconds = Field(3600, description="How often files past their time are deleted.")
    reconcile_at: str = Field(
        "04:10", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="When disk and database are compared, each day."
    )


class Config(Section):
    """The whole of config.toml."""

    node: Node = Field(Node(), description="")
    receive: Receive
    series: Series = Field(Series(), description="")
    rule: tuple[RuleSection, ...] | None = Field(None, description="")
    work: Work = Field(Work(), description="")
    onset: tuple[OnsetSection, ...] = Field((), description="")
    quality: Quality = Field(Quality(), description="")
    report: Report = Field(Report(), description="")
    destination: tuple[DestinationSection, ...] = Field((), description="")
    pacs: tuple[PacsSection, ...] = Field((), description="")
    retention: Retention = Field(Retention(), description="")
    schedule: Schedule = Field(Schedule(), description="")

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """In which forms results are made: those of all destinations, each once."""
        return distinct(destination.profile for destination in self.destination)

    @property
    def accepted_also(self) -> tuple[str, ...]:
        """The SOP classes taken beside CT: those stated and, unless there are none, all that destinations are given.

        A PACS that forwards whole studies sends our objects back, and stops at the first class that is refused.
        """
        stated = self.receive.accept_also
        given = {uid for profile in self.profiles for uid in profile.sop_classes} if stated else set()
        return (*stated, *sorted(given - set(stated)))


def section_of(section: type[Section], key: str) -> type[Section]:
    """The section class behind a key, through tuples and optionals; the class itself for a plain value."""
    seen = [section.model_fields[key].annotation]
    while seen:
        kind: Any = seen.pop()
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
        seen.extend(getattr(kind, "__args__", ()))
    return section
