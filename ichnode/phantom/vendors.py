"""How scanners of several makers describe the same images."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Header values and habits of one maker's scanner.

    ``image_type``: values 1 to n of ImageType. ``intercept``: RescaleIntercept. ``signed``: pixel representation.
    ``padding``: stored value outside the circle that is measured, None: it is filled with air. ``blur_mm``: of the soft
    kernel.
    """

    manufacturer: str
    model: str
    software: str
    image_type: tuple[str, ...]
    kernel: str
    description: str
    study_description: str
    protocol: str
    intercept: int
    signed: bool
    padding: int | None
    blur_mm: float
    window: tuple[tuple[int, int], ...]  # (centre, width)
    station: str = "CT1"
    body_part: str = "HEAD"


VENDORS: Final[Mapping[str, Vendor]] = MappingProxyType(
    {
        "GE": Vendor(
            manufacturer="GE MEDICAL SYSTEMS",
            model="Optima CT540",
            software="qin.3",
            image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
            kernel="SOFT",
            description="HEAD {thickness:g}MM",
            study_description="CT HEAD WITHOUT CONTRAST",
            protocol="1.1 ROUTINE HEAD",
            intercept=-1024,
            signed=True,
            padding=-2000,
            blur_mm=0.48,
            window=((35, 90),),
        ),
        "Siemens": Vendor(
            manufacturer="SIEMENS",
            model="SOMATOM Definition Flash",
            software="syngo CT 2012B",
            image_type=("ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SEQ"),
            kernel="H31s",
            description="Head  {thickness:.1f}  H31s",
            study_description="Head^HeadRoutine (Adult)",
            protocol="HeadRoutine",
            intercept=-1024,
            signed=False,
            padding=None,
            blur_mm=0.42,
            window=((40, 80), (600, 2000)),
        ),
        "Philips": Vendor(
            manufacturer="Philips",
            model="Ingenuity CT",
            software="4.1",
            image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
            kernel="UB",
            description="STD BRAIN {thickness:g}MM",
            study_description="CT Head",
            protocol="Brain Routine /Head",
            intercept=-1024,
            signed=False,
            padding=None,
            blur_mm=0.52,
            window=((40, 80), (40, 80)),
            body_part="BRAIN",
        ),
        "Toshiba": Vendor(
            manufacturer="TOSHIBA",
            model="Aquilion",
            software="V4.51ER014",
            image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
            kernel="FC26",
            description="Brain {thickness:.1f} axial",
            study_description="Brain",
            protocol="Brain Axial",
            intercept=0,
            signed=True,
            padding=-3024,
            blur_mm=0.45,
            window=((40, 90),),
        ),
    }
)
