"""Doubts about a result that its reader must know."""

from dataclasses import dataclass
from enum import StrEnum


class Flag(StrEnum):
    """A kind of doubt. The name is the code in SR, the value what it means."""

    QF_THICK = "Slice thickness outside validated range"
    QF_UNEQUAL = "Non-uniform slice spacing"
    QF_TILT = "Gantry tilt"
    QF_MISSING = "Missing slices"
    QF_TOUCH = "Segmentation touches volume border"
    QF_STRIP = "Brain extraction doubtful, whole head used"
    QF_FIELD = "Brain exceeds network field of view"
    QF_HEADER = "Image header repaired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A flag with what it rests on, in words and figures ("leans by 18 degrees"); empty where it speaks for itself."""

    flag: Flag
    evidence: str = ""
