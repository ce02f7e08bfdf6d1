"""The node as an administrator runs it: a configuration file and processes, seen through its command line and queue."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import Verification

from ichnode.demo.bleed import Bleed
from ichnode.queue import views
from ichnode.queue.database import Database, open_database
from tests.peers.orthanc import Orthanc, free_port
from tests.peers.series import association
from tests.peers.tools import CHECKOUT, wait_until

SERVICES = ("receive", "work", "deliver")
ENDED = {"done", "rejected", "failed"}
DELIVERED = {"sent", "committed", "confirmed"}

Settings = dict[str, dict[str, Any]]
QUICK: Settings = {
    "receive": {"host": "127.0.0.1", "min_free_mb": 100},
    "series": {"quiet_s": 1, "study_quiet_s": 1, "give_up_s": 600},
    "schedule": {"sweep_s": 0.3, "lease_sweep_s": 1},
    "retention": {"target_free_mb": 10},
    "work": {"weights": str(CHECKOUT / "weights" / "ich-zhong2021"), "retry_delay_s": 1, "lease_s": 6, "attempts": 5},
}


@dataclass
class Node:
    """One node in one folder. Its services are the real ones, except work's network where a test says so."""

    folder: Path
    cache: Path
    port: int = field(default_factory=free_port)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _logged: dict[str, int] = field(default_factory=dict)
    _db: Database | None = None

    @property
    def config(self) -> Path:
        """Its configuration file."""
        return self.folder / "config.toml"

    @property
    def state_dir(self) -> Path:
        """Its state folder."""
        return self.folder / "state"

    def configure(
        self,
        destinations: Sequence[Orthanc],
        changes: Settings | None = None,
        forms: Sequence[dict[str, Any]] = (),
        **retry: float,
    ) -> None:
        """Writes the configuration: quick defaults, ``changes`` over them, one destination for each Orthanc.

        ``forms``: further keys of each destination, in their order.
        """
        self.state_dir.mkdir(parents=True, exist_ok=True)
        cache = self.state_dir / "cache"
        if not cache.is_symlink():
            cache.symlink_to(self.cache)  # the converted network: made once for all tests
        changes = changes or {}
        tables = {name: QUICK.get(name, {}) | changes.get(name, {}) for name in {**QUICK, **changes}}
        tables["receive"] = tables["receive"] | {"port": self.port}
        lines = _table("[node]", {"ae_title": "ICHNODE", "state_dir": str(self.state_dir)})
        lines += _table("[[receive.peer]]", {"ae_title": "*", "network": "127.0.0.1/32"})
        for name, values in tables.items():
            lines += _table(f"[{name}]", values)
        for number, orthanc in enumerate(destinations, 1):
            place = {"name": f"pacs-{number}", "host": "127.0.0.1", "port": orthanc.dicom_port, "ae_title": "ORTHANC"}
            own = forms[number - 1] if forms else {}
            lines += _table("[[destination]]", place | {"first_retry_s": 1, "max_retry_s": 2} | retry | own)
        self.config.write_text("\n".join(lines) + "\n")

    def bleed(self, bleed: Bleed) -> None:
        """Tells the stand-in for the network where the blood is."""
        values = {name: getattr(bleed, name) for name in Bleed.__dataclass_fields__}
        (self.state_dir / "truth.json").write_text(json.dumps(values))

    def run(self) -> None:
        """All services under one parent, as ``ichnode run`` starts them; the network is the real one."""
        self._start("run", ["-m", "ichnode"])
        wait_until(self._echoes, "the node answers C-ECHO")

    def start(self, *services: str, die_at: str = "") -> None:
        """Services each as a process of its own, work with the stand-in for the network; waits until they are ready.

        ``die_at`` names the point of ``tests.faults.points`` at which the service kills itself.
        """
        self.launch(*services, die_at=die_at)
        for service in services or SERVICES:
            self.wait_for_log(service, f"{service} is ready")

    def launch(self, *services: str, die_at: str = "") -> None:
        """As ``start``, without waiting."""
        for service in services or SERVICES:
            plain = "tests.peers.stand_in" if service == "work" else "ichnode"
            self._start(service, ["-m", "tests.faults.launch", die_at] if die_at else ["-m", plain])

    def kill(self, service: str, *, alone: bool = False) -> None:
        """SIGKILL to a service and its children, or to it ``alone``; returns when it is gone."""
        send = os.kill if alone else os.killpg
        send(self.pid(service), signal.SIGKILL)
        self.wait_for_death(service)

    def stop(self, *services: str) -> dict[str, int]:
        """SIGTERM, and the exit codes."""
        names = [name for name in services or tuple(self._processes) if name in self._processes]
        for name in names:
            self._processes[name].terminate()
        codes = {name: self._processes[name].wait(90) for name in names}
        for name in names:
            del self._processes[name]
        return codes

    def wait_for_death(self, service: str) -> int:
        """Waits until a service has ended by itself. Returns its exit code, negative for a signal."""
        code = self._processes[service].wait(120)
        del self._processes[service]
        return code

    def close(self) -> None:
        """Leaves no process behind, whatever has happened."""
        try:
            self.stop()
        finally:
            for process in self._processes.values():
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)
            if self._db is not None:
                self._db.close()

    def pid(self, service: str) -> int:
        """The process id of a service."""
        return self._processes[service].pid

    def has_ended(self, service: str) -> bool:
        """Whether a service has ended by itself."""
        return self._processes[service].poll() is not None

    def terminate(self, service: str) -> subprocess.Popen[bytes]:
        """SIGTERM, without waiting."""
        self._processes[service].terminate()
        return self._processes[service]

    def log(self, service: str) -> str:
        """What a service has logged since it was last started."""
        return (self.folder / f"{service}.log").read_bytes()[self._logged[service] :].decode(errors="replace")

    def wait_for_log(self, service: str, text: str) -> None:
        """Waits until a service has said something."""

        def said() -> bool:
            if text in self.log(service):
                return True
            code = self._processes[service].poll()
            assert code is None, f"{service} ended with {code}:\n{self.log(service)[-3000:]}"
            return False

        wait_until(said, f"{service} logs {text!r}")

    def ichnode(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line."""
        command = [sys.executable, "-m", "ichnode", "--config", str(self.config), *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, timeout=300, check=False)

    def json(self, *arguments: str) -> Any:
        """What a verb answers with --json."""
        done = self.ichnode(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    @property
    def db(self) -> Database:
        """Its queue, as the verbs open it: the same views, without a new process at each look."""
        if self._db is None:
            self._db = open_database(self.state_dir / "queue.sqlite")
        return self._db

    def history(self, what: str) -> list[dict[str, Any]]:
        """What ``ichnode show`` would show of a study or series, oldest first; empty when it knows nothing of it."""
        return [views.history(self.db, series_id) for series_id in views.series_of(self.db, what)]

    def is_settled(self, study: str, series: int = 1) -> bool:
        """Whether so many series of a study are decided and all their jobs and deliveries have ended well."""
        rows = self.history(study)
        jobs = [job for row in rows for job in row["jobs"]]
        failed = [job["reason"] for job in jobs if job["state"] == "failed"]
        assert not failed, failed
        dead = [d["reason"] for row in rows for d in row["deliveries"] if d["state"] == "dead"]
        assert not dead, dead
        return (
            len(rows) >= series
            and all(row["jobs"] and row["decision"] != "pending" for row in rows)
            and all(job["state"] in ENDED for job in jobs)
            and all(delivery["state"] in DELIVERED for row in rows for delivery in row["deliveries"])
        )

    def wait_for(self, study: str, series: int = 1) -> None:
        """Waits until a study is through: every series decided, every object delivered."""
        wait_until(lambda: self.is_settled(study, series), f"study {study[-12:]} is through; see {self.folder}")

    def made(self, study: str) -> list[str]:
        """SOP instance UIDs of all that the node made for a study, sorted."""
        return sorted(output["sop_instance_uid"] for row in self.history(study) for output in row["outputs"])

    def _start(self, service: str, module: list[str]) -> None:
        path = self.folder / f"{service}.log"
        self._logged[service] = path.stat().st_size if path.exists() else 0
        command = [sys.executable, *module, "--config", str(self.config), service]
        with path.open("ab") as log:
            self._processes[service] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=CHECKOUT, start_new_session=True
            )

    def _echoes(self) -> bool:
        code = self._processes["run"].poll()
        assert code is None, f"the node ended with {code}:\n{self.log('run')[-3000:]}"
        return echoes(self.port)


def echoes(port: int) -> bool:
    """Whether a C-ECHO to the node succeeds."""
    try:  # pynetdicom leaves its socket open where nobody listens
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    with association(port, [(Verification, ImplicitVRLittleEndian)]) as caller:
        status = caller.send_c_echo() if caller.is_established else Dataset()
    return status.get("Status") == 0x0000


def _table(head: str, values: dict[str, Any]) -> list[str]:
    # JSON's strings, numbers, booleans and lists are TOML's too.
    return [head, *[f"{key} = {json.dumps(value)}" for key, value in values.items()]]
