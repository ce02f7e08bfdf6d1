"""What the gate holds against the tree of a report, besides values: relationships, templates, the state of it.

Source: PS3.3 A.35.2.3.1, A.35.3.3.1, A.35.13.3.1 (relationships, the part that all three classes share), PS3.16 TID
1500, 1411, 1501.
"""

from collections.abc import Iterator
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ichnode.report import codes

PARENTS: Final = {  # relationship -> value types that may have such a child
    "CONTAINS": {"CONTAINER"},
    "HAS OBS CONTEXT": {"CONTAINER", "TEXT", "CODE", "NUM"},
    "HAS ACQ CONTEXT": {"CONTAINER", "IMAGE", "WAVEFORM", "COMPOSITE", "NUM"},
    "HAS CONCEPT MOD": None,  # any
    "HAS PROPERTIES": {"TEXT", "CODE", "NUM", "PNAME"},
    "INFERRED FROM": {"TEXT", "CODE", "NUM"},
    "SELECTED FROM": {"SCOORD", "SCOORD3D", "TCOORD"},
}
CHILDREN: Final = {"HAS CONCEPT MOD": {"TEXT", "CODE"}, "SELECTED FROM": {"IMAGE", "SCOORD", "UIDREF"}}
MEASUREMENT_GROUP: Final = "125007"  # DCM
REFERENCED_SEGMENT: Final = "121191"  # DCM
TRACKED: Final = ("112039", "112040")  # DCM, Tracking Identifier and its UID
SEGMENT_TEMPLATE, OTHER_TEMPLATE = "1411", "1501"
UNITS: Final[dict[str, Code]] = {codes.VOLUME.value: codes.MILLILITER}


def wrong_tree(report: Dataset) -> Iterator[str]:
    """Faults of the tree that a reader would stumble over or, worse, not notice."""
    if report.get("VerificationFlag", "UNVERIFIED") != "UNVERIFIED":
        yield "it says that somebody verified it"
    if report.ContentTemplateSequence[0].TemplateIdentifier == "1500" and not _has(report, codes.PROCEDURE_REPORTED):
        yield "it does not say on which procedure it reports"
    for where, parent, item in _branches(report, ""):
        yield from (f"{where}{fault}" for fault in (*_relation(parent, item), *_group(item), *_units(item)))


def name_of(item: Dataset) -> str:
    """Code value of the concept name of a content item; empty where it has none."""
    return str(item.ConceptNameCodeSequence[0].CodeValue) if item.get("ConceptNameCodeSequence") else ""


def _relation(parent: Dataset, item: Dataset) -> Iterator[str]:
    relation, value_type = str(item.get("RelationshipType")), str(item.get("ValueType"))
    if relation not in PARENTS:
        yield f"{relation} is no relationship"
        return
    parents, children = PARENTS[relation], CHILDREN.get(relation)
    if (parents and parent.ValueType not in parents) or (children and value_type not in children):
        yield f"a {value_type} cannot stand to a {parent.ValueType} as {relation}"


def _group(item: Dataset) -> Iterator[str]:
    if name_of(item) != MEASUREMENT_GROUP:
        return
    names = {name_of(child) for child in item.get("ContentSequence", ())}
    due = SEGMENT_TEMPLATE if REFERENCED_SEGMENT in names else OTHER_TEMPLATE
    template = item.get("ContentTemplateSequence")
    if not template or template[0].TemplateIdentifier != due:
        yield f"the group is not marked as one of TID {due}"
    if not names.issuperset(TRACKED):
        yield "the group is not tracked"


def _units(item: Dataset) -> Iterator[str]:
    due = UNITS.get(name_of(item))
    if due is None or str(item.get("ValueType")) != "NUM":
        return
    for value in item.get("MeasuredValueSequence") or ():
        units = value.get("MeasurementUnitsCodeSequence")
        if not units or units[0].get("CodeValue") != due.value:
            yield f"{name_of(item)} is not measured in {due.value}"


def _has(node: Dataset, name: Code) -> bool:
    return any(name_of(child) == name.value for child in node.get("ContentSequence", ()))


def _branches(node: Dataset, where: str) -> Iterator[tuple[str, Dataset, Dataset]]:
    """(the way there, parent, child) of every branch."""
    for number, child in enumerate(node.get("ContentSequence", ()), 1):
        way = f"{where}ContentSequence[{number}]."
        yield way, node, child
        yield from _branches(child, way)
