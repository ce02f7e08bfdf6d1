"""What each class of object must have: the type 1 and type 2 attributes, with those of the items that matter.

A number is the type: 1 there and filled, 2 there. A table stands for a sequence of at least one item (type 1) and says
what each of its items must have. Source: PS3.3 A.51, A.35.13, A.8.1, A.8.5, A.35.4,
A.45.1 and the modules named there.
"""

from __future__ import annotations

from typing import Final

from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    EnhancedSRStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from ichnode.domain.profile import LABEL_MAP_SEGMENTATION

Requirement = dict[str, "int | Requirement"]

_CODE: Final[Requirement] = {"CodeValue": 1, "CodingSchemeDesignator": 1, "CodeMeaning": 1}
_INSTANCE: Final[Requirement] = {"ReferencedSOPClassUID": 1, "ReferencedSOPInstanceUID": 1}

_PATIENT_TO_EQUIPMENT: Final[Requirement] = {
    "PatientName": 2,
    "PatientID": 2,
    "PatientBirthDate": 2,
    "PatientSex": 2,
    "StudyInstanceUID": 1,
    "StudyDate": 2,
    "StudyTime": 2,
    "ReferringPhysicianName": 2,
    "StudyID": 2,
    "AccessionNumber": 2,
    "Modality": 1,
    "SeriesInstanceUID": 1,
    "SeriesNumber": 1,
    "SeriesDescription": 1,
    "Manufacturer": 1,
    "ManufacturerModelName": 1,
    "DeviceSerialNumber": 1,
    "SoftwareVersions": 1,
    "SOPClassUID": 1,
    "SOPInstanceUID": 1,
    "InstanceNumber": 1,
    "InstanceCreationDate": 1,
    "InstanceCreationTime": 1,
    "ContentQualification": 1,
    "ContributingEquipmentSequence": {
        "PurposeOfReferenceCodeSequence": _CODE,
        "Manufacturer": 1,
        "ContributionDescription": 1,
    },
}

_PIXELS: Final[Requirement] = {
    "ImageType": 1,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": 1,
    "Rows": 1,
    "Columns": 1,
    "BitsAllocated": 1,
    "BitsStored": 1,
    "HighBit": 1,
    "PixelRepresentation": 1,
    "PixelData": 1,
}

_FRAME_OF_SEGMENTATION: Final[Requirement] = {
    "FrameContentSequence": {"DimensionIndexValues": 1},
    "PlanePositionSequence": {"ImagePositionPatient": 1},
    "DerivationImageSequence": {
        "DerivationCodeSequence": _CODE,
        "SourceImageSequence": {**_INSTANCE, "PurposeOfReferenceCodeSequence": _CODE},
    },
}

_SEGMENT: Final[Requirement] = {
    "SegmentNumber": 1,
    "SegmentLabel": 1,
    "SegmentAlgorithmType": 1,
    "SegmentAlgorithmName": 1,
    "SegmentedPropertyCategoryCodeSequence": _CODE,
    "SegmentedPropertyTypeCodeSequence": _CODE,
}

LESION: Final[Requirement] = {  # a segment that is no background
    **_SEGMENT,
    "AnatomicRegionSequence": _CODE,
    "TrackingID": 1,
    "TrackingUID": 1,
    "SegmentationAlgorithmIdentificationSequence": {
        "AlgorithmFamilyCodeSequence": _CODE,
        "AlgorithmName": 1,
        "AlgorithmVersion": 1,
        "AlgorithmParameters": 1,
    },
}

_SEGMENTATION: Final[Requirement] = {
    **_PATIENT_TO_EQUIPMENT,
    **_PIXELS,
    "FrameOfReferenceUID": 1,
    "PositionReferenceIndicator": 2,
    "ContentDate": 1,
    "ContentTime": 1,
    "ContentLabel": 1,
    "ContentDescription": 2,
    "ContentCreatorName": 2,
    "SegmentationType": 1,
    "LossyImageCompression": 1,
    "NumberOfFrames": 1,
    "SegmentSequence": LESION,
    "DimensionOrganizationSequence": {"DimensionOrganizationUID": 1},
    "DimensionIndexSequence": {"DimensionOrganizationUID": 1, "DimensionIndexPointer": 1},
    "ReferencedSeriesSequence": {"SeriesInstanceUID": 1, "ReferencedInstanceSequence": _INSTANCE},
    "SharedFunctionalGroupsSequence": {
        "PixelMeasuresSequence": {"PixelSpacing": 1, "SliceThickness": 1},
        "PlaneOrientationSequence": {"ImageOrientationPatient": 1},
    },
    "PerFrameFunctionalGroupsSequence": {
        **_FRAME_OF_SEGMENTATION,
        "SegmentIdentificationSequence": {"ReferencedSegmentNumber": 1},
    },
}

_LABEL_MAP: Final[Requirement] = {  # each pixel says to which segment it belongs; number 0 is the background
    **_SEGMENTATION,
    "SegmentSequence": _SEGMENT,
    "PerFrameFunctionalGroupsSequence": _FRAME_OF_SEGMENTATION,
    "PixelPaddingValue": 1,
}

_TREE: Final[Requirement] = {
    "CurrentRequestedProcedureEvidenceSequence": {
        "StudyInstanceUID": 1,
        "ReferencedSeriesSequence": {"SeriesInstanceUID": 1, "ReferencedSOPSequence": _INSTANCE},
    },
    "ValueType": 1,
    "ConceptNameCodeSequence": _CODE,
    "ContinuityOfContent": 1,
    "ContentTemplateSequence": {"MappingResource": 1, "TemplateIdentifier": 1},
    "ContentSequence": {"RelationshipType": 1, "ValueType": 1, "ConceptNameCodeSequence": _CODE},
}

_REPORT: Final[Requirement] = {
    **_PATIENT_TO_EQUIPMENT,
    "ReferencedPerformedProcedureStepSequence": 2,
    "ContentDate": 1,
    "ContentTime": 1,
    "CompletionFlag": 1,
    "VerificationFlag": 1,
    "PerformedProcedureCodeSequence": 2,
    "CodingSchemeIdentificationSequence": {"CodingSchemeDesignator": 1},
    **_TREE,
}

_PICTURE: Final[Requirement] = {
    **_PATIENT_TO_EQUIPMENT,
    **_PIXELS,
    "ConversionType": 1,
    "PlanarConfiguration": 1,
    "BurnedInAnnotation": 1,
}

_BOUND_PICTURES: Final[Requirement] = {
    **_PICTURE,
    "NumberOfFrames": 1,
}

_SELECTION: Final[Requirement] = {
    **_PATIENT_TO_EQUIPMENT,
    "ReferencedPerformedProcedureStepSequence": 2,
    "ContentDate": 1,
    "ContentTime": 1,
    **_TREE,
}

_DOCUMENT: Final[Requirement] = {
    **_PATIENT_TO_EQUIPMENT,
    "ConversionType": 1,
    "ContentDate": 1,
    "ContentTime": 1,
    "AcquisitionDateTime": 2,
    "BurnedInAnnotation": 1,
    "SourceInstanceSequence": _INSTANCE,
    "DocumentTitle": 1,
    "ConceptNameCodeSequence": _CODE,
    "MIMETypeOfEncapsulatedDocument": 1,
    "EncapsulatedDocument": 1,
    "EncapsulatedDocumentLength": 1,
}

REQUIRED_BY_CLASS: Final[dict[str, Requirement]] = {
    SegmentationStorage: _SEGMENTATION,
    LABEL_MAP_SEGMENTATION: _LABEL_MAP,
    Comprehensive3DSRStorage: _REPORT,
    ComprehensiveSRStorage: _REPORT,
    EnhancedSRStorage: _REPORT,
    SecondaryCaptureImageStorage: _PICTURE,
    MultiFrameTrueColorSecondaryCaptureImageStorage: _BOUND_PICTURES,
    KeyObjectSelectionDocumentStorage: _SELECTION,
    EncapsulatedPDFStorage: _DOCUMENT,
}
