"""``ichnode demo``: a head CT travels through the real node, and you watch."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent
from typing import Annotated, Any, Final

import typer
from PIL import Image

from ichnode.cli.context import OUT, Exit
from ichnode.config.file import load_config
from ichnode.deliver.classify import Outcome
from ichnode.deliver.echo import echo
from ichnode.deliver.send import send
from ichnode.demo.archive import Archive, archive
from ichnode.domain.errors import Retryable
from ichnode.domain.outputs import Peer
from ichnode.report.reading import read
from ichnode.report.text import as_text

CONFIG: Final = """
[node]
ae_title = "ICHNODE"
state_dir = "{state}"
[[receive.peer]]
ae_title = "DEMO-CT"
network = "127.0.0.1/32"
[receive]
host = "127.0.0.1"
port = {port}
min_free_mb = 100
[series]
quiet_s = 2
study_quiet_s = 2
[schedule]
sweep_s = 0.5
[retention]
target_free_mb = 100
[work]
weights = "{weights}"
[[destination]]
name = "demo-archive"
host = "127.0.0.1"
port = {archive_port}
ae_title = "DEMO-ARCHIVE"
"""
START_LIMIT_S: Final = 180.0
TRAVEL_LIMIT_S: Final = 240.0


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("ichnode-demo"),
    weights: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder of the weights.")] = Path(
        "weights/ich-zhong2021"
    ),
) -> None:
    """Start the node and a small archive on free ports, send the head CT that ships with it, show what comes back."""
    out = out.absolute()
    shutil.rmtree(out / "archive", ignore_errors=True)
    for picture in out.glob("*.png"):
        picture.unlink()
    started = time.monotonic()
    with TemporaryDirectory(prefix="ichnode-demo-") as folder, archive(out / "archive", "DEMO-ARCHIVE") as kept:
        config = _write_config(Path(folder), weights.absolute(), kept.port, out)
        with _node(config, out / "node.log") as node:
            _say(f"node and archive start; the node's log is {out / 'node.log'}")
            peer = _wait_for_node(config, node)
            _send(peer)
            _wait_for_results(config, kept)
        _say("node stopped")
    _report(kept, out)
    OUT.print(f"\nIt took {time.monotonic() - started:.0f} s. Research only: not a medical device.")
    raise typer.Exit(Exit.OK)


def _say(text: str) -> None:
    OUT.print(f"{time.strftime('%H:%M:%S')}  {text}", markup=False, soft_wrap=True)


def _write_config(folder: Path, weights: Path, archive_port: int, out: Path) -> Path:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = folder / "config.toml"
    state = folder / "state"
    (out / "cache").mkdir(parents=True, exist_ok=True)
    state.mkdir()
    (state / "cache").symlink_to(out / "cache")  # the converted network: the second demonstration starts faster
    path.write_text(CONFIG.format(state=state, port=port, archive_port=archive_port, weights=weights))
    return path


@contextmanager
def _node(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "ichnode", "--config", str(config), "run"]
    with log.open("wb") as file:
        node = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True, env=dict(os.environ))
        try:
            yield node
        finally:
            node.terminate()
            node.wait(60)


def _wait_for_node(config: Path, node: subprocess.Popen[bytes]) -> Peer:
    port = load_config(config).receive.port
    peer = Peer(name="the node", host="127.0.0.1", port=port, ae_title="ICHNODE", calling_ae_title="DEMO-CT")
    deadline = time.monotonic() + START_LIMIT_S
    while not echo(peer).ok:
        if node.poll() is not None or time.monotonic() > deadline:
            raise Retryable("The node did not start.", hint="Its log says why.")
        time.sleep(0.5)
    _say(f"node listens on port {port} and answers C-ECHO")
    return peer


def _send(peer: Peer) -> None:
    with TemporaryDirectory() as copied:
        folder = files("ichnode.demo") / "head-ct"
        paths = []
        for item in sorted(folder.iterdir(), key=lambda i: i.name):
            path = Path(copied) / item.name
            path.write_bytes(item.read_bytes())
            paths.append(path)
        answers = list(send(paths, peer))
    failed = [answer.reason for answer in answers if answer.outcome != Outcome.SENT]
    if failed:
        raise Retryable(f"The node did not take the images: {failed[0]}.", hint="Its log says why.")
    truth = _truth()["volume_ml"]
    _say(f"C-STORE: {len(paths)} slices of a real head, tilted gantry, with a synthetic bleed of {truth:.1f} mL in it")


def _truth() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("ichnode.demo") / "truth.json").read_text())
    return found


def _wait_for_results(config: Path, kept: Archive) -> None:
    """Follows the node's own status until everything has arrived."""
    deadline = time.monotonic() + TRAVEL_LIMIT_S
    said = ""
    while time.monotonic() < deadline:
        command = [sys.executable, "-m", "ichnode", "--config", str(config), "status", "--json"]
        told = subprocess.run(command, capture_output=True, check=False)
        if told.stdout:
            status = json.loads(told.stdout)
            text = _progress(status)
            if text != said:
                _say(text)
                said = text
            if _is_over(status):
                return
        with kept.news:
            kept.news.wait(1)
    raise Retryable("No result came within the time limit.", hint="The node's log says how far it got.")


def _progress(status: dict[str, Any]) -> str:
    for row in status["recent"]:
        job = row["jobs"][-1] if row["jobs"] else None
        if job and job["state"] in ("done", "rejected", "failed"):
            sent = status["deliveries"].get("demo-archive", {})
            counts = ", ".join(f"{count} {state}" for state, count in sorted(sent.items())) or "none"
            return f"job {job['state']}: {job['reason']}; C-STORE back: {counts}"
        if job:
            return f"job {job['state']}: preprocessing, network, SEG, SR, pictures"
        return f"series {row['state']}: {row['decision_text'] or row['settled_text'] or 'waiting until it is quiet'}"
    return "nothing has arrived yet"


def _is_over(status: dict[str, Any]) -> bool:
    waiting = sum(status["jobs"].get(state, 0) for state in ("queued", "running"))
    to_go = status["deliveries"].get("demo-archive", {}).get("pending", 0)
    return bool(status["jobs"]) and not waiting and not to_go


def _report(kept: Archive, out: Path) -> None:
    OUT.print("\nIn the archive:", style="bold")
    pictures = []
    for path, dataset in kept.objects():
        if dataset.Modality == "OT":
            pictures.append(out / f"{path.stem}.png")
            Image.fromarray(dataset.pixel_array).save(pictures[-1])
        elif dataset.Modality == "SEG":
            frames = dataset.NumberOfFrames
            OUT.print(f"  SEG  {path}\n       the haematoma on {frames} slices", markup=False, soft_wrap=True)
        else:
            OUT.print(f"  SR   {path}", markup=False, soft_wrap=True)
            OUT.print(indent(as_text(read(dataset)), " " * 7), markup=False, soft_wrap=True, highlight=False)
    if pictures:
        where = f"{out / 'archive' / '9003-ot-*.dcm'}\n       as pictures: {pictures[0]} (the summary)"
        where += f" to {pictures[-1].name}" if pictures[1:] else ""
        OUT.print(f"  SC   {where}", markup=False, soft_wrap=True)
    OUT.print(f"\nThe bleed that was placed: {_truth()['volume_ml']:.1f} mL.", markup=False)
