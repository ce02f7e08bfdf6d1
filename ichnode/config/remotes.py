"""config.toml: the DICOM applications that we call."""

from typing import Literal

from pydantic import Field

from ichnode.config.values import AETitle, Port, Seconds, Section
from ichnode.domain.commitment import Commitment
from ichnode.domain.outputs import USUAL_KINDS, ObjectKind
from ichnode.domain.profile import Profile, ScForm, SegForm, SrForm


class Remote(Section):
    """A DICOM application that we call."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w.-]+$", description="Our name for it.")
    host: str = Field(min_length=1, description="Host name or address.")
    port: Port = Field(description="Its port.")
    ae_title: AETitle = Field(description="Its AE title.")
    tls: bool = Field(False, description="Call it over TLS: `port` is its port for that. Needs `tls.ca`.")
    tls_name: str = Field("", description='Name in its certificate; else `host`. `"*"`: any that `tls.ca` signed.')


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

    commitment: Commitment = Field(
        Commitment.AUTO,
        description="Ask for storage commitment: `auto` where it offers it, `ask` always (else an alarm), `no` never.",
    )
    commitment_wait_s: Seconds = Field(
        3600, description="Wait for its report; then it is asked again, and waited for twice as long each time."
    )
    confirm: bool = Field(False, description="Look for the objects by C-FIND where there is no storage commitment.")
    confirm_from: str = Field("", description="Name of a `[[pacs]]` that is asked instead of the destination itself.")

    @property
    def profile(self) -> Profile:
        """The forms of what it takes."""
        return Profile(seg=self.seg, sr=self.sr, sc=self.sc, kinds=frozenset(self.objects))


class ModalitySection(Remote):
    """A peer that asks us for storage commitment: where its reports go. Destinations and PACS need none."""


class PacsSection(Remote):
    """A PACS that we ask (C-FIND) and pull from (C-GET or C-MOVE)."""

    retrieve: Literal["get", "move"] = Field("get", description="How `replay --from-pacs` pulls.")
