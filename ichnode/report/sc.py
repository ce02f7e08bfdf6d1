"""The pictures: single-frame RGB secondary captures, a summary and then the slices, for viewers that draw no SEG.

Source: PS3.3 A.8.1. A slice page states where its pixels lie in the patient, so that cross-reference lines work on it.
"""

from collections.abc import Iterable, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from ichnode.domain.flags import Flag
from ichnode.domain.outputs import ObjectKind
from ichnode.domain.values import Findings
from ichnode.report import codes
from ichnode.report.album import pages_of
from ichnode.report.canvas import Pixels
from ichnode.report.header import complete
from ichnode.report.inputs import Context, Source
from ichnode.report.pages import picture_place, scale_of
from ichnode.report.plane import decimal, decimals, orientation, side_of
from ichnode.report.refusal_page import refusal_page
from ichnode.report.uids import digest


def build_pictures(source: Source, findings: Findings, context: Context) -> list[Dataset]:
    """The summary, the comparison with an earlier scan if there is one, a page for each slice that is shown."""
    pictures = []
    for number, page in enumerate(pages_of(source, findings, context.installation.node_version), 1):
        picture = _picture(page.pixels, context, number=number, description=page.description)
        if page.slice_index is not None:
            _place(picture, source, page.slice_index)
        pictures.append(picture)
    return pictures


def build_refusal(datasets: Sequence[Dataset], reason: str, flags: Iterable[Flag], context: Context) -> Dataset:
    """The page that says that ``datasets``, of any class and without geometry, were not analysed, and why."""
    here = context.installation
    pixels = refusal_page(datasets, reason, flags, here.node_version)
    about = "Why a series was not analysed (research)"
    return _picture(pixels, context, number=1, description=about, series=here.not_analysed_description)


def _picture(pixels: Pixels, context: Context, *, number: int, description: str, series: str = "") -> Dataset:
    """A secondary capture of ``pixels`` (H, W, 3), which has no place in the patient.

    ``series``: the description of its series, where it is not the usual one.
    """
    picture = Dataset()
    picture.SOPClassUID = SecondaryCaptureImageStorage
    picture.SOPInstanceUID = context.uid("sc", str(number), digest(pixels.tobytes()))
    picture.Modality = "OT"
    complete(picture, context, ObjectKind.SC, number=number, description=series)
    picture.DerivationDescription = description
    picture.PatientOrientation = ""
    picture.BodyPartExamined = "HEAD"
    picture.ConversionType = "WSD"
    picture.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    picture.BurnedInAnnotation = "NO"  # no patient data is drawn
    picture.LossyImageCompression = "00"
    picture.SamplesPerPixel, picture.PhotometricInterpretation, picture.PlanarConfiguration = 3, "RGB", 0
    picture.Rows, picture.Columns = pixels.shape[:2]
    picture.BitsAllocated, picture.BitsStored, picture.HighBit, picture.PixelRepresentation = 8, 8, 7, 0
    picture.PixelData = pixels.tobytes()
    return picture


def _place(picture: Dataset, source: Source, index: int) -> None:
    """State the plane of slice ``index``: the page is the slice on a finer grid, within its frame."""
    geometry, image = source.volume.geometry, source.images[index]
    scale = scale_of(geometry.rows, geometry.columns)
    left, top = picture_place(geometry.rows, geometry.columns)
    # centre of the page's first pixel, in source pixels right of and below the centre of the source's first
    right, down = (0.5 - left) / scale - 0.5, (0.5 - top) / scale - 0.5
    origin = (
        geometry.origins_mm[index]
        + right * geometry.column_spacing_mm * geometry.row_cosine
        + down * geometry.row_spacing_mm * geometry.column_cosine
    )
    picture.FrameOfReferenceUID = source.frame_of_reference_uid
    picture.PositionReferenceIndicator = ""
    picture.PatientOrientation = [side_of(geometry.row_cosine), side_of(geometry.column_cosine)]
    picture.ImagePositionPatient = decimals(origin)
    picture.ImageOrientationPatient = orientation(geometry)
    picture.PixelSpacing = decimals([geometry.row_spacing_mm / scale, geometry.column_spacing_mm / scale])
    picture.SliceThickness = decimal(source.slice_thickness_mm)
    reference = Dataset()
    reference.ReferencedSOPClassUID = str(image.SOPClassUID)
    reference.ReferencedSOPInstanceUID = str(image.SOPInstanceUID)
    frame = source.volume.sources[index].frame_number
    if frame is not None:
        reference.ReferencedFrameNumber = frame
    reference.PurposeOfReferenceCodeSequence = [codes.code_item(codes.SOURCE_FOR_PROCESSING)]
    picture.SourceImageSequence = [reference]
