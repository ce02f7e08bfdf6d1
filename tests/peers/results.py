"""Results without an analysis: small objects of the three kinds, in a queue as a worker leaves it."""

import time

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from ichnode.domain.facts import InstanceFacts
from ichnode.domain.outputs import ObjectKind, OutputFile
from ichnode.domain.states import Decision, JobState
from ichnode.queue.intake import NewInstance, record
from ichnode.queue.jobs import claim, finish
from ichnode.queue.outbox import Route
from ichnode.queue.series import decide, receiving, settle
from ichnode.store.files import sha256_of
from tests.peers.node import Node
from tests.peers.series import uid

CLASSES = {
    ObjectKind.SEG: SegmentationStorage,
    ObjectKind.SR: Comprehensive3DSRStorage,
    ObjectKind.SC: SecondaryCaptureImageStorage,
}


def add_result(node: Node, name: str, *destinations: str) -> list[str]:
    """A finished job of a study of its own, its three objects due now. Returns their SOP instance UIDs."""
    now, study = time.time(), uid(name, "study")
    record(node.db, _ct(name, study), now=now)
    series = next(row for row in receiving(node.db) if row.study_instance_uid == study)
    settle(node.db, series.id, missing=0, text="complete", now=now)
    decide(node.db, {series.id: (Decision.ANALYSE, "because")}, now=now)
    lease = claim(node.db, owner="test", now=now, lease_s=60, max_attempts=1)
    outputs = [_output(node, name, study, kind) for kind in CLASSES]
    routes = [Route(destination=d, kinds=frozenset(ObjectKind), not_analysed=True) for d in destinations]
    finish(node.db, lease, JobState.DONE, outputs=outputs, routes=routes, reason="", now=now)
    return [output.sop_instance_uid for output in outputs]


def _output(node: Node, name: str, study: str, kind: ObjectKind) -> OutputFile:
    dataset, meta = Dataset(), FileMetaDataset()
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID = CLASSES[kind]
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = uid(name, kind)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, uid(name, kind, "series")
    dataset.PatientID, dataset.PatientName, dataset.Modality = name, "PHANTOM", str(kind)[:2]
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    folder = node.state_dir / "outputs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return OutputFile(
        kind=kind,
        number=1,
        sop_class_uid=dataset.SOPClassUID,
        sop_instance_uid=dataset.SOPInstanceUID,
        series_instance_uid=dataset.SeriesInstanceUID,
        path=f"outputs/{path.name}",
        sha256=sha256_of(path.read_bytes()),
    )


def _ct(name: str, study: str) -> NewInstance:
    return NewInstance(
        sop_instance_uid=uid(name, "ct"),
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        study_instance_uid=study,
        series_instance_uid=uid(name, "series"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        sha256="0" * 64,
        size_bytes=1,
        path=f"instances/{name}.dcm",
        calling_ae="CT1",
        address="127.0.0.1",
        facts=InstanceFacts(modality="CT", patient_key=name),
    )
