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
    QF_OTHERHEAD = "Earlier scan of this patient ID shows another head"
    QF_WEIGHTS = "Earlier scan measured with other weights"
    QF_DEFECT = "A part of the analysis failed in the node"
    QF_HEAD = "Perhaps no head"
    QF_COVERAGE = "Part of the head lies outside the images"
    QF_CONTRAST = "Contrast medium, by the header"
    QF_VESSELS = "Vessels as dense as with contrast medium"
    QF_METAL = "Metal or heavy streaks"
    QF_MOTION = "Head moved during the scan"
    QF_NOISE = "More noise than in the training images"
    QF_BONEGAP = "Gap in the skull"
    QF_UNLIKE = "Images unlike those of the training"
    QF_EXTRAAXIAL = "Segmentation mostly along the skull"
    QF_LIQUOR = "Segmentation bounded by liquor more than by brain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A flag with what it rests on, in words and figures ("leans by 18 degrees"); empty where it speaks for itself."""

    flag: Flag
    evidence: str = ""
