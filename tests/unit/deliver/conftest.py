"""Files to send, peers that answer as a test wants, and a real queue with results that are due."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from threading import Thread

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from ichnode.deliver.association import Timeouts
from ichnode.deliver.backoff import Backoff
from ichnode.deliver.loop import Destination
from ichnode.domain.facts import InstanceFacts
from ichnode.domain.outputs import ObjectKind, OutputFile, Peer
from ichnode.domain.states import Decision, JobState
from ichnode.queue.database import Database, open_database
from ichnode.queue.intake import NewInstance, record
from ichnode.queue.jobs import claim, finish
from ichnode.queue.series import decide, receiving, settle
from ichnode.store.files import sha256_of

SOP_CLASSES = {
    ObjectKind.SEG: SegmentationStorage,
    ObjectKind.SR: Comprehensive3DSRStorage,
    ObjectKind.SC: SecondaryCaptureImageStorage,
}

PATIENT = Timeouts(connect_s=10, acse_s=10, dimse_s=10, network_s=10)


def dicom_bytes(
    sop_instance_uid: str, sop_class_uid: str = SecondaryCaptureImageStorage, syntax: str = ExplicitVRLittleEndian
) -> tuple[bytes, bytes]:
    """(file meta information, data set) of a small file. The data set begins with a group length, which is legal,
    retired, and dropped by pydicom whenever it writes: so a re-encoded data set differs from this one."""
    dataset = Dataset()
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = sop_instance_uid
    dataset.PatientName = "Doe^Jane"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    whole = BytesIO()
    dataset.save_as(whole, enforce_file_format=True)
    offset = whole.getvalue().index(b"\x08\x00\x16\x00")  # (0008,0016) SOP Class UID, the first element
    vr = b"\x04\x00\x00\x00" if syntax == ImplicitVRLittleEndian else b"UL\x04\x00"
    group_length = b"\x08\x00\x00\x00" + vr + b"\x64\x00\x00\x00"
    return whole.getvalue()[:offset], group_length + whole.getvalue()[offset:]


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small DICOM file into ``tmp_path``."""

    def make(sop_instance_uid: str = "1.2.3", **options: str) -> Path:
        path = tmp_path / f"{sop_instance_uid}.dcm"
        path.write_bytes(b"".join(dicom_bytes(sop_instance_uid, **options)))
        return path

    return make


@dataclass
class Scp:
    """A running peer: how to call it, and what it was sent, as (SOP instance UID, encoded data set)."""

    peer: Peer
    received: list[tuple[str, bytes]] = field(default_factory=list)
    associations: list[str] = field(default_factory=list)

    @property
    def uids(self) -> list[str]:
        return [uid for uid, _ in self.received]


@pytest.fixture
def start_scp() -> Iterator[Callable[..., Scp]]:
    """Starts a peer on a free port. ``answer(event)`` returns the status of each C-STORE, 0x0000 when left out."""
    servers = []

    def start(
        answer: Callable[[evt.Event], int] | None = None,
        *,
        classes: dict[str, list[str]] | None = None,
        name: str = "pacs",
        ae_title: str = "PACS",
        handlers: list[tuple] = (),
        setup: Callable[[AE], None] = lambda _ae: None,
        port: int = 0,
    ) -> Scp:
        ae = AE(ae_title=ae_title)
        ae.require_called_aet = True
        syntaxes = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        for sop_class, accepted in (classes or dict.fromkeys([*SOP_CLASSES.values(), Verification], syntaxes)).items():
            ae.add_supported_context(sop_class, accepted)
        setup(ae)
        scp = Scp(peer=Peer(name=name, host="127.0.0.1", port=port, ae_title="PACS"))

        def on_store(event: evt.Event) -> int:
            scp.received.append((str(event.request.AffectedSOPInstanceUID), event.request.DataSet.getvalue()))
            return answer(event) if answer else 0x0000

        def on_accepted(event: evt.Event) -> None:
            scp.associations.append(event.assoc.requestor.ae_title)

        own = [(evt.EVT_C_STORE, on_store), (evt.EVT_ACCEPTED, on_accepted)]
        server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[*own, *handlers])
        servers.append(server)
        actual = server.socket.getsockname()[1]
        scp.peer = Peer(name=name, host="127.0.0.1", port=actual, ae_title="PACS")
        return scp

    yield start
    for server in servers:
        server.shutdown()


@pytest.fixture
def silent_peer() -> Iterator[Peer]:
    """A peer whose TCP stack accepts the connection, and that then says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield Peer(name="silent", host="127.0.0.1", port=listener.getsockname()[1], ae_title="PACS")


@pytest.fixture
def busy_peer() -> Iterator[Peer]:
    """A peer that rejects the association for the moment: local limit exceeded. Source: PS3.8 9.3.4."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reject() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02")
                connection.recv(1)  # until the other side closes

        thread = Thread(target=reject)
        thread.start()
        yield Peer(name="busy", host="127.0.0.1", port=listener.getsockname()[1], ae_title="PACS")
        thread.join(10)


@pytest.fixture
def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An empty queue."""
    database = open_database(tmp_path / "queue.sqlite")
    yield database
    database.close()


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """The folder of results."""
    folder = tmp_path / "outputs"
    folder.mkdir()
    return folder


@pytest.fixture
def add_result(db: Database, outputs: Path) -> Callable[..., list[str]]:
    """Takes a study all the way to a finished job with SC, SR and SEG, due at time 0. Returns their UIDs in the order
    in which they must go."""

    def add(study: str = "1.2", *destinations: Destination) -> list[str]:
        instance = NewInstance(
            sop_instance_uid=f"{study}.1.1",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            study_instance_uid=study,
            series_instance_uid=f"{study}.1",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            sha256="",
            size_bytes=1,
            path="",
            calling_ae="CT",
            address="",
            facts=InstanceFacts(),
        )
        record(db, instance, now=0)
        row = next(s for s in receiving(db) if s.study_instance_uid == study)
        settle(db, row.id, missing=0, text="", now=0)
        decide(db, {row.id: (Decision.ANALYSE, "")}, now=0)
        made = []
        for kind in (ObjectKind.SC, ObjectKind.SR, ObjectKind.SEG):
            uid = f"{study}.9.{list(ObjectKind).index(kind)}"
            content = b"".join(dicom_bytes(uid, SOP_CLASSES[kind]))
            (outputs / f"{uid}.dcm").write_bytes(content)
            made.append(
                OutputFile(
                    kind=kind,
                    number=1,
                    sop_class_uid=SOP_CLASSES[kind],
                    sop_instance_uid=uid,
                    series_instance_uid=f"{study}.9",
                    path=f"{uid}.dcm",
                    sha256=sha256_of(content),
                )
            )
        lease = claim(db, owner="test", now=0, lease_s=60, max_attempts=1)
        routes = [destination.route for destination in destinations]
        finish(db, lease, JobState.DONE, outputs=made, routes=routes, reason="", now=0)
        return [f"{study}.9.{i}" for i in range(3)]

    return add


@pytest.fixture
def destination() -> Callable[..., Destination]:
    """A destination; its limits bear a loaded machine."""

    def make(peer: Peer, **options: object) -> Destination:
        settings = {"timeouts": PATIENT, "backoff": Backoff(first_s=60, max_s=3600)}
        return Destination(peer=peer, **(settings | options))

    return make
