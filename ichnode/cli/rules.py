"""``ichnode rules``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ichnode.app.wire import preference_of, rules_of
from ichnode.cli.context import OUT, AsJson, Exit, NothingFound, options, print_json
from ichnode.domain.states import Decision
from ichnode.receive.scan import scan

app = typer.Typer(help="Try the rules that choose the series to analyse.", no_args_is_help=True)


@app.callback()
def _rules() -> None:
    pass


@app.command("test")
def rules_test(
    context: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="A folder of DICOM files.")
    ],
    calling_ae: Annotated[str, typer.Option(help="As if sent by this AE title.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show which series of a folder would be analysed and why the others not, without running anything.

    Exit code 1 when none would be."""
    config = options(context).load()
    found = scan(folder, rules_of(config), preference_of(config), calling_ae=calling_ae)
    if not found:
        raise NothingFound(f"{folder} holds no DICOM image.", hint="Name a folder with DICOM files, at any depth.")
    rows = [
        {
            "study": row.study_instance_uid,
            "series": row.series_instance_uid,
            "number": row.facts.number,
            "description": row.facts.series_description,
            "images": len(row.files),
            "decision": row.decision,
            "text": row.text,
        }
        for row in found
    ]
    if as_json:
        print_json(rows)
    else:
        table = Table("series", "images", "description", "decision", box=None)
        for row in rows:
            style = "bold green" if row["decision"] == Decision.ANALYSE else None
            number = "-" if row["number"] is None else str(row["number"])
            table.add_row(number, str(row["images"]), str(row["description"]), str(row["text"]), style=style)
        OUT.print(table, markup=False)
    chosen = any(row["decision"] == Decision.ANALYSE for row in rows)
    raise typer.Exit(Exit.OK if chosen else Exit.NO)
