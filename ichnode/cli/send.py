"""``ichnode send``: a C-STORE SCU."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from ichnode.cli.context import ERR, OUT, AsJson, Exit, NothingFound, options, print_json
from ichnode.cli.peer import CalledAE, CallingAE, OverTls, TlsName, named_or_at
from ichnode.deliver.classify import Outcome
from ichnode.deliver.parcel import dicom_files
from ichnode.deliver.send import send as send_files


def send(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, help="A DICOM file, or a folder of them at any depth.")
    ],
    to: Annotated[
        str, typer.Argument(metavar="NAME|HOST:PORT", help="A configured destination or PACS, or an address.")
    ],
    called: CalledAE = None,
    calling: CallingAE = None,
    tls: OverTls = False,
    tls_name: TlsName = None,
    as_json: AsJson = False,
) -> None:
    """Send DICOM files to a node or PACS (C-STORE), the stored bytes unchanged. Exit code 1 unless all arrived."""
    peer = named_or_at(
        options(context), to, called=called, calling=calling, tls=tls, tls_name=tls_name, default_title="ICHNODE-SEND"
    )
    paths = dicom_files(folder) if folder.is_dir() else [folder]
    if not paths:
        raise NothingFound(f"{folder} holds no DICOM file.")
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    answers = send_files(paths, peer)
    for answer in track(
        answers, total=len(paths), description=f"to {peer.host}:{peer.port}", console=ERR, transient=True
    ):
        counts[answer.outcome.value] += 1
        if answer.outcome != Outcome.SENT:
            reasons[answer.reason.removeprefix(f"{peer.name}: ")] += 1
    arrived = counts[Outcome.SENT.value]
    if as_json:
        print_json({"files": len(paths), "sent": arrived, "not_sent": dict(reasons)})
    else:
        OUT.print(f"{arrived} of {len(paths)} files arrived at {peer.host}:{peer.port}.")
        for reason, count in reasons.most_common():
            OUT.print(f"  {count} not: {reason}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.OK if arrived == len(paths) else Exit.NO)
