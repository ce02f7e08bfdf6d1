"""In which form a destination takes each kind of object: what one PACS shows, another refuses."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ichnode.domain.outputs import USUAL_KINDS, USUAL_PROFILE, ObjectKind


class SegForm(StrEnum):
    """How a segmentation holds its pixels."""

    BINARY = "binary"  # a bit a pixel, a frame for each lesion: what readers know
    LABELMAP = "labelmap"  # the number of the lesion at each pixel; younger, another SOP class


class SrForm(StrEnum):
    """Which SOP class a structured report has; the tree is the same in all."""

    COMPREHENSIVE_3D = "comprehensive-3d"
    COMPREHENSIVE = "comprehensive"
    ENHANCED = "enhanced"


class ScForm(StrEnum):
    """How the pages of the secondary capture are bound."""

    SINGLE_FRAME = "single-frame"  # an object a page, which may say where its slice lies
    MULTI_FRAME = "multi-frame"  # one object with all pages


LABEL_MAP_SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.7"  # Label Map Segmentation Storage, Supplement 243
SOP_CLASSES: Final[Mapping[StrEnum, str]] = {  # PS3.6 table A-1
    SegForm.BINARY: "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation Storage
    SegForm.LABELMAP: LABEL_MAP_SEGMENTATION,
    SrForm.COMPREHENSIVE_3D: "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR Storage
    SrForm.COMPREHENSIVE: "1.2.840.10008.5.1.4.1.1.88.33",  # Comprehensive SR Storage
    SrForm.ENHANCED: "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR Storage
    ScForm.SINGLE_FRAME: "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image Storage
    ScForm.MULTI_FRAME: "1.2.840.10008.5.1.4.1.1.7.4",  # Multi-frame True Color Secondary Capture Image Storage
    ObjectKind.KOS: "1.2.840.10008.5.1.4.1.1.88.59",  # Key Object Selection Document Storage
    ObjectKind.PDF: "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF Storage
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The form of each kind of object, and the ``kinds`` that are made in it.

    The segmentation and the report are made whatever ``kinds`` says: the report refers to the one, and a later scan is
    compared with both.
    """

    seg: SegForm = SegForm.BINARY
    sr: SrForm = SrForm.COMPREHENSIVE_3D
    sc: ScForm = ScForm.SINGLE_FRAME
    kinds: frozenset[ObjectKind] = frozenset(USUAL_KINDS)

    @property
    def name(self) -> str:
        """What the queue knows it by: a function of the forms alone, so that it outlives a change of the kinds."""
        forms = (self.seg, self.sr, self.sc)
        return USUAL_PROFILE if forms == _USUAL_FORMS else "/".join(forms)

    @property
    def sop_classes(self) -> frozenset[str]:
        """The SOP classes of the objects of its kinds."""
        forms: dict[ObjectKind, SegForm | SrForm | ScForm] = {
            ObjectKind.SEG: self.seg,
            ObjectKind.SR: self.sr,
            ObjectKind.SC: self.sc,
        }
        return frozenset(SOP_CLASSES[forms.get(kind, kind)] for kind in self.kinds)


_USUAL_FORMS: Final = (SegForm.BINARY, SrForm.COMPREHENSIVE_3D, ScForm.SINGLE_FRAME)
USUAL: Final = Profile()


def distinct(profiles: Iterable[Profile]) -> tuple[Profile, ...]:
    """Each combination of forms once, with all kinds that any of ``profiles`` has in it; the usual one for none."""
    found: dict[str, Profile] = {}
    for profile in profiles:
        kinds = profile.kinds | (found[profile.name].kinds if profile.name in found else frozenset())
        found[profile.name] = Profile(seg=profile.seg, sr=profile.sr, sc=profile.sc, kinds=kinds)
    return tuple(found.values()) or (USUAL,)
