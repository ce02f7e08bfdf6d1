"""The command line as a user meets it: a configuration file, a real queue, real peers on the loopback."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, Verification

from ichnode.app.wire import open_database_of
from ichnode.cli import alarms, context
from ichnode.cli.main import main
from ichnode.config.file import load_config
from ichnode.domain.facts import InstanceFacts
from ichnode.domain.outputs import ObjectKind, OutputFile
from ichnode.domain.states import Decision, JobState
from ichnode.queue.intake import NewInstance, record
from ichnode.queue.jobs import claim, finish, retry_or_fail
from ichnode.queue.outbox import Route
from ichnode.queue.series import decide, receiving, settle

CHECKOUT = Path(__file__).parents[3]
DATA = Path(os.environ.get("ICHNODE_DATA", CHECKOUT.parent / "shared/data"))

CONFIG = """
[node]
state_dir = "{state}"
[receive]
host = "127.0.0.1"
port = 11112
min_free_mb = 0
[[receive.peer]]
ae_title = "CT1"
network = "127.0.0.1/32"
[work]
weights = "{weights}"
[retention]
target_free_mb = 0
"""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one call of ``ichnode`` said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def ichnode(config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Calls the entry point as the shell does; the configuration stands in the environment."""
    monkeypatch.setenv("ICHNODE_CONFIG", str(config))
    for console in (context.OUT, context.ERR):
        monkeypatch.setattr(console, "width", 200)

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["ichnode", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Said(code=int(ended.value.code or 0), out=captured.out, err=captured.err)

    return call


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The services that run as far as the verbs can see; a test stops one by taking it out."""
    services = {"receive", "work", "deliver"}
    monkeypatch.setattr(alarms, "runs", lambda _config, service: service in services)
    return services


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration file of a node that has never run."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(state=tmp_path / "state", weights=CHECKOUT / "weights/ich-zhong2021"))
    return path


@pytest.fixture
def add_remote(config: Path) -> Callable[..., None]:
    """Adds a [[destination]] or [[pacs]] to the configuration."""

    def add(kind: str, port: int, *, name: str = "pacs", more: str = "") -> None:
        text = f'[[{kind}]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {port}\nae_title = "PACS"\n{more}\n'
        config.write_text(config.read_text() + text)

    return add


@pytest.fixture
def add_job(config: Path) -> Callable[..., None]:
    """Takes a series through the queue to a job that is "queued", "failed", or "done" with an SR for the PACS."""

    def add(series: str, state: str = "queued", *, decision: Decision = Decision.ANALYSE, now: float = 0) -> None:
        now = now or time.time()
        db = open_database_of(load_config(config))
        study = series.rpartition(".")[0]
        for number in range(3):
            facts = InstanceFacts(modality="CT", positions=((0.0, 0.0, 5.0 * number),), study_date="20240131")
            instance = NewInstance(
                sop_instance_uid=f"{series}.{number}",
                sop_class_uid=CTImageStorage,
                study_instance_uid=study,
                series_instance_uid=series,
                transfer_syntax_uid=ExplicitVRLittleEndian,
                sha256=f"{series}.{number}",
                size_bytes=10,
                path=f"instances/{series}.{number}.dcm",
                calling_ae="CT1",
                address="127.0.0.1",
                facts=facts,
            )
            record(db, instance, now=now)
        row = next(r for r in receiving(db) if r.series_instance_uid == series)
        settle(db, row.id, missing=0, text="complete: quiet", now=now)
        words = "analysed: the only candidate" if decision == Decision.ANALYSE else "not analysed: contrast agent given"
        decide(db, {row.id: (decision, words)}, now=now)
        if state != "queued":
            lease = claim(db, owner="worker 1", now=now, lease_s=60, max_attempts=1)
            assert lease is not None
            if state == "failed":
                retry_or_fail(db, lease, "it ran out of memory", max_attempts=1, delay_s=0, now=now)
            else:
                route = Route(destination="pacs", kinds=frozenset(ObjectKind), not_analysed=True)
                outputs = [report(f"{series}.99")]
                text = "haematoma of 13.4 mL"
                finish(db, lease, JobState.DONE, outputs=outputs, routes=[route], reason=text, now=now)
        db.close()

    return add


def report(uid: str) -> OutputFile:
    """An SR on disk, as the queue knows it."""
    return OutputFile(
        kind=ObjectKind.SR,
        number=1,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid=uid,
        series_instance_uid=f"{uid}.1",
        path=f"outputs/{uid}.dcm",
        sha256="0" * 64,
    )


@pytest.fixture
def start_scp() -> Iterator[Callable[..., tuple[int, list[str]]]]:
    """Starts a peer called PACS; returns its port, and the list of what it will have received."""
    servers = []

    def start(*handlers: tuple[Any, ...], classes: tuple[str, ...] = ()) -> tuple[int, list[str]]:
        received: list[str] = []

        def on_store(event: evt.Event) -> int:
            received.append(str(event.request.AffectedSOPInstanceUID))
            return 0x0000

        entity = AE(ae_title="PACS")
        entity.require_called_aet = True
        entity.add_supported_context(Verification)
        entity.add_supported_context(
            CTImageStorage, [ExplicitVRLittleEndian, "1.2.840.10008.1.2.4.80"], scu_role=True, scp_role=True
        )
        for sop_class in classes:
            entity.add_supported_context(sop_class)
        server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store), *handlers]
        )
        servers.append(server)
        return server.server_address[1], received

    yield start
    for server in servers:
        server.shutdown()


@pytest.fixture(scope="session")
def philips() -> Path:
    """A study as a PACS sends it: scout, 5 mm, 1 mm, bone, exam summary."""
    folder = DATA / "dicom/philips-study"
    if not folder.is_dir():
        pytest.skip("shared/data/dicom/philips-study is not there")
    return folder


@pytest.fixture
def plain_user() -> Iterator[Callable[[], None]]:
    """Called, it takes root's rights from this process until the test ends."""
    before = os.geteuid()
    yield lambda: os.seteuid(65534) if before == 0 else None
    os.seteuid(before)


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
