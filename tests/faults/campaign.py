"""``kill -9`` at random moments: ``python -m tests.faults.campaign --kills 300 --studies 100 --seed 1 --folder F``.

Studies are sent one after the other to a real node with the truth in its network's place, which delivers to a real
Orthanc; meanwhile its services are killed and started again at once, as systemd would. The sender sends again what was
not answered with success, as modalities do. At the end everything is counted and printed as JSON and as a line of
Markdown. The seed fixes whom the kills hit and the pauses between them, not where in the code they land.
"""

import argparse
import json
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from tests.faults.ledger import Ledger, ledger_of
from tests.peers.node import SERVICES, Node
from tests.peers.orthanc import Orthanc
from tests.peers.series import PHANTOM_BLEED, phantom, send, study_of, written
from tests.peers.tools import wait_until

IN_FLIGHT = 3  # studies on their way at once: every service has something to do
LONGEST_PAUSE_S = 3.0
STARTING_SHARE = 0.2  # of the kills: at any time after the start, the others once the service is ready
ALONE_SHARE = 0.3  # of the kills: its children are not killed with it
LIMIT_S = 900.0  # for one study, kills and all; longer than give_up_s of tests.peers.node
ATTEMPTS = 1000  # a job that is killed often is meant to run out of attempts: here every study shall go through


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a campaign found. ``seconds`` is its length, ``kills`` how often each service was hit."""

    seed: int
    seconds: int
    studies: int
    instances: int
    sent_again: int
    kills: dict[str, int]
    kills_while_starting: int
    ledger: Ledger

    def markdown(self) -> str:
        """One row of a table."""
        kills = ", ".join(f"{service} {count}" for service, count in sorted(self.kills.items()))
        return (
            f"| {sum(self.kills.values())} kills ({kills}), {self.studies} studies, seed {self.seed} | "
            f"{self.ledger.once} once, {self.ledger.lost} lost, {self.ledger.doubled} doubled, "
            f"{self.ledger.orphans} orphans, {self.ledger.missing} missing files, "
            f"integrity {self.ledger.integrity} | {self.seconds} s |"
        )


@dataclass
class Killer:
    """Kills services of a node until ``wanted`` kills are done, in a thread of its own."""

    node: Node
    wanted: int
    rng: random.Random
    done: Counter[str] = field(default_factory=Counter)
    starting: int = 0
    earned: int = 0  # by the studies sent: kills are spread over them, however slow the machine is
    error: BaseException | None = None
    _give_up: threading.Event = field(default_factory=threading.Event)

    def start(self) -> threading.Thread:
        """Starts killing."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """No further kill."""
        self._give_up.set()

    @property
    def is_done(self) -> bool:
        """Whether all kills are done. Raises what went wrong in the thread."""
        if self.error is not None:
            raise self.error
        return self.done.total() >= self.wanted

    def _run(self) -> None:
        try:
            while not self.is_done and not self._give_up.is_set():
                self._one()
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self.error = error

    def _one(self) -> None:
        service, alone = self.rng.choice(SERVICES), self.rng.random() < ALONE_SHARE
        pause_s, at_any_time = self.rng.uniform(0, LONGEST_PAUSE_S), self.rng.random() < STARTING_SHARE
        if not at_any_time:
            self.node.wait_for_log(service, f"{service} is ready")
        self._give_up.wait(pause_s)
        while self.done.total() >= self.earned and not self._give_up.is_set():
            self._give_up.wait(0.1)
        if self._give_up.is_set():
            return
        self.starting += f"{service} is ready" not in self.node.log(service)
        self.node.kill(service, alone=alone)
        self.done[service] += 1
        self.node.launch(service)


def run(node: Node, orthanc: Orthanc, folder: Path, *, kills: int, studies: int, seed: int) -> Figures:
    """A campaign of at least so many studies and kills; studies are added until the kills are through."""
    began = time.monotonic()
    node.configure([orthanc], {"work": {"attempts": ATTEMPTS}})
    node.bleed(PHANTOM_BLEED)
    node.start()
    killer = Killer(node, kills, random.Random(seed))
    thread = killer.start()
    try:
        sent, again = _send_all(node, killer, folder, studies, seed)
    finally:
        killer.stop()
        thread.join(60)
    for study in sent:  # the last kill may have cut an association: its study waits for give_up_s
        wait_until(
            partial(node.is_settled, study), f"study {study[-12:]} is through; see {node.folder}", limit_s=LIMIT_S
        )
    node.stop()
    return Figures(
        seed=seed,
        seconds=round(time.monotonic() - began),
        studies=len(sent),
        instances=sum(sent.values()),
        sent_again=again,
        kills=dict(killer.done),
        kills_while_starting=killer.starting,
        ledger=ledger_of(node, orthanc, sent),
    )


def _send_all(node: Node, killer: Killer, folder: Path, studies: int, seed: int) -> tuple[dict[str, int], int]:
    """Sends studies while the kills go on. Returns study -> number of instances, and how many were sent again."""
    sent: dict[str, int] = {}
    again = 0
    while len(sent) < studies or not killer.is_done:
        killer.earned = math.ceil(killer.wanted * (len(sent) + 1) / studies)
        paths = written(phantom(f"kill-{seed}-{len(sent)}"), folder / f"{len(sent):04d}")
        again += _send_until_answered(node, paths)
        sent[study_of(paths[0])] = len(paths)
        for path in paths:
            path.unlink()
        wait_until(lambda: _open(node, sent) < IN_FLIGHT, "a study is through", limit_s=LIMIT_S)
        print(f"{len(sent)} studies, {killer.done.total()} kills", flush=True)
    return sent, again


def _send_until_answered(node: Node, paths: Sequence[Path]) -> int:
    """As a modality: what was not answered with success goes again. Returns how many instances went again."""
    left, again, pause = list(paths), -len(paths), threading.Event()
    deadline = time.monotonic() + LIMIT_S
    while left:
        assert time.monotonic() < deadline, "the node does not take the study"
        again += len(left)
        statuses = send(left, node.port)
        left = [path for path in left if statuses[path] != 0x0000]
        pause.wait(0.3 if left else 0)
    return again


def _open(node: Node, studies: dict[str, int]) -> int:
    """How many of the last studies are still on their way."""
    return sum(not node.is_settled(study) for study in list(studies)[-2 * IN_FLIGHT :])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    for name in ("node", "cache", "sent"):
        (given.folder / name).mkdir(parents=True, exist_ok=True)
    orthanc, node = Orthanc(given.folder / "orthanc"), Node(given.folder / "node", given.folder / "cache")
    orthanc.start()
    try:
        figures = run(node, orthanc, given.folder / "sent", kills=given.kills, studies=given.studies, seed=given.seed)
    finally:
        node.close()
        orthanc.stop()
    print(json.dumps(asdict(figures), indent=1))
    print(figures.markdown())


if __name__ == "__main__":
    main()
