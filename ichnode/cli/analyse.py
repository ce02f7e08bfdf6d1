"""``ichnode analyse``: a folder of DICOM in, objects out; no network, no queue."""

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ichnode.app.wire import preference_of, rules_of
from ichnode.app.work import analysis_settings
from ichnode.cli.context import OUT, AsJson, Exit, NothingFound, options, print_json
from ichnode.domain.errors import Rejected
from ichnode.domain.flags import Flag
from ichnode.domain.outputs import USUAL_PROFILE
from ichnode.domain.states import Decision, JobState
from ichnode.receive.header import facts_of
from ichnode.receive.scan import ScannedSeries, scan


def analyse(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="A folder of DICOM files.")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write SEG, SR and pictures to; made if it is not there.")],
    weights: Annotated[Path | None, typer.Option(exists=True, file_okay=False, help="Other weights.")] = None,
    series: Annotated[str | None, typer.Option(help="This Series Instance UID, whatever the rules say.")] = None,
    as_json: AsJson = False,
) -> None:
    """Analyse a folder and write the objects to another one. The rules choose the series of each study.

    Exit code 3 when nothing in it can be analysed."""
    config = options(context).load()
    scanned = scan(folder, rules_of(config), preference_of(config))
    chosen = [s for s in scanned if (s.series_instance_uid == series if series else s.decision == Decision.ANALYSE)]
    if series is not None and not chosen:
        raise NothingFound(f"{folder} holds no series {series}.", hint="`ichnode rules test --json` lists their UIDs.")
    if not chosen:
        reasons = "\n".join(f"  {s.facts.name}: {s.text}" for s in scanned) or "  it holds no DICOM image"
        hint = "`ichnode rules test` explains; --series UID analyses one all the same."
        raise Rejected(f"Nothing in {folder} is to be analysed:\n{reasons}", hint=hint)
    out.mkdir(parents=True, exist_ok=True)
    rows = _analyse_all(config, chosen, out, weights)
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            OUT.print(f"series {row['number']}: {row['text']}  ({row['seconds']} s)", markup=False, style="bold")
            for flag in row["flags"]:
                OUT.print(f"  doubt: {Flag[flag].value} ({flag})", markup=False)
            for path in row["objects"]:
                OUT.print(f"  {path}", markup=False, soft_wrap=True)
    rejected = any(row["state"] == JobState.REJECTED for row in rows)
    raise typer.Exit(Exit.REJECTED if rejected else Exit.OK)


def _form(profiles: tuple[str, ...]) -> str:
    """What tells the forms of one object apart in their names: nothing of the usual one."""
    return "" if USUAL_PROFILE in profiles else f"-{profiles[0].replace('/', '-')}"


def _analyse_all(config: Any, chosen: list[ScannedSeries], out: Path, weights: Path | None) -> list[dict[str, Any]]:
    from ichnode.analyse import Known, open_network  # torch and the rest: only when they are needed
    from ichnode.analyse import analyse as run
    from ichnode.image.load import read_datasets
    from ichnode.report.gate import check, encode

    settings = analysis_settings(config)
    network = open_network(weights or settings.weights, settings)
    rows = []
    for series in chosen:
        started = time.monotonic()
        datasets = read_datasets(series.files)
        known = Known(acquired_at=facts_of(datasets[0]).acquired_at)
        result = run(datasets, network, settings, at=datetime.now().astimezone(), known=known)
        written = []
        for made in result.objects:
            check(made.dataset)
            path = out / f"{series.facts.number or 0}-{made.kind.lower()}-{made.number}{_form(made.profiles)}.dcm"
            path.write_bytes(encode(made.dataset))
            written.append(str(path))
        found = result.findings
        rows.append(
            {
                "series": series.series_instance_uid,
                "number": series.facts.number,
                "state": result.state,
                "text": result.text,
                "volume_ml": round(found.volume_ml, 3) if found else None,
                "flags": sorted(flag.name for flag in found.flags) if found else [],
                "objects": written,
                "seconds": round(time.monotonic() - started, 1),
            }
        )
    return rows
