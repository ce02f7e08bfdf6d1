"""Write the head CT that ships with the package: python deploy/make_demo.py GE_TILT_FOLDER [OUT]

Takes the GE head of github.com/neurolabusc/dcm_qa_ct (BSD-2-Clause, de-identified), places a synthetic bleed in the
right putamen, blanks what lies outside the head, and gives it new names and UIDs. The same input gives the same bytes.
"""

import json
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID, JPEGLSLossless
from scipy import ndimage

from ichnode.demo.bleed import Bleed, Placed, place

BLEED = Bleed(centre_mm=(-35.0, -7.0, 43.5), semi_axes_mm=(12.0, 18.5, 14.5), turn_deg=-12.0, hu=62.0)
INTERCEPT_HU = -1024  # unsigned 12 bit from here: JPEG-LS would see signed values jump by 65,536 at 0 HU
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "ichnode/demo/head-ct")
UID_KEYWORDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")


def main(source: Path, out: Path) -> None:
    """Writes OUT/head-ct/*.dcm and OUT/truth.json."""
    placed = place([pydicom.dcmread(path) for path in sorted(source.glob("*.dcm"))], BLEED)
    hu = np.stack([one.pixel_array for one in placed.datasets])
    outside = ~head(hu)
    folder = out / "head-ct"
    folder.mkdir(parents=True, exist_ok=True)
    for index, dataset in enumerate(placed.datasets):
        rename(dataset)
        dataset.add_new("DerivationDescription", "ST", "Synthetic bleed placed, outside of the head blanked")
        recode(dataset, np.where(outside[index], INTERCEPT_HU, hu[index]))
        dataset.save_as(folder / f"{index + 1:02d}.dcm", enforce_file_format=True)
    write_truth(out / "truth.json", placed)


def head(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """(Z, Y, X) the largest body of tissue, filled slice by slice, with 5 mm of air about it."""
    disc = np.hypot(*np.mgrid[-6:7, -6:7]) <= 6
    tissue = ndimage.binary_opening(hu > -300, np.ones((1, 5, 5)))
    labels, _ = ndimage.label(tissue)
    largest = labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1
    grown = [ndimage.binary_dilation(ndimage.binary_fill_holes(one), disc, iterations=2) for one in largest]
    return np.stack(grown)


def rename(dataset: Dataset) -> None:
    """Gives the demo patient's names, dates and UIDs, and takes private elements out."""
    dataset.remove_private_tags()
    for keyword in UID_KEYWORDS:
        dataset[keyword].value = UID(f"2.25.{uuid.uuid5(NAMESPACE, dataset[keyword].value).int}")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientName, dataset.PatientID = "DEMO^HEAD CT", "DEMO-0001"
    dataset.PatientBirthDate, dataset.PatientSex = "", "O"
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = "20200101"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "120000"
    dataset.AccessionNumber, dataset.StudyID = "DEMO0001", "1"
    dataset.StudyDescription = "DEMO HEAD CT"
    dataset.SeriesDescription = "DEMO HEAD 4/7 MM, SYNTHETIC BLEED"
    dataset.ImageType = ["DERIVED", *dataset.ImageType[1:]]
    dataset.DeidentificationMethod = "As received from dcm_qa_ct; private elements removed, new UIDs"


def recode(dataset: Dataset, hu: NDArray[np.int16]) -> None:
    """Stores ``hu`` as 12 bit unsigned JPEG-LS lossless."""
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = INTERCEPT_HU, 1, "HU"
    stored = np.clip(hu - INTERCEPT_HU, 0, 4095).astype(np.uint16)
    dataset.set_pixel_data(stored, "MONOCHROME2", 12, generate_instance_uid=False)
    dataset.PixelPaddingValue = 0
    dataset["PixelPaddingValue"].VR = "US"
    dataset.compress(JPEGLSLossless, generate_instance_uid=False)


def write_truth(path: Path, placed: Placed) -> None:
    """Writes what is true of the bleed: volumes, where it lies, and how many of its voxels each slice holds."""
    truth = {
        "volume_ml": round(placed.volume_ml, 3),
        "ellipsoid_ml": round(BLEED.volume_ml, 3),
        "centre_mm": BLEED.centre_mm,
        "semi_axes_mm": BLEED.semi_axes_mm,
        "turn_deg": BLEED.turn_deg,
        "hu": BLEED.hu,
        "voxels_by_slice": voxels_by_slice(placed.datasets, placed.mask),
    }
    path.write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")


def voxels_by_slice(datasets: Sequence[Dataset], mask: NDArray[np.bool_]) -> dict[str, int]:
    """SOPInstanceUID to number of voxels that are at least half blood, slices without any left out."""
    counts = mask.sum(axis=(1, 2))
    return {str(one.SOPInstanceUID): int(count) for one, count in zip(datasets, counts, strict=True) if count}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else Path("ichnode/demo"))
