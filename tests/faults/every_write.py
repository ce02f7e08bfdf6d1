"""The disk is full from the n-th write on, for every n: ``python -m tests.faults.every_write --folder F``.

A small study goes through a node whose state folder lies on ``tests.faults.filling``. From the n-th write, fsync,
create, mkdir or rename on all fail with ENOSPC, until the study has been answered for, the disk has failed and a moment
has passed; then there is room again. Services that have ended are started again, as systemd does, the sender sends
again what was refused, and nothing else is done by hand. n counts up from 1 until studies go through untouched.

An analysis costs seconds, and to receive a study does not differ by what becomes of it: with ``--explained`` the study
has contrast medium and is not analysed, only reported. ``--first`` and ``--every`` choose other n.
"""

import argparse
import errno
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pydicom import Dataset

from tests.faults.filling import Disk, mounted
from tests.faults.ledger import integrity, without_row
from tests.peers.node import SERVICES, Node
from tests.peers.orthanc import Orthanc
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import wait_until

UNTOUCHED = 5  # studies in a row that never meet a full disk: there are no more writes
FULL_S = 0.7  # after the first failure: whoever tries again fails again
QUIET_S = 4.0  # the sender is back within it: else what came first makes a revision of its own
LIMIT_S = 120.0  # for a study, once there is room
QUICK_PAUSES = "all: short pauses after errors"
TAKEN = {0x0000, 0xA700}


@dataclass(kw_only=True)
class Figures:
    """What came of it.

    ``explained``: the studies were not analysed; ``writes``: the n of the last study that met a full disk; ``refused``:
    images that were refused; ``ended``: services that ended by themselves; ``faults``: what should not be.
    """

    explained: bool = False
    writes: int = 0
    studies: int = 0
    refused: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: int = 0


def small(name: str, *, explained: bool) -> list[Dataset]:
    """A phantom head of 10 slices; one that is not to be analysed, but ``explained``, has contrast medium."""
    slices = phantom(name)[::3]
    for number, one in enumerate(slices, 1):
        one.SliceThickness, one.InstanceNumber = 15, number
        if explained:
            one.ContrastBolusAgent = "IOPROMIDE"
    return slices


def set_up(node: Node, orthanc: Orthanc) -> None:
    """Configures and starts a node; a job has the usual three attempts."""
    quick = {
        "series": {"quiet_s": QUIET_S, "study_quiet_s": QUIET_S},
        "schedule": {"sweep_s": 0.1, "lease_sweep_s": 0.5},
    }
    work = {"attempts": 3, "lease_s": 3}
    node.configure([orthanc], quick | {"work": work, "receive": {"host": "127.0.0.1", "min_free_mb": 0}})
    node.bleed(PHANTOM_BLEED)
    node.start(die_at=QUICK_PAUSES)


def full_from(nth: int, node: Node, disk: Disk, orthanc: Orthanc, folder: Path, figures: Figures) -> bool:
    """One study; False when it went through before the disk was full."""
    paths = written(small(f"write-{nth}", explained=figures.explained), folder)
    study = study_of(paths[0])
    disk.tell(f"fail {errno.ENOSPC} {nth}")
    statuses = send(paths, node.port)
    refused = [path for path in paths if statuses[path] != 0x0000]

    def is_met() -> bool:
        return disk.tell("count") >= nth

    is_whole = None not in statuses.values()  # else the sender goes again at once
    wait_until(lambda: is_met() or node.is_settled(study) or not is_whole, f"write {nth} is met, or there are fewer")
    was_met = is_met()
    threading.Event().wait(FULL_S if was_met else 0)
    disk.tell("free")
    again = send(refused, node.port) if _revived(node, figures) else {}
    try:
        wait_until(lambda: _revived(node, figures) and node.is_settled(study), "the study is through", limit_s=LIMIT_S)
    except AssertionError as error:
        figures.faults.append(f"n = {nth}: {error}")
        return was_met
    figures.studies += 1
    figures.refused += len(refused)
    figures.faults += [f"n = {nth}: {fault}" for fault in _faults(node, orthanc, paths, statuses | again, figures)]
    figures.faults += [f"n = {nth}: answered {statuses.values()}"] if not set(statuses.values()) <= TAKEN else []
    for path in paths:
        path.unlink()
    return was_met


def _revived(node: Node, figures: Figures) -> bool:
    """As systemd: what has ended is started again. True when all are there."""
    for service in SERVICES:
        if node.has_ended(service):
            node.wait_for_death(service)
            figures.ended[service] += 1
            node.start(service, die_at=QUICK_PAUSES)
    return True


def _faults(
    node: Node, orthanc: Orthanc, paths: Sequence[Path], statuses: dict[Path, int | None], figures: Figures
) -> list[str]:
    """What should not be, in words."""
    study = study_of(paths[0])
    row = node.history(study)[-1]
    kinds = {kind: len(found) for kind, found in orthanc.objects(study).items() if kind != "SC"}
    state, wanted = ("rejected", {"SR": 1}) if figures.explained else ("done", {"SEG": 1, "SR": 1})
    checks = {
        f"statuses {statuses.values()}": set(statuses.values()) <= {0x0000},
        f"{row['instances']} of {len(paths)} images": row["instances"] == len(paths),
        f"jobs {[job['state'] for job in row['jobs']]}": [job["state"] for job in row["jobs"]] == [state],
        f"objects {kinds}": kinds == wanted,
        "the PACS has other objects than were made": orthanc.uids(study) == node.made(study),
        f"integrity {integrity(node)}": integrity(node) == "ok",
        "files without a row": [path for path in without_row(node) if path.suffix == ".dcm"] == [],
    }
    return [text for text, is_well in checks.items() if not is_well]


def run(
    node: Node,
    disk: Disk,
    orthanc: Orthanc,
    folder: Path,
    numbers: Iterable[int],
    *,
    explained: bool = False,
    untouched: int = UNTOUCHED,
) -> Figures:
    """One study for each of the numbers, until so many in a row go through ``untouched``."""
    figures, begun, left = Figures(explained=explained), time.monotonic(), untouched
    set_up(node, orthanc)
    for nth in numbers:
        left -= 1
        if full_from(nth, node, disk, orthanc, folder / f"{nth}", figures):
            figures.writes, left = nth, untouched
        print(f"{nth}: {figures.refused} refused, ended {dict(figures.ended)}, faults {figures.faults}", flush=True)
        if not left:
            break
    verified = node.ichnode("audit", "verify")
    figures.faults += [] if verified.returncode == 0 else [verified.stdout + verified.stderr]
    figures.seconds = round(time.monotonic() - begun)
    return figures


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--explained", action="store_true")
    given = parser.parse_args()
    for name in ("node", "cache"):
        (given.folder / name).mkdir(parents=True, exist_ok=True)
    orthanc, node = Orthanc(given.folder / "orthanc"), Node(given.folder / "node", given.folder / "cache")
    orthanc.start()
    with mounted(node.state_dir) as disk:
        assert disk is not None, "no right to mount a FUSE"
        try:
            numbers = range(given.first, 100_000, given.every)
            figures = run(node, disk, orthanc, given.folder / "sent", numbers, explained=given.explained)
        finally:
            node.close()
            orthanc.stop()
    print(json.dumps(asdict(figures), indent=1))


if __name__ == "__main__":
    main()
