"""The pages of the secondary capture bound into one object, for viewers that open each object by itself.

Where a page's slice lies in the patient is not stated: the standard wants that of all frames or of none, and the first
page lies nowhere. Source: PS3.3 A.8.5.
"""

from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage

from ichnode.domain.outputs import ObjectKind
from ichnode.report.header import complete
from ichnode.report.inputs import Context
from ichnode.report.uids import digest

FRAME_LABEL_VECTOR: Final = Tag(0x0018, 0x2002)
TAKEN_OVER: Final = (
    "Modality", "BodyPartExamined", "ConversionType", "ImageType", "BurnedInAnnotation", "LossyImageCompression",
    "DerivationDescription",
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip


def bind(pages: Sequence[Dataset], context: Context) -> Dataset:
    """One object of single-frame ``pages``, which are at least one and of one size; its frames are in their order.

    What it is called is what the first page is called.
    """
    bound = Dataset()
    bound.SOPClassUID = MultiFrameTrueColorSecondaryCaptureImageStorage
    bound.SOPInstanceUID = context.uid("sc-bound", digest(*(str(page.SOPInstanceUID) for page in pages)))
    for keyword in TAKEN_OVER:
        setattr(bound, keyword, pages[0][keyword].value)
    complete(bound, context, ObjectKind.SC, number=1, description=str(pages[0].SeriesDescription))
    bound.PatientOrientation = ""
    sources = [source for page in pages for source in page.get("SourceImageSequence", ())]
    if sources:
        bound.SourceImageSequence = sources
    bound.NumberOfFrames = len(pages)
    if len(pages) > 1:  # of one frame the standard wants no pointer. Source: PS3.3 C.8.6.3
        bound.FrameIncrementPointer = FRAME_LABEL_VECTOR
        bound.FrameLabelVector = [f"PAGE {number}" for number in range(1, len(pages) + 1)]
    bound.PixelData = b"".join(page.PixelData for page in pages)
    return bound
