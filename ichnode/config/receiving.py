"""config.toml: what is received, when it is complete, and what is chosen."""

import re
from typing import Literal

from pydantic import Field, field_validator

from ichnode.config.values import AETitle, DnsName, Network, Pattern, Port, Seconds, Section, Uid
from ichnode.receive.allow import Right


class AllowedPeer(Section):
    """Who may call: an AE title and the network that it calls from. `"*"` and `"0.0.0.0/0"` must be written out. The
    first entry that fits a caller says what it may."""

    ae_title: AETitle = Field(description='Calling AE title; `"*"` for any.')
    network: Network = Field(description="Address or network in CIDR notation that it calls from.")
    may: tuple[Right, ...] = Field(
        tuple(Right), description="What it may ask for. `commitment` is also what a PACS needs that reports to us."
    )
    tls: Literal["optional", "required"] = Field("optional", description="`required`: it is let in over TLS alone.")
    tls_names: tuple[DnsName, ...] = Field(
        (), description="It is let in only over TLS, with a certificate made out to one of these names."
    )
    max_associations: int | None = Field(None, ge=1, description="At once from each address; more are rejected.")
    max_per_minute: int | None = Field(
        None,
        ge=1,
        description="Images and commitment requests a minute from each address; more are slowed, then refused.",
    )
    max_instance_mb: int | None = Field(None, ge=1, description="Instead of `receive.max_instance_mb`.")


class Receive(Section):
    """The C-STORE SCP."""

    host: str = Field("0.0.0.0", description="Address to listen on.")
    port: Port = Field(11112, description="Port to listen on.")
    tls_port: Port | None = Field(None, description="Port for DICOM over TLS (IANA: 2762). Needs `[tls]`.")
    max_associations: int = Field(20, ge=1, le=200, description="More at once are rejected (local limit exceeded).")
    max_pdu_bytes: int = Field(131072, ge=4096, le=1048576, description="Largest PDU that we take.")
    acse_timeout_s: Seconds = Field(30, description="Longest wait while an association is negotiated.")
    dimse_timeout_s: Seconds = Field(60, description="Longest wait within a DIMSE message.")
    network_timeout_s: Seconds = Field(60, description="Longest silence on an open association.")
    max_instance_mb: int = Field(512, ge=1, description="A larger image is not taken: the association is aborted.")
    max_memory_mb: int = Field(
        768,
        ge=1,
        description="What all incoming images may take of memory; beyond it an association is aborted.",
    )
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
    identity_from: str = Field(
        "",
        description="Name of a `[[pacs]]` to ask whose a study is before results go out; if another's, they are held.",
    )


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
