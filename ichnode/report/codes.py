"""Every coded concept that the node writes: private ones only where no standard one was found."""

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from ichnode.domain.flags import Flag
from ichnode.domain.identity import MANUFACTURER
from ichnode.report.uids import uid

# Segmentation: PS3.16 CID 7150, 7159, 4, 7162
MORPHOLOGICALLY_ABNORMAL: Final = Code("49755003", "SCT", "Morphologically Abnormal Structure")
HEMORRHAGE: Final = Code("50960005", "SCT", "Hemorrhage")
BRAIN: Final = Code("12738006", "SCT", "Brain")
HEAD: Final = Code("69536005", "SCT", "Head")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")

# What was done and by whom: CID 100, 7005
CT_HEAD_WITHOUT_CONTRAST: Final = Code("30799-1", "LN", "CT Head WO contrast")
CT_UNSPECIFIED: Final = Code("25045-6", "LN", "CT unspecified body region")
PROCESSING_EQUIPMENT: Final = Code("109102", "DCM", "Processing Equipment")
ACQUISITION_EQUIPMENT: Final = Code("109101", "DCM", "Acquisition Equipment")
SOURCE_FOR_PROCESSING: Final = Code("121322", "DCM", "Source image for image processing operation")

# Structure of the report: TID 1500, 1600, 1602
ENGLISH: Final = Code("en", "RFC5646", "English")
REPORT_TITLE: Final = Code("126000", "DCM", "Imaging Measurement Report")
PROCEDURE_REPORTED: Final = Code("121058", "DCM", "Procedure reported")
MEASUREMENTS: Final = Code("126010", "DCM", "Imaging Measurements")
QUALITATIVE_EVALUATIONS: Final = Code("C0034375", "UMLS", "Qualitative Evaluations")
IMAGE_LIBRARY: Final = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP: Final = Code("126200", "DCM", "Image Library Group")
SOURCE: Final = Code("260753009", "SCT", "Source")
MODALITY: Final = Code("121139", "DCM", "Modality")
COMPUTED_TOMOGRAPHY: Final = Code("CT", "DCM", "Computed Tomography")
TARGET_REGION: Final = Code("123014", "DCM", "Target Region")
FRAME_OF_REFERENCE: Final = Code("112227", "DCM", "Frame of Reference UID")
HORIZONTAL_SPACING: Final = Code("111026", "DCM", "Horizontal Pixel Spacing")
VERTICAL_SPACING: Final = Code("111066", "DCM", "Vertical Pixel Spacing")
MILLIMETER: Final = Code("mm", "UCUM", "millimeter")
TRACKING_IDENTIFIER: Final = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID: Final = Code("112040", "DCM", "Tracking Unique Identifier")
FINDING_CATEGORY: Final = Code("276214006", "SCT", "Finding category")
FINDING: Final = Code("121071", "DCM", "Finding")
ALGORITHM_NAME: Final = Code("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION: Final = Code("111003", "DCM", "Algorithm Version")
ALGORITHM_FAMILY: Final = Code("111000", "DCM", "Algorithm Family")
ALGORITHM_MANUFACTURER: Final = Code("122405", "DCM", "Algorithm Manufacturer")
PARAMETERS: Final = Code("111002", "DCM", "Algorithm Parameters")
COMMENT: Final = Code("121106", "DCM", "Comment")
DEVICE: Final = Code("121007", "DCM", "Device")

# Key Object Selection: TID 2010, CID 7010
OF_INTEREST: Final = Code("113000", "DCM", "Of Interest")

# Findings and measurements: CID 7472, 7469, 240
CEREBRAL_HEMORRHAGE: Final = Code("274100004", "SCT", "Cerebral hemorrhage")
PRESENT: Final = Code("52101004", "SCT", "Present")
ABSENT: Final = Code("272519000", "SCT", "Absent")
UNDETERMINED: Final = Code("373068000", "SCT", "Undetermined")
VOLUME: Final = Code("118565006", "SCT", "Volume")
VOXEL_SUMMATION: Final = Code("YEKZ", "IBSI", "Volume from Voxel Summation")
ATTENUATION: Final = Code("112031", "DCM", "Attenuation Coefficient")
MEAN: Final = Code("373098007", "SCT", "Mean")
STANDARD_DEVIATION: Final = Code("386136009", "SCT", "Standard Deviation")
MILLILITER: Final = Code("mL", "UCUM", "milliliter")
HOUNSFIELD: Final = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
PERCENT: Final = Code("%", "UCUM", "percent")
HOUR: Final = Code("h", "UCUM", "hour")
NO_UNITS: Final = Code("1", "UCUM", "no units")
SCORE: Final = Code("{score}", "UCUM", "score")
SQUARE_MILLIMETER: Final = Code("mm2", "UCUM", "square millimeter")
ELLIPSOID_VOLUME: Final = Code("121221", "DCM", "Volume of ellipsoid")
ABC2: Final = Code("126029", "DCM", "LWH method for volume of ellipsoid")
DIAMETER: Final = Code("81827009", "SCT", "Diameter")
MAXIMUM: Final = Code("56851009", "SCT", "Maximum")
VARIATION: Final = Code("C0681921", "UMLS", "Coefficient of Variance")
PARTS: Final = Code("246206008", "SCT", "Number of lesions")
AREA: Final = Code("42798000", "SCT", "Area")
DARKER_BY: Final = Code("442707000", "SCT", "Difference in attenuation")
SOURCE_OF_MEASUREMENT: Final = Code("121112", "DCM", "Source of Measurement")
LATERALITY: Final = Code("272741003", "SCT", "Laterality")
LEFT: Final = Code("7771000", "SCT", "Left")
RIGHT: Final = Code("24028007", "SCT", "Right")
BILATERAL: Final = Code("51440002", "SCT", "Bilateral")
YES: Final = Code("373066001", "SCT", "Yes")
NO: Final = Code("373067005", "SCT", "No")
PRIOR_REPORT: Final = Code("122075", "DCM", "Prior report for current patient")
BASELINE: Final = Code("121079", "DCM", "Baseline")

# Quality: CID 7036
SERIES_QUALITY: Final = Code("130550", "DCM", "Imaging Series Quality")
DIAGNOSTIC_QUALITY: Final = Code("RID12", "RADLEX", "Diagnostic quality")
LIMITED_QUALITY: Final = Code("RID13", "RADLEX", "Limited quality")
QUALITY_FINDING: Final = Code("111052", "DCM", "Quality Finding")

PRIVATE_SCHEME: Final = "99ICHNODE"
EXPANSION_PROBABILITY: Final = Code("HE24PROB", PRIVATE_SCHEME, "Probability of hematoma expansion at 24 h")
EXPANSION_THRESHOLD: Final = Code("HE24THR", PRIVATE_SCHEME, "Expansion probability operating threshold")
EXPANSION_CATEGORY: Final = Code("HE24CAT", PRIVATE_SCHEME, "Expansion probability category")
EXPANSION_HIGH: Final = Code("HE24HIGH", PRIVATE_SCHEME, "At or above operating threshold")
EXPANSION_LOW: Final = Code("HE24LOW", PRIVATE_SCHEME, "Below operating threshold")

HYPODENSITY: Final = Code("HYPODENS", PRIVATE_SCHEME, "Hypodensity in hematoma")
BLACK_HOLE: Final = Code("BLACKHOLE", PRIVATE_SCHEME, "Black hole sign")
SWIRL: Final = Code("SWIRL", PRIVATE_SCHEME, "Swirl sign")
BLEND: Final = Code("BLEND", PRIVATE_SCHEME, "Blend sign")
FLUID_LEVEL: Final = Code("FLUIDLVL", PRIVATE_SCHEME, "Fluid level in hematoma")
IRREGULAR: Final = Code("IRREGULAR", PRIVATE_SCHEME, "Irregular shape of hematoma")
HETEROGENEOUS: Final = Code("HETEROG", PRIVATE_SCHEME, "Heterogeneous density of hematoma")
ISLAND: Final = Code("ISLAND", PRIVATE_SCHEME, "Island sign")
SATELLITE: Final = Code("SATELLITE", PRIVATE_SCHEME, "Satellite sign")
BAT: Final = Code("BAT", PRIVATE_SCHEME, "BAT score")
BAT_HIGH: Final = Code("BATHIGH", PRIVATE_SCHEME, "BAT score of 3 or more")
ONSET_TO_CT: Final = Code("ONSET2CT", PRIVATE_SCHEME, "Time from symptom onset to CT")

EXPANDED: Final = Code("HE24DEF", PRIVATE_SCHEME, "Hematoma expansion (growth of 6 mL or 33 percent or more)")
GROWTH: Final = Code("HEGROWTH", PRIVATE_SCHEME, "Hematoma growth since baseline")
GROWTH_PERCENT: Final = Code("HEGROWPC", PRIVATE_SCHEME, "Hematoma growth relative to baseline")
BASELINE_VOLUME: Final = Code("BASEVOL", PRIVATE_SCHEME, "Hematoma volume at baseline")
BASELINE_HOURS: Final = Code("BASEHOURS", PRIVATE_SCHEME, "Time since baseline CT")


def flag_code(flag: Flag) -> Code:
    """The private code of a quality flag: the member's name, meaning its value."""
    return Code(flag.name, PRIVATE_SCHEME, flag.value)


def coding_scheme_item() -> Dataset:
    """What (0008,0110) says of the private scheme. Source: PS3.3 C.12.1.1.7."""
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeUID = uid("coding-scheme", PRIVATE_SCHEME)
    item.CodingSchemeName = "ichnode private concepts"
    item.CodingSchemeVersion = "1.0"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item


def code_item(code: Code) -> Dataset:
    """A code sequence item. Source: PS3.3 8.8."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
