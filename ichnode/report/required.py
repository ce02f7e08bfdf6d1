"""What each class of object must have: the type 1 and type 2 attributes, with those of the items that matter.

A number is the type: 1 there and filled, 2 there. A table stands for a sequence of at least one item (type 1) and says
what each of its items must have. Source: PS3.3 A.51, A.35.13, A.8.1 and the modules named there.
"""

from __future__ import annotations

from typing import Final

from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage, SegmentationStorage

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
    "SegmentSequence": {
        "SegmentNumber": 1,
        "SegmentLabel": 1,
        "SegmentAlgorithmType": 1,
        "SegmentAlgorithmName": 1,
        "SegmentedPropertyCategoryCodeSequence": _CODE,
        "SegmentedPropertyTypeCodeSequence": _CODE,
        "AnatomicRegionSequence": _CODE,
        "TrackingID": 1,
        "TrackingUID": 1,
        "SegmentationAlgorithmIdentificationSequence": {
            "AlgorithmFamilyCodeSequence": _CODE,
            "AlgorithmName": 1,
            "AlgorithmVersion": 1,
            "AlgorithmParameters": 1,
        },
    },
    "DimensionOrganizationSequence": {"DimensionOrganizationUID": 1},
    "DimensionIndexSequence": {"DimensionOrganizationUID": 1, "DimensionIndexPointer": 1},
    "ReferencedSeriesSequence": {"SeriesInstanceUID": 1, "ReferencedInstanceSequence": _INSTANCE},
    "SharedFunctionalGroupsSequence": {
        "PixelMeasuresSequence": {"PixelSpacing": 1, "SliceThickness": 1},
        "PlaneOrientationSequence": {"ImageOrientationPatient": 1},
    },
    "PerFrameFunctionalGroupsSequence": {
        "FrameContentSequence": {"DimensionIndexValues": 1},
        "PlanePositionSequence": {"ImagePositionPatient": 1},
        "SegmentIdentificationSequence": {"ReferencedSegmentNumber": 1},
        "DerivationImageSequence": {
            "DerivationCodeSequence": _CODE,
            "SourceImageSequence": {**_INSTANCE, "PurposeOfReferenceCodeSequence": _CODE},
        },
    },
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

_PICTURE: Final[Requirement] = {
    **_PATIENT_TO_EQUIPMENT,
    **_PIXELS,
    "ConversionType": 1,
    "PlanarConfiguration": 1,
    "BurnedInAnnotation": 1,
}

REQUIRED_BY_CLASS: Final[dict[str, Requirement]] = {
    SegmentationStorage: _SEGMENTATION,
    Comprehensive3DSRStorage: _REPORT,
    SecondaryCaptureImageStorage: _PICTURE,
}
