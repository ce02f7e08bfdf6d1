"""The negative controls: what is broken in which object, and by whom it has to be noticed.

A judge that is not named has let the object pass; docs/explanation/validation.md has the same table in words.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pydicom import Dataset

from tests.peers.spoil import (
    a_code_that_is_none,
    a_frame_too_few,
    a_segment_that_is_not_there,
    another_image,
    another_meaning,
    another_segment,
    code_without_scheme,
    cubic_millimetres,
    cut_pixels,
    finer_pixels,
    forgotten_evidence,
    integer_as_text,
    no_device_uid,
    no_number,
    no_units,
    one_dimension_index,
    other_header,
    raw,
    silent_on_research,
    skewed_axes,
    table_step,
    twice_at_one_place,
    twice_the_volume,
    two_coordinates,
    unlisted_source,
    with_value,
    without,
    without_item,
    wrong_group_template,
)

ONE_UID = "one UID for two objects"  # needs the other object


@dataclass(frozen=True, kw_only=True)
class Break:
    """One way to break the object ``kind`` of a result, and the judges that must notice."""

    name: str
    kind: str
    spoil: Callable[[Dataset], None]
    noticed_by: str  # their names, joined by ", "


BREAKS = (
    Break(name="a reference to another image", kind="SR", spoil=another_image, noticed_by="gate, dciodvfy"),
    Break(name="an image missing in the evidence", kind="SR", spoil=forgotten_evidence, noticed_by="gate, dciodvfy"),
    Break(
        name="type 1 missing",
        kind="SR",
        spoil=without("CompletionFlag"),
        noticed_by="gate, dciodvfy, dicom-validator, dsrdump",
    ),
    Break(
        name="type 2 missing",
        kind="SEG",
        spoil=without("PatientID"),
        noticed_by="gate, together, dciodvfy, dicom-validator",
    ),
    Break(
        name="type 1 empty",
        kind="SEG",
        spoil=with_value("ContentLabel", ""),
        noticed_by="gate, dciodvfy, dicom-validator",
    ),
    Break(name="wrong VR", kind="SEG", spoil=integer_as_text, noticed_by="gate, dciodvfy, segimage2itkimage"),
    Break(
        name="wrong multiplicity",
        kind="SEG",
        spoil=two_coordinates,
        noticed_by="gate, dciodvfy, highdicom, segimage2itkimage",
    ),
    Break(name="frame count", kind="SEG", spoil=a_frame_too_few, noticed_by="gate, dciodvfy, segimage2itkimage"),
    Break(
        name="frame of no segment",
        kind="SEG",
        spoil=a_segment_that_is_not_there,
        noticed_by="gate, together, dciodvfy, segimage2itkimage",
    ),
    Break(
        name="dimension index too short", kind="SEG", spoil=one_dimension_index, noticed_by="gate, dciodvfy, highdicom"
    ),
    Break(
        name="code without a scheme",
        kind="SR",
        spoil=code_without_scheme,
        noticed_by="gate, dciodvfy, highdicom, dsrdump, tid1500reader",
    ),
    Break(name="code with another's meaning", kind="SR", spoil=another_meaning, noticed_by="gate"),
    Break(name="code that does not exist", kind="SR", spoil=a_code_that_is_none, noticed_by="gate"),
    Break(
        name="wrong relationship",
        kind="SR",
        spoil=with_value("RelationshipType", "HAS PROPERTIES", "118565006"),
        noticed_by="gate, dsrdump, tid1500reader, PixelMed",
    ),
    Break(
        name="number without units",
        kind="SR",
        spoil=no_units,
        noticed_by="gate, dciodvfy, highdicom, dsrdump, tid1500reader",
    ),
    Break(name="number that is none", kind="SR", spoil=no_number, noticed_by="gate, dciodvfy, dsrdump, tid1500reader"),
    Break(name="units that are not those of the number", kind="SR", spoil=cubic_millimetres, noticed_by="gate"),
    Break(
        name="text item without text",
        kind="SR",
        spoil=without("TextValue", "121106"),
        noticed_by="gate, dciodvfy, highdicom, dsrdump, tid1500reader, PixelMed",
    ),
    Break(name="no tracking UID", kind="SR", spoil=without_item("112040"), noticed_by="gate, together"),
    Break(name="no procedure reported", kind="SR", spoil=without_item("121058"), noticed_by="gate"),
    Break(name="group of another template", kind="SR", spoil=wrong_group_template, noticed_by="gate"),
    Break(name="root without a template", kind="SR", spoil=without("ContentTemplateSequence"), noticed_by="gate"),
    Break(
        name="no frame of reference",
        kind="SEG",
        spoil=without("FrameOfReferenceUID"),
        noticed_by="gate, dicom-validator",
    ),
    Break(
        name="another frame of reference",
        kind="SEG",
        spoil=with_value("FrameOfReferenceUID", "2.25.9"),
        noticed_by="together",
    ),
    Break(name="spacing that the positions contradict", kind="SEG", spoil=table_step, noticed_by="gate, together"),
    Break(name="pixel spacing halved", kind="SEG", spoil=finer_pixels, noticed_by="together"),
    Break(name="two frames at one place", kind="SEG", spoil=twice_at_one_place, noticed_by="gate"),
    Break(name="frame from an unlisted image", kind="SEG", spoil=unlisted_source, noticed_by="gate"),
    Break(name="axes that are not perpendicular", kind="SC 2", spoil=skewed_axes, noticed_by="gate, dciodvfy"),
    Break(name="pixels cut off (SEG)", kind="SEG", spoil=cut_pixels, noticed_by="gate, dciodvfy, segimage2itkimage"),
    Break(name="pixels cut off (SC)", kind="SC 1", spoil=cut_pixels, noticed_by="gate, dciodvfy"),
    Break(name="bits allocated", kind="SEG", spoil=with_value("BitsAllocated", 8), noticed_by="gate, dciodvfy"),
    Break(
        name="colours by another name",
        kind="SC 1",
        spoil=with_value("PhotometricInterpretation", "YBR_FULL"),
        noticed_by="gate",
    ),
    Break(
        name="character set that lies",
        kind="SR",
        spoil=with_value("SpecificCharacterSet", "ISO_IR 192"),
        noticed_by="together",
    ),
    Break(
        name="letters beyond ASCII in a code string",
        kind="SC 1",
        spoil=raw("BodyPartExamined", "CS", b"SCH\xc4DEL "),
        noticed_by="gate, dciodvfy, dicom-validator",
    ),
    Break(
        name="small letters in a code string",
        kind="SC 1",
        spoil=raw("ConversionType", "CS", b"wsd "),
        noticed_by="gate, dciodvfy, dicom-validator",
    ),
    Break(
        name="date that is none",
        kind="SR",
        spoil=raw("ContentDate", "DA", b"20261301"),
        noticed_by="gate, dicom-validator, dsrdump",
    ),
    Break(
        name="time that is none",
        kind="SEG",
        spoil=raw("ContentTime", "TM", b"256199"),
        noticed_by="gate, dciodvfy, dicom-validator",
    ),
    Break(
        name="UID too long",
        kind="SC 1",
        spoil=raw("SeriesInstanceUID", "UI", b"2.25." + b"1" * 65),
        noticed_by="gate, dciodvfy, dicom-validator",
    ),
    Break(
        name="no contributing equipment", kind="SEG", spoil=without("ContributingEquipmentSequence"), noticed_by="gate"
    ),
    Break(name="algorithm without its UID", kind="SR", spoil=no_device_uid, noticed_by="gate"),
    Break(name="not marked as research", kind="SEG", spoil=without("ContentQualification"), noticed_by="gate"),
    Break(name="report silent on research", kind="SR", spoil=silent_on_research, noticed_by="gate"),
    Break(
        name="private codes not declared",
        kind="SR",
        spoil=without("CodingSchemeIdentificationSequence"),
        noticed_by="gate",
    ),
    Break(
        name="verified by nobody",
        kind="SR",
        spoil=with_value("VerificationFlag", "VERIFIED"),
        noticed_by="gate, dciodvfy, dsrdump",
    ),
    Break(name="header names another instance", kind="SC 1", spoil=other_header, noticed_by="dciodvfy"),
    Break(name="another patient", kind="SR", spoil=raw("PatientID", "LO", b"PID2"), noticed_by="together"),
    Break(name="another study", kind="SEG", spoil=with_value("StudyInstanceUID", "2.25.10"), noticed_by="together"),
    Break(
        name="report and segment tracked differently",
        kind="SR",
        spoil=with_value("UID", "2.25.11", "112040"),
        noticed_by="together",
    ),
    Break(name="report of a segment that is not there", kind="SR", spoil=another_segment, noticed_by="together"),
    Break(name="another volume than the segment's", kind="SR", spoil=twice_the_volume, noticed_by="together"),
    Break(name=ONE_UID, kind="SC 2", spoil=lambda _: None, noticed_by="together"),
)
