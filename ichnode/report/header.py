"""Patient and study as the source states them, byte for byte, and what else every object of ours has.

The PACS matches results to patients by these bytes, and headers in the field are dirty: character sets that libraries
do not know, text in no declared character set, dates that are none. So nothing here is decoded; what would make the
object invalid is left empty, all other bytes go over as they came. Our own text is ASCII, valid in every character set.
"""

import re
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, ExplicitVRLittleEndian

from ichnode.domain.identity import MANUFACTURER, MODEL_NAME
from ichnode.domain.outputs import ObjectKind
from ichnode.report.equipment import contributing_equipment
from ichnode.report.inputs import Context
from ichnode.report.stated import character_set, is_ascii, raw_value, tag_of

# Type 2 of the Patient and General Study modules: there, though empty (PS3.3 C.7.1.1, C.7.2.1)
REQUIRED: Final = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID",
)  # fmt: skip
OPTIONAL: Final = ("IssuerOfPatientID", "PatientAge", "PatientWeight", "PatientSize", "StudyDescription")
OPTIONAL_SEQUENCES: Final = (
    "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence",
    "IssuerOfAccessionNumberSequence", "ProcedureCodeSequence",
)  # fmt: skip

_DATE: Final = rb"(18|19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
VALID: Final = {
    "PatientSex": re.compile(rb"M|F|O"),
    "PatientBirthDate": re.compile(_DATE),
    "StudyDate": re.compile(_DATE),
    "StudyTime": re.compile(rb"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"),
    "PatientAge": re.compile(rb"\d{3}[DWMY]"),
    "PatientWeight": re.compile(rb"[+-]?\d{1,5}(\.\d{1,8})?"),
    "PatientSize": re.compile(rb"[+-]?\d{1,5}(\.\d{1,8})?"),
}


def complete(dataset: Dataset, context: Context, kind: ObjectKind, *, number: int, description: str = "") -> None:
    """Give ``dataset`` its patient, study, series, equipment and dates; those it has are replaced.

    ``number``: InstanceNumber within the series. ``description``: SeriesDescription, where it is not the usual one.
    """
    here, date, time = context.installation, context.at.strftime("%Y%m%d"), context.at.strftime("%H%M%S")
    dataset.StudyInstanceUID = context.study_uid
    dataset.SeriesInstanceUID = context.uid(f"series-{kind}", str(dataset.SOPClassUID))  # one form in a series
    dataset.SeriesNumber = here.series_numbers[kind]
    dataset.SeriesDescription = description or here.descriptions[kind]
    dataset.InstanceNumber = number
    dataset.SeriesDate = dataset.ContentDate = dataset.InstanceCreationDate = date
    dataset.SeriesTime = dataset.ContentTime = dataset.InstanceCreationTime = time
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL_NAME
    dataset.DeviceSerialNumber = here.device_serial
    dataset.SoftwareVersions = here.node_version
    dataset.ContentQualification = "RESEARCH"
    dataset.ContributingEquipmentSequence = contributing_equipment(context)
    graft(dataset, context.header)
    dataset.file_meta = _file_meta(dataset)


def graft(dataset: Dataset, source: Dataset) -> None:
    """Put the patient and study of ``source`` into ``dataset``, with the bytes and character set they have there."""
    for keyword in (*REQUIRED, *OPTIONAL):
        value = raw_value(source, keyword)
        rule = VALID.get(keyword)
        if rule is not None and not rule.fullmatch(value):
            value = b""
        if value or keyword in REQUIRED:
            _put_raw(dataset, keyword, value)
    for keyword in OPTIONAL_SEQUENCES:
        items = _plain_items(source, keyword)
        if items:
            setattr(dataset, keyword, items)
    terms = character_set(source)
    if terms:
        dataset.SpecificCharacterSet = terms


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID  # pydicom writes the file; we have no registered root
    meta.ImplementationVersionName = f"{MODEL_NAME}-{dataset.SoftwareVersions}"[:16]
    return meta


def _put_raw(dataset: Dataset, keyword: str, value: bytes) -> None:
    padded = value + b" " if len(value) % 2 else value
    tag = tag_of(keyword)
    dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(padded), padded, 0, False, True)


def _plain_items(source: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, where all their text is ASCII: what they hold is a help, not worth a wrong byte."""
    items = []
    for original in source[keyword].value if keyword in source else ():
        item = Dataset()
        for tag in original.keys():  # noqa: SIM118 - iterating a Dataset decodes it
            if not is_ascii(original, tag):
                return []
            if not tag.is_private and original[tag].VR != "SQ":
                item.add(DataElement(tag, original[tag].VR, original[tag].value))
        items.append(item)
    return [item for item in items if len(item)]
