"""Stand-ins for the source images, so that no dirty header reaches highdicom.

They have the true images' identity and the volume's geometry, and nothing else.
"""

from pydicom.dataset import Dataset

from ichnode.domain.geometry import Vector
from ichnode.report.header import REQUIRED
from ichnode.report.inputs import Source
from ichnode.report.plane import decimal, decimals, orientation, pixel_spacing


def source_stubs(source: Source) -> list[Dataset]:
    """One stub a slice, ascending along the normal; of a multi-frame source one stub that has the volume's frames."""
    geometry = source.volume.geometry
    if source.volume.sources[0].frame_number is None:
        stubs = [_identity(image, source) for image in source.images]
        for stub, origin in zip(stubs, geometry.origins_mm, strict=True):
            stub.ImagePositionPatient = decimals(origin)
            stub.ImageOrientationPatient = orientation(geometry)
            stub.PixelSpacing = pixel_spacing(geometry)
            stub.SliceThickness = decimal(source.slice_thickness_mm)
        return stubs
    stub = _identity(source.images[0], source)
    stub.NumberOfFrames = len(geometry.origins_mm)
    stub.SharedFunctionalGroupsSequence = [_shared_groups(source)]
    stub.PerFrameFunctionalGroupsSequence = [_frame_groups(origin) for origin in geometry.origins_mm]
    return [stub]


def _identity(image: Dataset, source: Source) -> Dataset:
    stub = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(stub, keyword, str(image[keyword].value))
    for keyword in REQUIRED:  # highdicom reads them; the true ones are grafted afterwards
        setattr(stub, keyword, "")
    stub.Modality = "CT"
    stub.FrameOfReferenceUID = source.frame_of_reference_uid
    stub.PositionReferenceIndicator = ""
    stub.Rows, stub.Columns = source.volume.geometry.rows, source.volume.geometry.columns
    return stub


def _shared_groups(source: Source) -> Dataset:
    geometry, measures, plane, shared = source.volume.geometry, Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = pixel_spacing(geometry)
    measures.SliceThickness = decimal(source.slice_thickness_mm)
    plane.ImageOrientationPatient = orientation(geometry)
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [plane]
    return shared


def _frame_groups(origin: Vector) -> Dataset:
    position, frame = Dataset(), Dataset()
    position.ImagePositionPatient = decimals(origin)
    frame.PlanePositionSequence = [position]
    return frame
