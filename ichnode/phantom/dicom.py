"""A scan as CT images, with the headers of several makers. Source: PS3.3 A.3 (CT Image), C.8.2.1."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from ichnode.phantom.identity import uid
from ichnode.phantom.make import Scan
from ichnode.phantom.spec import PhantomSpec
from ichnode.phantom.vendors import VENDORS, Vendor

DATE: Final = "20200101"  # no phantom was ever scanned: one day stands for all, the follow-up a day later
FOLLOWUP_DATE: Final = "20200102"
TIME: Final = "120000"
IMPLEMENTATION: Final = "2.25.101577364187236912648190126484107"
LOWEST_STORED: Final = np.iinfo(np.int16).min
DECIMALS: Final = 6  # a DS holds 16 characters


def images(scan: Scan, spec: PhantomSpec, which: str) -> list[Dataset]:
    """The CT images of ``scan``, slices ascending; ``which``: "baseline" or "followup"."""
    vendor = VENDORS[spec.vendor]
    return [_image(scan, spec, vendor, which, k) for k in range(scan.volume.geometry.shape[0])]


def _image(scan: Scan, spec: PhantomSpec, vendor: Vendor, which: str, k: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = _meta(scan.volume.sources[k].sop_instance_uid)
    _patient_and_study(dataset, spec, vendor, which)
    _series(dataset, scan, spec, vendor, which)
    _place(dataset, scan, k)
    dataset.InstanceNumber = k + 1
    dataset.AcquisitionNumber = 1
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, scan.volume.sources[k].sop_instance_uid
    _pixels(dataset, scan.volume.hu[k], scan.padded, vendor)
    return dataset


def _meta(sop_instance_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION)
    return meta


def _patient_and_study(dataset: Dataset, spec: PhantomSpec, vendor: Vendor, which: str) -> None:
    date = DATE if which == "baseline" else FOLLOWUP_DATE
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = f"PHANTOM^{spec.seed:06d}"
    dataset.PatientID = f"PHANTOM-{spec.seed:06d}"
    dataset.PatientBirthDate, dataset.PatientSex = "", "O"
    dataset.StudyInstanceUID = uid(spec, which, "study")
    dataset.StudyID = "1" if which == "baseline" else "2"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = date
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = TIME
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "", ""
    dataset.StudyDescription = vendor.study_description


def _series(dataset: Dataset, scan: Scan, spec: PhantomSpec, vendor: Vendor, which: str) -> None:
    acquisition = scan.acquisition
    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = uid(spec, which, "series")
    dataset.FrameOfReferenceUID = uid(spec, which, "frame")
    dataset.PositionReferenceIndicator = "OM"
    dataset.SeriesNumber = 2
    dataset.SeriesDescription = vendor.description.format(thickness=acquisition.thickness_mm)
    dataset.ImageType = list(vendor.image_type)
    dataset.Manufacturer, dataset.ManufacturerModelName = vendor.manufacturer, vendor.model
    dataset.SoftwareVersions, dataset.StationName = vendor.software, vendor.station
    dataset.InstitutionName = "ICHNODE PHANTOM"
    dataset.ProtocolName, dataset.BodyPartExamined = vendor.protocol, vendor.body_part
    dataset.PatientPosition = "HFS"
    dataset.KVP, dataset.XRayTubeCurrent, dataset.ExposureTime = 120, 250, 1000
    dataset.ConvolutionKernel = vendor.kernel
    dataset.GantryDetectorTilt = acquisition.tilt_deg
    dataset.SliceThickness = acquisition.thickness_mm
    dataset.ReconstructionDiameter = round(acquisition.pixel_mm * acquisition.columns, 3)
    dataset.DataCollectionDiameter = 500


def _place(dataset: Dataset, scan: Scan, k: int) -> None:
    geometry = scan.volume.geometry
    dataset.ImagePositionPatient = _rounded(geometry.origins_mm[k])
    dataset.ImageOrientationPatient = _rounded(np.concatenate([geometry.row_cosine, geometry.column_cosine]))
    dataset.SliceLocation = round(float(scan.acquisition.table_mm[k]), DECIMALS)
    dataset.PixelSpacing = _rounded(np.array([geometry.row_spacing_mm, geometry.column_spacing_mm]))


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), DECIMALS) for value in values]


def _pixels(
    dataset: Dataset, hu: NDArray[np.int16] | NDArray[np.float32], padded: NDArray[np.bool_], vendor: Vendor
) -> None:
    stored = np.asarray(hu, np.int32) - vendor.intercept
    if vendor.padding is not None:
        stored[padded] = vendor.padding
        dataset.PixelPaddingValue = vendor.padding
        dataset["PixelPaddingValue"].VR = "SS"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = hu.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = 16 if vendor.signed else 12
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(vendor.signed)
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = vendor.intercept, 1, "HU"
    dataset.WindowCenter = [centre for centre, _ in vendor.window]
    dataset.WindowWidth = [width for _, width in vendor.window]
    kind = "<i2" if vendor.signed else "<u2"
    dataset.PixelData = np.clip(stored, LOWEST_STORED if vendor.signed else 0, None).astype(kind).tobytes()
