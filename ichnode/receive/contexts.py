"""What the SCP accepts: SOP classes and transfer syntaxes, in the order of preference. Source: PS3.4 B.5, PS3.5 10."""

from typing import Final

from ichnode.commitment import PUSH_MODEL

VERIFICATION: Final = "1.2.840.10008.1.1"
CT_CLASSES: Final = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
)
ACCEPT_ALSO: Final = (  # what studies carry besides: kept, and listed with the reason why it is not analysed
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture Image Storage
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation Storage: our own come back where a PACS forwards whole studies
    "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR Storage: likewise
)
COMMITMENT: Final = PUSH_MODEL  # either role: requests of modalities, reports of destinations
TRANSFER_SYNTAXES: Final = (  # in the order of preference; nothing lossy
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1.99",  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.5",  # RLE Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, process 14, selection value 1
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless, process 14
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K Lossless
)
