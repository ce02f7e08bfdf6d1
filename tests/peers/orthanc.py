"""A real Orthanc as the PACS: its own process, its own folder, free ports, no password."""

import json
import socket
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from tests.peers.tools import program, wait_until

# Without the proxies of the environment: it is on this machine.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))
KINDS = {"SEG": "SEG", "SR": "SR", "OT": "SC"}  # modality of the series -> our name


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Orthanc:
    """One Orthanc. What it holds outlives ``stop`` and ``start``."""

    folder: Path
    dicom_port: int = field(default_factory=free_port)
    http_port: int = field(default_factory=free_port)
    modalities: dict[str, Any] = field(default_factory=dict)  # name -> AE title, host, port: whom it knows
    more: dict[str, Any] = field(default_factory=dict)  # further settings
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "Name": "ichnode tests",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "DicomAet": "ORTHANC",
            "DicomPort": self.dicom_port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowEcho": True,
            "DicomModalities": self.modalities,
            **self.more,
        }
        config = self.folder / "orthanc.json"
        config.write_text(json.dumps(settings))
        with (self.folder / "orthanc.log").open("ab") as log:
            self._process = subprocess.Popen([program("Orthanc"), str(config)], stdout=log, stderr=log)
        wait_until(self._answers, "Orthanc answers")

    def stop(self) -> None:
        """Ends it in order."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def restart(self) -> None:
        """Stops and starts it."""
        self.stop()
        self.start()

    def get(self, path: str) -> Any:
        """What its REST API answers to a GET."""
        return json.loads(self._fetch(path))

    def has(self, study_instance_uid: str) -> bool:
        """Whether it holds anything of a study."""
        return bool(self._study(study_instance_uid))

    def objects(self, study_instance_uid: str) -> dict[str, list[Dataset]]:
        """What it holds of a study, as it would give it to a viewer: SEG, SR, SC, each in the order of arrival."""
        found: dict[str, list[Dataset]] = {}
        for study in self._study(study_instance_uid):
            instances = self.get(f"/studies/{study}/instances?expand")
            for one in sorted(instances, key=lambda i: int(i["IndexInSeries"] or 0)):
                dataset = dcmread(BytesIO(self._fetch(f"/instances/{one['ID']}/file")))
                found.setdefault(KINDS.get(dataset.Modality, dataset.Modality), []).append(dataset)
        return found

    def files(self, study_instance_uid: str, folder: Path) -> list[Path]:
        """Downloads every object of a study, bytes as stored."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for study in self._study(study_instance_uid):
            for one in self.get(f"/studies/{study}/instances"):
                path = folder / f"{one['ID']}.dcm"
                path.write_bytes(self._fetch(f"/instances/{one['ID']}/file"))
                paths.append(path)
        return paths

    def uids(self, study_instance_uid: str) -> list[str]:
        """SOP instance UIDs of all it holds of a study, sorted."""
        return sorted(
            one["MainDicomTags"]["SOPInstanceUID"]
            for study in self._study(study_instance_uid)
            for one in self.get(f"/studies/{study}/instances")
        )

    def put(self, file: bytes) -> None:
        """Stores a DICOM file."""
        self._post("/instances", file)

    def delete(self, sop_instance_uid: str) -> None:
        """Deletes an instance, as a person would."""
        [found] = [one["ID"] for one in json.loads(self._post("/tools/lookup", sop_instance_uid.encode()))]
        url = f"http://127.0.0.1:{self.http_port}/instances/{found}"
        HTTP.open(urllib.request.Request(url, method="DELETE"), timeout=30).close()

    def ask_commitment(self, modality: str, objects: list[tuple[str, str]]) -> str:
        """As storage commitment SCU asks a modality for (SOP class, SOP instance). Returns the report's place."""
        dicom = [{"SOPClassUID": sop_class, "SOPInstanceUID": instance} for sop_class, instance in objects]
        path = f"/modalities/{modality}/storage-commitment"
        return str(json.loads(self._post(path, json.dumps({"DicomInstances": dicom}).encode()))["Path"])

    def send(self, modality: str, study_instance_uid: str) -> dict[str, Any]:
        """Lets it send a study to one of its modalities (C-STORE); its answer."""
        body = json.dumps({"Resources": self._study(study_instance_uid), "Synchronous": True}).encode()
        return dict(json.loads(self._post(f"/modalities/{modality}/store", body)))

    def of_instance(self, sop_instance_uid: str, what: str) -> bytes:
        """What it has of an instance: its ``file``, or the picture that it shows as ``preview``."""
        [found] = [one["ID"] for one in json.loads(self._post("/tools/lookup", sop_instance_uid.encode()))]
        return self._fetch(f"/instances/{found}/{what}")

    def _study(self, study_instance_uid: str) -> list[str]:
        found = json.loads(self._post("/tools/lookup", study_instance_uid.encode()))
        return [one["ID"] for one in found if one["Type"] == "Study"]

    def _post(self, path: str, content: bytes) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data=content, method="POST")
        with HTTP.open(request, timeout=30) as answer:
            return bytes(answer.read())

    def _fetch(self, path: str) -> bytes:
        with HTTP.open(f"http://127.0.0.1:{self.http_port}{path}", timeout=30) as answer:
            return bytes(answer.read())

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "orthanc.log").read_text()[-2000:]
        try:
            return bool(self.get("/system"))
        except (urllib.error.URLError, ConnectionError):
            return False
