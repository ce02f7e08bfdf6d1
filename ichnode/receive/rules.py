"""Rules that say which series are not to be analysed, and why; the site's own may stand before the default ones."""

import re
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from string import Formatter
from typing import Any, Final

from ichnode.domain.errors import ConfigError
from ichnode.receive.contexts import CT_CLASSES
from ichnode.receive.series_facts import SeriesFacts

MINIMUM_SLICES: Final = 10


_SAMPLE: Final = SeriesFacts(  # a series with all facts: every sound template can be filled from it
    id=1, kernel="UB", body_part="HEAD", thickness_mm=5.0, axial=1.0, number=1, contrast_agent="agent"
)


class Action(StrEnum):
    """What a rule does to a series that it matches."""

    SKIP = "skip"
    ANALYSE = "analyse"  # no later rule may skip it: a site's way to force a series


class _Template(Formatter):
    """What a header does not state reads "unknown", whatever number format the template asks for."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return "unknown" if value is None or value == "" else str(super().format_field(value, format_spec))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: it matches when all of its conditions do; a condition that is None is not asked.

    ``why`` completes "not analysed: …" and may use the fields of SeriesFacts in braces, and ``{other}`` with
    ``only_if_other``: then the rule skips only where the study has another candidate that it does not match.

    ``calling_ae`` holds patterns with ``*``. ``image_type_any`` holds values, two joined by a backslash must both be
    there. Expressions search anywhere, in any case. ``thickness_min_mm`` and ``thickness_max_mm`` include their
    bounds, ``axial_below``, ``slices_below`` and ``slices_above`` do not. A fact that the header does not state
    matches no condition that asks for it. Raises ConfigError for an expression or a template that does not work.
    """

    name: str
    why: str
    action: Action = Action.SKIP
    calling_ae: tuple[str, ...] | None = None
    modality: tuple[str, ...] | None = None
    modality_not: tuple[str, ...] | None = None
    sop_class_not: tuple[str, ...] | None = None
    image_type_any: tuple[str, ...] | None = None
    body_part: str | None = None
    description: str | None = None
    series_description: str | None = None
    kernel: str | None = None
    thickness_min_mm: float | None = None
    thickness_max_mm: float | None = None
    axial_below: float | None = None
    slices_below: int | None = None
    slices_above: int | None = None
    repeats: bool | None = None
    contrast: bool | None = None
    lossy: bool | None = None
    only_if_other: bool = False

    def __post_init__(self) -> None:
        for field in ("body_part", "description", "series_description", "kernel"):
            try:
                re.compile(getattr(self, field) or "")
            except re.error as error:
                message = f"Rule {self.name!r}: {field} is not a regular expression: {error}."
                raise ConfigError(
                    message, hint="Python's syntax: a literal dot or bracket needs a backslash."
                ) from error
        try:
            self.reason(_SAMPLE, other="")
        except (KeyError, ValueError, IndexError, AttributeError, TypeError) as error:
            message = f"Rule {self.name!r}: why has an unknown field: {error}."
            raise ConfigError(message, hint="Fields: " + ", ".join(SeriesFacts.__dataclass_fields__)) from error

    def matches(self, series: SeriesFacts) -> bool:
        """Whether every condition holds for the series."""
        return all(self._checks(series))

    def reason(self, series: SeriesFacts, *, other: str) -> str:
        """The sentence of this rule for a series; ``other`` names the series chosen in its place."""
        facts = {name: getattr(series, name) for name in SeriesFacts.__dataclass_fields__}
        facts["image_type"] = "\\".join(sorted(series.image_type))
        return _Template().format(self.why, **facts, other=other)

    def _checks(self, series: SeriesFacts) -> list[bool]:
        contrast = bool(series.contrast_agent)
        return [
            self.calling_ae is None or any(fnmatchcase(series.calling_ae, glob) for glob in self.calling_ae),
            self.modality is None or series.modality in self.modality,
            self.modality_not is None or series.modality not in self.modality_not,
            self.sop_class_not is None or series.sop_class_uid not in self.sop_class_not,
            self.image_type_any is None or any(_bears(series, values) for values in self.image_type_any),
            _finds(self.body_part, series.body_part),
            _finds(self.description, series.description),
            _finds(self.series_description, series.series_description),
            _finds(self.kernel, series.kernel),
            _within(series.thickness_mm, self.thickness_min_mm, self.thickness_max_mm),
            self.axial_below is None or (series.axial is not None and series.axial < self.axial_below),
            self.slices_below is None or series.slices < self.slices_below,
            self.slices_above is None or series.slices > self.slices_above,
            self.repeats is None or series.repeats == self.repeats,
            self.contrast is None or contrast == self.contrast,
            self.lossy is None or series.is_lossy == self.lossy,
        ]


def _finds(expression: str | None, stated: str) -> bool:
    return expression is None or re.search(expression, stated, re.IGNORECASE) is not None


def _bears(series: SeriesFacts, values: str) -> bool:
    return all(value in series.image_type for value in values.upper().split("\\"))


def _within(value: float | None, low: float | None, high: float | None) -> bool:
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


BONE_KERNELS: Final = "|".join(
    (
        r"^Y[A-F]?$",  # Philips
        r"^H[6-9]\d",  # Siemens, head: H60s and sharper; older names
        r"^(H[rc]|Br|Bl|B|I|Ur|U)[6-9]\d",
        r"^J[7-9]\d",
        r"^(BONE|BONEPLUS|BONE\+|EDGE|LUNG|DETAIL)",  # GE
        r"^FC(3\d|5\d|8\d)",  # Canon, Toshiba: bone, lung, high resolution
    )
)
OTHER_BODY_PARTS: Final = (
    r"^(?!.*(HEAD|BRAIN|SKULL|CRANI|CEREB)).*"
    r"(CHEST|THORA|LUNG|HEART|CARDI|CORONAR|AORTA|ABD|LIVER|KIDNEY|COLON|PELVI|SPINE|NECK|SHOULDER|\bARM|ELBOW|WRIST"
    r"|HAND|HIP|\bLEG|KNEE|ANKLE|FOOT|EXTREM|FEMUR|TIBIA|HUMERUS|SINUS|ORBIT|FACIAL|\bFACE|MAXILL|MANDIB|JAW|DENTAL"
    r"|TEETH|\bEAR|\bIAC)"
)
CONTRAST_WORDS: Final = (
    r"\bCT[AV]\b|angio|venogra|arterial|venous|\bpost[ -]?(contrast|gad)|\bwith contrast|\bw/? ?contrast|bolus"
    r"|\bC\+|\+ ?C\b"
)
SEVERAL_ENERGIES: Final = (
    r"\bperf|\bCTP\b|\b(r?CBF|r?CBV|MTT|TTP|T-?max)\b|\bmono ?e|\d ?keV\b|\biodine|\bVNC\b|spectral|\bZ ?eff"
)

DEFAULT_RULES: Final = (
    Rule(name="modality", why="modality {modality}, not CT", modality_not=("CT",)),
    Rule(name="not-ct-image", why="its objects are not CT images", sop_class_not=CT_CLASSES),
    Rule(name="localizer", why="localizer (scout)", image_type_any=("LOCALIZER", "SCOUT", "TOPOGRAM")),
    Rule(
        name="localizer-by-name",
        why="localizer (scout) by its description",
        series_description=r"\b(scout|topogram|surview|scanogram|locali[sz]er)",
        slices_below=MINIMUM_SLICES,
    ),
    Rule(
        name="reformatted",
        why="derived reconstruction ({image_type})",
        image_type_any=("DERIVED\\REFORMATTED", "DERIVED\\MIP", "DERIVED\\MPR", "DERIVED\\AVERAGE", "DERIVED\\MINIP"),
    ),
    Rule(
        name="perfusion",
        why="perfusion or multi-energy series",
        image_type_any=("PERFUSION", "DYNAMIC", "CBF", "CBV", "MTT", "TTP", "TMAX", "GSI", "VMI", "SPECTRAL"),
    ),
    Rule(
        name="perfusion-by-name",
        why="perfusion or multi-energy series by its description",
        series_description=SEVERAL_ENERGIES,
    ),
    Rule(name="repeats", why="several images at each position: perfusion or several phases", repeats=True),
    Rule(name="lossy", why="the images were compressed with loss", lossy=True),
    Rule(name="other-body-part", why="body part {body_part}, not head", body_part=OTHER_BODY_PARTS),
    Rule(name="contrast", why="contrast agent given", contrast=True),
    Rule(name="contrast-by-name", why="contrast series by its description", series_description=CONTRAST_WORDS),
    Rule(name="not-axial", why="not axial (|normal·z| = {axial:.2f})", axial_below=0.9),
    Rule(
        name="few-slices",
        why="only {slices} slices, at least " + str(MINIMUM_SLICES) + " are needed",
        slices_below=MINIMUM_SLICES,
    ),
    Rule(
        name="bone",
        why="bone kernel {kernel}; soft-tissue {other} of the same study chosen",
        kernel=BONE_KERNELS,
        only_if_other=True,
    ),
    Rule(
        name="bone-by-name",
        why="bone reconstruction by its description; soft-tissue {other} of the same study chosen",
        series_description=r"\bbone\b|骨窗",
        only_if_other=True,
    ),
)
"""Non-contrast head CT. Source: the selection of series that hospital studies call for; site rules go before these."""
