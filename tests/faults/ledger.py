"""The account at the end: what the PACS holds, what lies on the disk, what the queue says of both."""

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ichnode.queue.retention import known_files
from ichnode.receive.intake import adopt
from ichnode.store.files import PART_SUFFIX
from ichnode.store.layout import Store
from ichnode.store.reconcile import reconcile
from tests.peers.node import Node
from tests.peers.orthanc import Orthanc

LATER_S = 2 * 3600.0  # the daily comparison leaves alone what may still be in the writing
ALL = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Studies whose results are at the PACS exactly once, lost, doubled; files.

    ``unadopted``, ``parts``: whole and half-written files without a row when all services have stopped; ``orphans``:
    those that the node's own comparison of disk and queue has left over.
    """

    once: int
    lost: int
    doubled: int
    instances_missing: int
    integrity: str
    unadopted: int
    parts: int
    orphans: int
    missing: int
    trail: str


def ledger_of(node: Node, orthanc: Orthanc, studies: Mapping[str, int]) -> Ledger:
    """The account of a node whose services have stopped, for studies and their numbers of instances."""
    sets = [_sets(node, orthanc, study) for study in studies]
    kept = {study: sum(row["instances"] for row in node.history(study)) for study in studies}
    before = without_row(node)
    store = Store(root=node.state_dir)
    later = time.time() + LATER_S
    done = reconcile(store, node.db, lambda path: void(adopt(path, db=node.db, store=store, now=later)), now=later)
    verified = node.ichnode("audit", "verify")
    return Ledger(
        once=sets.count(1),
        lost=sets.count(0),
        doubled=sum(number > 1 for number in sets),
        instances_missing=sum(max(0, number - kept[study]) for study, number in studies.items()),
        integrity=integrity(node),
        unadopted=sum(path.suffix != PART_SUFFIX for path in before),
        parts=sum(path.suffix == PART_SUFFIX for path in before),
        orphans=len(without_row(node)),
        missing=done.missing,
        trail="whole" if verified.returncode == 0 else verified.stdout[-500:] + verified.stderr[-500:],
    )


def without_row(node: Node) -> list[Path]:
    """Files of the store that the queue does not know."""
    store = Store(root=node.state_dir)
    known = {file.path for file in known_files(node.db, after="", limit=ALL)}
    found = [p for top in (store.instances, store.outputs, store.quarantine) for p in top.rglob("*") if p.is_file()]
    return [path for path in found if store.relative(path) not in known]


def integrity(node: Node) -> str:
    """What SQLite says of the queue; also whether a row points at none."""
    with sqlite3.connect(node.state_dir / "queue.sqlite") as connection:
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0]) + (" but foreign keys" if broken else "")


def void(_value: object) -> None:
    """Nothing: of a call whose answer is not wanted."""


def _sets(node: Node, orthanc: Orthanc, study: str) -> int:
    """How many whole sets of results the PACS holds of a study: 0 also where one is not whole."""
    objects = orthanc.objects(study)
    if len(node.history(study)) > 1 or any(len(objects.get(kind, [])) > 1 for kind in ("SEG", "SR")):
        return 2
    if set(objects) != {"SEG", "SR", "SC"} or orthanc.uids(study) != node.made(study):
        return 0
    numbers = sorted(int(picture.InstanceNumber) for picture in objects["SC"])
    return 1 if numbers == list(range(1, len(numbers) + 1)) else 2
