"""The key object selection: a pointer at the one source image to look at first, for viewers with a key image button.

It names an image of the source alone: that one is at the PACS, whatever else of the result the PACS takes.
Source: PS3.3 A.35.4, PS3.16 TID 2010.
"""

from highdicom import ko
from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from ichnode.domain.identity import RESEARCH_NOTICE
from ichnode.domain.outputs import ObjectKind
from ichnode.domain.values import Findings
from ichnode.report import codes
from ichnode.report.content import observer_of
from ichnode.report.header import complete
from ichnode.report.inputs import Context, Source
from ichnode.report.sr import hierarchy


def build_kos(source: Source, findings: Findings, context: Context) -> Dataset:
    """The selection of the image with the largest section of the haematoma, which must not be empty."""
    image, frame = source.images[findings.key_slice], source.volume.sources[findings.key_slice].frame_number
    instance = str(image.SOPInstanceUID)
    selection = Dataset()
    selection.SOPClassUID = KeyObjectSelectionDocumentStorage
    selection.SOPInstanceUID = context.uid("kos", instance, str(frame))
    selection.Modality = "KO"
    complete(selection, context, ObjectKind.KOS, number=1)
    selection.ReferencedPerformedProcedureStepSequence = []
    named = [(str(image.SOPClassUID), instance, str(image.SeriesInstanceUID))]
    selection.CurrentRequestedProcedureEvidenceSequence = [hierarchy(context.study_uid, named)]
    for element in _tree(image, frame, context):
        selection.add(element)
    return selection


def _tree(image: Dataset, frame: int | None, context: Context) -> Dataset:
    """TID 2010. highdicom names whole objects only, so the frame is put in afterwards."""
    content = ko.KeyObjectSelection(
        document_title=codes.OF_INTEREST,
        referenced_objects=[_stub(image)],
        observer_device_context=observer_of(context),
        description=RESEARCH_NOTICE,
    )
    root: Dataset = content[0]
    root.ContinuityOfContent = "SEPARATE"
    if frame is not None:
        root.ContentSequence[-1].ReferencedSOPSequence[0].ReferencedFrameNumber = frame
    return root


def _stub(image: Dataset) -> Dataset:
    """What highdicom looks at: the identity, and that it is an image."""
    stub = Dataset()
    stub.SOPClassUID, stub.SOPInstanceUID = str(image.SOPClassUID), str(image.SOPInstanceUID)
    stub.Rows = stub.Columns = 1
    return stub
