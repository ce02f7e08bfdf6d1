"""A stored report read back for people: what stands in its tree, put into sections and in reading order.

It is read from the document alone, so that what is shown is what was sent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ichnode.report import codes
from ichnode.report.groups import FOLLOW_UP_IDENTIFIER, STUDY_IDENTIFIER
from ichnode.report.readings import MARKERS

UNITS: Final = {codes.HOUNSFIELD.value: "HU", codes.NO_UNITS.value: "", codes.SCORE.value: "of 5"}
HEADINGS: Final = {STUDY_IDENTIFIER: "The finding", FOLLOW_UP_IDENTIFIER: "Since the earlier scan"}
STATES: Final = {
    codes.PRESENT.value: "present",
    codes.UNDETERMINED.value: "undetermined",
    codes.ABSENT.value: "absent",
}
SIGNS: Final = frozenset(code.value for code in (codes.CEREBRAL_HEMORRHAGE, *MARKERS.values()))
STRUCTURE: Final = frozenset(  # what ties the tree together and tells a reader nothing
    code.value
    for code in (
        codes.TRACKING_IDENTIFIER,
        codes.TRACKING_UID,
        codes.FINDING_CATEGORY,
        codes.FINDING,
        codes.ALGORITHM_FAMILY,
        codes.ALGORITHM_MANUFACTURER,
    )
)
PLAIN: Final = {  # what a reader calls it: by the code of the concept, then by that of its modifier
    codes.VOLUME.value: "Volume",
    codes.ELLIPSOID_VOLUME.value: "Volume by ABC/2",
    codes.DIAMETER.value: "Largest diameter",
    codes.MEAN.value: "Mean density",
    codes.STANDARD_DEVIATION.value: "Standard deviation of density",
    codes.VARIATION.value: "Coefficient of variation of density",
    codes.PARTS.value: "Separate parts",
    codes.EXPANSION_PROBABILITY.value: "Predicted probability of expansion in 24 h",
    codes.EXPANSION_THRESHOLD.value: "Threshold of that probability",
    codes.EXPANSION_CATEGORY.value: "So the probability is",
    codes.EXPANDED.value: "Expanded (by 6 mL or 33 percent or more)",
    codes.PRIOR_REPORT.value: "Report on the earlier scan",
    codes.SERIES_QUALITY.value: "Quality of the series",
    codes.QUALITY_FINDING.value: "Doubt",
    codes.COMMENT.value: "Note",
    codes.PARAMETERS.value: "Network, further",
    codes.ALGORITHM_NAME.value: "Network",
    codes.ALGORITHM_VERSION.value: "Network, version",
}
MODIFIED: Final = (codes.ATTENUATION.value,)  # called by its modifier: the concept alone does not tell mean from spread
ALGORITHM: Final = frozenset(code.value for code in (codes.ALGORITHM_NAME, codes.ALGORITHM_VERSION, codes.PARAMETERS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One statement. ``state``: whether it is present, where it tells that; ``notes``: what it rests on."""

    label: str
    value: str
    state: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Statements under a heading."""

    heading: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A report as it is read: a title, the remarks (the research notice among them), the sections in order."""

    title: str
    remarks: tuple[str, ...]
    sections: tuple[Section, ...]


def read(report: Dataset) -> Reading:
    """What a report of ours says: finding, follow-up, each lesion, doubts, what was analysed and by whom."""
    slices = {uid: place for place, uid in enumerate(_library(report), 1)}
    groups = [group for item in _of(report, codes.MEASUREMENTS) for group in item.get("ContentSequence", ())]
    named = sorted(((_tracking(group), group) for group in groups), key=lambda pair: _order(pair[0]))
    sections = [
        Section(heading=HEADINGS.get(name, f"Part {name}"), rows=tuple(_in_order(_rows(group, slices))))
        for name, group in named
    ]
    evaluations = [item for part in _of(report, codes.QUALITATIVE_EVALUATIONS) for item in part.ContentSequence]
    comments = [str(item.TextValue) for item in evaluations if _code(item) == codes.COMMENT.value]
    quality = tuple(_row(item, slices) for item in evaluations if _code(item) != codes.COMMENT.value)
    sections += [Section(heading="Quality and doubts", rows=quality)] if quality else []
    sections.append(Section(heading="What was looked at, and by whom", rows=tuple(_origin(report, slices, groups))))
    return Reading(title=_name(report), remarks=tuple(comments), sections=tuple(sections))


def _order(name: str) -> tuple[int, int, str]:
    """The finding, the follow-up, then the lesions by their number."""
    return (list(HEADINGS).index(name) if name in HEADINGS else len(HEADINGS)), len(name), name


def _in_order(rows: Sequence[Row]) -> list[Row]:
    """Whether there is a haemorrhage, the figures, then what is present, undetermined, absent."""
    places = {"": 0, "present": 1, "undetermined": 2, "absent": 3}
    return [*rows[:1], *sorted(rows[1:], key=lambda row: places[row.state])]


def _rows(group: Dataset, slices: dict[str, int]) -> list[Row]:
    told = [
        item
        for item in group.get("ContentSequence", ())
        if item.ValueType in ("NUM", "CODE", "TEXT", "COMPOSITE") and _code(item) not in STRUCTURE | ALGORITHM
    ]
    first = [item for item in told if _code(item) == codes.CEREBRAL_HEMORRHAGE.value]
    return [_row(item, slices) for item in [*first, *(item for item in told if item not in first)]]


def _row(item: Dataset, slices: dict[str, int]) -> Row:
    state = STATES.get(item.ConceptCodeSequence[0].CodeValue, "") if _code(item) in SIGNS else ""
    below = [child for child in item.get("ContentSequence", ()) if child.RelationshipType != "HAS CONCEPT MOD"]
    notes = tuple(filter(None, (_note(child, slices) for child in below)))
    return Row(label=_label(item), value=_value(item), state=state, notes=notes)


def _label(item: Dataset) -> str:
    """What a reader calls a statement; the side is said with the place that it is of."""
    modifiers = [child for child in item.get("ContentSequence", ()) if child.RelationshipType == "HAS CONCEPT MOD"]
    if _code(item) in MODIFIED and modifiers:
        return PLAIN.get(modifiers[0].ConceptCodeSequence[0].CodeValue, _name(item))
    return PLAIN.get(_code(item), _name(item))


def _note(item: Dataset, slices: dict[str, int]) -> str:
    """An item below a statement, with all below itself, in one line."""
    if item.ValueType == "IMAGE":
        place = slices.get(str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID))
        frame = item.ReferencedSOPSequence[0].get("ReferencedFrameNumber")
        return f"frame {frame}" if frame is not None else f"slice {place}" if place else "an image"
    own = _value(item) if item.ValueType == "TEXT" else f"{_name(item).lower()} {_value(item)}"
    return ", ".join([own, *(_note(child, slices) for child in item.get("ContentSequence", ()))])


def _value(item: Dataset) -> str:
    if item.ValueType == "NUM":
        measured = item.MeasuredValueSequence[0]
        unit = measured.MeasurementUnitsCodeSequence[0].CodeValue
        return f"{float(measured.NumericValue):.12g} {UNITS.get(unit, unit)}".strip()
    if item.ValueType == "CODE":
        sides = [child for child in item.get("ContentSequence", ()) if _code(child) == codes.LATERALITY.value]
        return ", ".join([str(item.ConceptCodeSequence[0].CodeMeaning), *(_value(side).lower() for side in sides)])
    if item.ValueType == "COMPOSITE":
        return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    return str(item.get("TextValue") or item.get("UID") or "")


def _origin(report: Dataset, slices: dict[str, int], groups: Sequence[Dataset]) -> Iterator[Row]:
    """The images and the study, the algorithm, the node, and what this report replaces."""
    yield Row(label="Study", value=str(report.StudyInstanceUID))
    if slices:
        yield Row(label="Images", value=str(len(slices)))
    algorithm = [(_label(item), _value(item)) for group in groups for item in _with(group, ALGORITHM)]
    for label, value in dict.fromkeys(algorithm):
        yield Row(label=label, value=value)
    yield Row(label="Images complete at", value=_clock(report))
    yield Row(
        label="Node", value=f"{report.ManufacturerModelName} {report.SoftwareVersions}, {report.DeviceSerialNumber}"
    )
    yield Row(
        label="Report", value=f"{report.SOPInstanceUID}, {report.CompletionFlag}, {report.VerificationFlag}".lower()
    )
    for study in report.get("PredecessorDocumentsSequence", ()):
        count = sum(len(series.ReferencedSOPSequence) for series in study.ReferencedSeriesSequence)
        yield Row(label="Replaces", value=f"{count} earlier report{'' if count == 1 else 's'}")


def _with(group: Dataset, wanted: frozenset[str]) -> list[Dataset]:
    return [item for item in group.get("ContentSequence", ()) if _code(item) in wanted]


def _library(report: Dataset) -> list[str]:
    """The instances of the image library, in its order."""
    groups = [group for item in _of(report, codes.IMAGE_LIBRARY) for group in item.get("ContentSequence", ())]
    images = [item for group in groups for item in group.get("ContentSequence", ()) if item.ValueType == "IMAGE"]
    return [str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in images]


def _tracking(group: Dataset) -> str:
    return next((_value(item) for item in _with(group, frozenset({codes.TRACKING_IDENTIFIER.value}))), "")


def _of(report: Dataset, name: Code) -> list[Dataset]:
    return [item for item in report.get("ContentSequence", ()) if _code(item) == name.value]


def _code(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def _clock(report: Dataset) -> str:
    """When the images had come: the time that every report on them bears, so that the same words make the same one."""
    return f"{datetime.strptime(report.ContentDate + report.ContentTime[:6], '%Y%m%d%H%M%S'):%Y-%m-%d %H:%M:%S}"
