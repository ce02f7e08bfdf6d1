"""``ichnode cohort``: labelled cases, checked and made ready for training. Room ``cohort`` needs the extra "train"."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ichnode.cli.context import ERR, OUT, AsJson, Exit, check_writable, need_extra, print_json

if TYPE_CHECKING:
    from ichnode.cohort.check import Checked

app = typer.Typer(help="Labelled cohorts: check them, make them ready for training.", no_args_is_help=True)

CORES: Final = len(os.sched_getaffinity(0))
MIB: Final = 2**20

CohortFolder = Annotated[
    Path, typer.Option("--cohort", exists=True, file_okay=False, help="A folder with cohort.csv and cohort.toml.")
]
Jobs = Annotated[int, typer.Option(min=1, help="Processes at work at a time.", show_default="the cores")]


@app.command("check")
def check(
    cohort: CohortFolder,
    sheet: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Draw all cases as one picture (PNG) into this file.")
    ] = None,
    jobs: Jobs = CORES,
    as_json: AsJson = False,
) -> None:
    """Report every case that does not fit: images, masks, geometry, patients, outcomes. Draw a contact sheet.

    Exit code 1 when any does not fit."""
    need_extra("nibabel", "A cohort")
    from ichnode.cohort.check import check_cohort
    from ichnode.cohort.table import read_cohort

    found = read_cohort(cohort)
    if sheet is not None:
        check_writable(sheet.parent)  # before the work, not after it
    with _progress("checking", len(found.cases)) as (bar, task):
        checked = check_cohort(found, jobs=jobs, told=lambda _name: bar.advance(task))
    faulty = [one for one in checked if one.faults]
    if sheet is not None:
        _draw(sheet, f"{found.card.name}: {_in_words(checked)}", checked)
    if as_json:
        print_json({"cohort": found.card.name, "faulty": len(faulty), "cases": [_row(one) for one in checked]})
    else:
        for one in faulty:
            for fault in one.faults:
                OUT.print(f"{one.case.name}: {fault.text}", markup=False, style="bold red", soft_wrap=True)
        for one in checked:
            if one.flags:
                names = ", ".join(sorted(flag.name for flag in one.flags))
                OUT.print(f"{one.case.name}: {names}", markup=False, style="yellow", soft_wrap=True)
        OUT.print(f"{found.card.name}: {_in_words(checked)}.", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.NO if faulty else Exit.OK)


@app.command("prepare")
def prepare(
    cohort: CohortFolder,
    out: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, help="Folder to write to, made if not there; else prepared-PRESET in the cohort."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="Field of view of the network: fov224 or fov112.")] = "fov224",
    jobs: Jobs = CORES,
    as_json: AsJson = False,
) -> None:
    """Make the network inputs of every case once. What has not changed since the last run is kept.

    Exit code 1 when a case could not be prepared; the others are."""
    need_extra("nibabel", "A cohort")
    from ichnode.cohort.prepare import prepare_cohort, prepared_folder
    from ichnode.cohort.table import read_cohort

    found = read_cohort(cohort)
    target = prepared_folder(cohort, preset) if out is None else out
    check_writable(target)
    with _progress("preparing", len(found.cases)) as (bar, task):
        result = prepare_cohort(found, target, preset, jobs=jobs, told=lambda _name, _fault: bar.advance(task))
    size_mib = result.size_bytes / MIB
    if as_json:
        counts: dict[str, Any] = {"made": result.made, "kept": result.kept, "failed": dict(result.failed)}
        print_json({"out": str(target), **counts, "size_mib": round(size_mib, 2)})
    else:
        for name, fault in result.failed.items():
            OUT.print(f"{name}: {fault}", markup=False, style="bold red", soft_wrap=True)
        counted = f"{result.made} made, {result.kept} kept, {len(result.failed)} failed"
        OUT.print(f"{target}: {counted}; {size_mib:.1f} MiB.", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.NO if result.failed else Exit.OK)


@contextmanager
def _progress(what: str, total: int) -> Iterator[tuple[Progress, TaskID]]:
    """A bar on standard error, so that standard output is the answer alone."""
    parts = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*parts, console=ERR, transient=True) as bar:
        yield bar, bar.add_task(what, total=total)


def _draw(path: Path, title: str, checked: tuple["Checked", ...]) -> None:
    from ichnode.cohort.sheet import Cell, draw_sheet

    cells = [
        Cell(
            name=one.case.name,
            note=", ".join([one.case.split, *sorted(flag.name for flag in one.flags)]),
            volume_ml=one.volume_ml,
            tile=one.tile,
            fault=", ".join(dict.fromkeys(fault.kind for fault in one.faults)),
        )
        for one in checked
    ]
    draw_sheet(title, cells).save(path, "PNG")


def _in_words(checked: tuple["Checked", ...]) -> str:
    splits = Counter(one.case.split for one in checked)
    counted = ", ".join(f"{count} {name}" for name, count in splits.items())
    bleeds = sum(one.case.mask is not None for one in checked)
    faulty = sum(bool(one.faults) for one in checked)
    verdict = f"{faulty} do not fit" if faulty > 1 else "one does not fit" if faulty else "all fit"
    return f"{len(checked)} case{'' if len(checked) == 1 else 's'} ({counted}), {bleeds} with a bleed; {verdict}"


def _row(one: "Checked") -> dict[str, Any]:
    return {
        "case": one.case.name,
        "split": one.case.split,
        "volume_ml": None if one.volume_ml is None else round(one.volume_ml, 3),
        "flags": sorted(flag.name for flag in one.flags),
        "faults": [{"kind": fault.kind, "text": fault.text} for fault in one.faults],
    }
