"""The segmentation object: a segment a lesion, on the matrix and the frames of its source, as bits or as a label map.

Source: PS3.3 A.51, Supplement 243 (label map). The comments say where highdicom's own choice does not serve the readers
in the field.
"""

import copy
from typing import Final

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from ichnode.domain.geometry import Geometry
from ichnode.domain.identity import MANUFACTURER, MODEL_NAME
from ichnode.domain.outputs import ObjectKind
from ichnode.domain.profile import SegForm
from ichnode.domain.values import Findings, Lesion, ModelIdentity
from ichnode.report import codes
from ichnode.report.header import complete
from ichnode.report.inputs import Context, Source
from ichnode.report.plane import decimal
from ichnode.report.stubs import source_stubs
from ichnode.report.uids import digest

RED: Final = (230, 30, 30)


def build_seg(source: Source, findings: Findings, context: Context, form: SegForm = SegForm.BINARY) -> Dataset:
    """The segmentation of ``findings``, whose mask must not be empty. Frames without a marked pixel are left out."""
    tracked = [tracking_of(lesion, context) for lesion in findings.lesions]
    content = digest(findings.labels.tobytes(), str(findings.labels.shape), *(uid for _, uid in tracked))
    seg = hd.seg.Segmentation(
        source_images=source_stubs(source),
        pixel_array=findings.labels.astype(np.uint16),
        segmentation_type=form.name,
        segment_descriptions=[_segment(lesion, findings.model, context) for lesion in findings.lesions],
        series_instance_uid=context.uid("seg-series"),  # for the time being: complete() has the true one
        series_number=context.installation.series_numbers[ObjectKind.SEG],
        sop_instance_uid=context.uid("seg", form, content),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=context.installation.node_version,
        device_serial_number=context.installation.device_serial,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=True,
        content_label="ICH_SEG",
        content_description="AI intracerebral hematoma (research)",
        content_date=context.at.date(),
        content_time=context.at.time(),
    )
    seg.ContentCreatorName = ""  # type 2; no person made it
    _name_frames(seg, source)
    if form is SegForm.BINARY:  # in a label map the pixels say it
        _identify_segment_per_frame(seg)
    _state_spacing(seg, source.volume.geometry)
    _fix_dimension_uid(seg, context)
    complete(seg, context, ObjectKind.SEG, number=1)
    return seg  # type: ignore[no-any-return]


def tracking_of(lesion: Lesion, context: Context) -> tuple[str, str]:
    """Tracking ID and UID of a lesion: those it had in an earlier scan, else its own by its number."""
    identifier = lesion.tracking_id or f"ICH {lesion.number}"
    return identifier, lesion.tracking_uid or context.tracking_uid(identifier)


def _segment(lesion: Lesion, model: ModelIdentity, context: Context) -> Dataset:
    algorithm = hd.AlgorithmIdentificationSequence(
        name=model.name,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        version=model.version,
        source=MANUFACTURER,
        parameters={"weights sha256": model.sha256},
    )
    tracking_id, tracking_uid = tracking_of(lesion, context)
    segment = hd.seg.SegmentDescription(
        segment_number=lesion.number,
        segment_label="Intracerebral hematoma" if lesion.number == 1 else f"Intracerebral hematoma {lesion.number}",
        segmented_property_category=codes.MORPHOLOGICALLY_ABNORMAL,
        segmented_property_type=codes.HEMORRHAGE,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_id=tracking_id,
        tracking_uid=tracking_uid,
        anatomic_regions=[codes.BRAIN],
        display_color=hd.color.CIELabColor.from_rgb(*RED),
    )
    segment.SegmentDescription = "Parenchymal hematoma, automatic, unreviewed"
    return segment  # type: ignore[no-any-return]


def _name_frames(seg: Dataset, source: Source) -> None:
    """Let the references of a multi-frame source name its own frames: the stub has those of the volume alone."""
    frames = [slice_.frame_number for slice_ in source.volume.sources]
    for group in seg.PerFrameFunctionalGroupsSequence:
        reference = group.DerivationImageSequence[0].SourceImageSequence[0]
        if "ReferencedFrameNumber" in reference:
            reference.ReferencedFrameNumber = frames[int(reference.ReferencedFrameNumber) - 1]


def _identify_segment_per_frame(seg: Dataset) -> None:
    """Move the segment's number from the shared groups to the frames: OHIF, and highdicom itself, look for it there.

    highdicom shares it where there is one segment alone.
    """
    shared = seg.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" not in shared:
        return
    identification = shared.SegmentIdentificationSequence[0]
    del shared.SegmentIdentificationSequence
    for group in seg.PerFrameFunctionalGroupsSequence:
        group.SegmentIdentificationSequence = [copy.deepcopy(identification)]


def _state_spacing(seg: Dataset, geometry: Geometry) -> None:
    """Write the distance along the normal. highdicom leaves it out of a tilted stack, and readers then take the table
    step, which overstates volumes by 1/cos(tilt). Unequal gaps have no one spacing: highdicom states none, nor do we.
    """
    if not geometry.is_unequal:
        measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        measures.SpacingBetweenSlices = decimal(round(float(geometry.gaps_mm.mean()), 5))


def _fix_dimension_uid(seg: Dataset, context: Context) -> None:
    """Replace the one UID that highdicom draws at random."""
    organization = context.uid("dimension-organization", str(seg.SOPInstanceUID))
    seg.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization
    for item in seg.DimensionIndexSequence:
        item.DimensionOrganizationUID = organization
