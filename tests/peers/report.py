"""What an SR of ours says, read with pydicom alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom import Dataset

PRESENT, ABSENT = "52101004", "272519000"  # SCT
VOLUME, ATTENUATION = "118565006", "112031"  # SCT, DCM
MEAN = "373098007"  # SCT
HEMORRHAGE, QUALITY_FINDING, COMMENT = "274100004", "111052", "121106"


@dataclass
class Said:
    """The statements of one SR. ``volume_ml``, ``hu_mean``: None where it has none."""

    volume_ml: float | None = None
    hu_mean: float | None = None
    present: bool | None = None
    flags: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)


def said(sr: Dataset) -> Said:
    """Reads an SR from its root."""
    found = Said()
    for item in _items(sr):
        concept = item.ConceptNameCodeSequence[0].CodeValue if "ConceptNameCodeSequence" in item else ""
        if item.ValueType == "NUM" and item.MeasuredValueSequence:
            value = float(item.MeasuredValueSequence[0].NumericValue)
            derivations = {
                c.ConceptCodeSequence[0].CodeValue for c in item.get("ContentSequence", []) if c.ValueType == "CODE"
            }
            if concept == VOLUME:
                found.volume_ml = max(found.volume_ml or 0.0, value)  # of all parts: the study's own
            elif concept == ATTENUATION and MEAN in derivations:
                found.hu_mean = value
        elif item.ValueType == "CODE" and concept == HEMORRHAGE:
            found.present = item.ConceptCodeSequence[0].CodeValue == PRESENT
        elif item.ValueType == "CODE" and concept == QUALITY_FINDING:
            found.flags.add(item.ConceptCodeSequence[0].CodeValue)
        elif item.ValueType == "TEXT":
            found.texts.append(str(item.TextValue))
    return found


def _items(node: Dataset) -> Iterator[Dataset]:
    for item in node.get("ContentSequence", []):
        yield item
        yield from _items(item)
