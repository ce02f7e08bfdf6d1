"""``ichnode weights``."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.table import Column, Table

from ichnode.cli.context import OUT, AsJson, Exit, NothingFound, check_writable, need_extra, print_json
from ichnode.cli.evaluate import (
    Cache,
    Cohorts,
    OnDevice,
    Split,
    Threads,
    open_network,
    read_cohorts,
    tell_left_out,
    walked,
)
from ichnode.domain.errors import ConfigError

if TYPE_CHECKING:
    from ichnode.evaluate.compare import Paired

FOLDER: Final = Path("weights")

app = typer.Typer(help="List, verify and compare sets of weights.", no_args_is_help=True)


@app.callback()
def _weights() -> None:
    pass


@app.command("list")
def weights_list(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="Where sets lie.")
    ] = FOLDER,
    as_json: AsJson = False,
) -> None:
    """List the sets of weights below a folder: what they are, their licence, what was measured.

    Exit code 1 when there is none."""
    from ichnode.model.weights import read_card

    found = [(path, read_card(path)) for path in _sets(folder)]
    if not found:
        raise NothingFound(f"{folder} holds no weights.", hint="Weights are folders with a card.toml.")
    if as_json:
        print_json([{"folder": path, **card.model_dump()} for path, card in found])
        return
    for path, card in found:
        OUT.print(f"{card.name} {card.version}  {path}", style="bold", markup=False, soft_wrap=True)
        rows = Table(Column(no_wrap=True), Column(overflow="fold"), box=None, show_header=False, padding=(0, 2))
        rows.add_row("sha256", f"{card.sha256[:12]}…")
        rows.add_row("trained on", card.data_source)
        rows.add_row("licence of the data", card.data_licence)
        rows.add_row("expansion", card.expansion)
        for key, value in card.eval_metrics.items():
            rows.add_row(key, str(value))
        OUT.print(rows, markup=False)


@app.command("verify")
def weights_verify(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="One set, or where several lie.")
    ] = FOLDER,
    as_json: AsJson = False,
) -> None:
    """Check that weights are those of their card, fit the network, and are finite numbers.

    Exit code 1 when one set is not."""
    rows = [_verified(path) for path in _sets(folder)]
    if not rows:
        raise NothingFound(f"{folder} holds no weights.", hint="Weights are folders with a card.toml.")
    if as_json:
        print_json(rows)
    for row in rows if not as_json else ():
        style = "green" if row["ok"] else "bold red"
        OUT.print(f"{row['folder']}: {row['text']}", style=style, markup=False, soft_wrap=True)
    raise typer.Exit(Exit.OK if all(row["ok"] for row in rows) else Exit.NO)


@app.command("compare")
def weights_compare(
    first: Annotated[Path, typer.Argument(metavar="A", exists=True, file_okay=False, help="One set of weights.")],
    second: Annotated[Path, typer.Argument(metavar="B", exists=True, file_okay=False, help="The other one.")],
    cohort: Cohorts,
    split: Split = "val",
    device: OnDevice = "auto",
    threads: Threads = 0,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Compare two sets of weights case by case: median difference, wins, Wilcoxon's signed-rank test.

    With --cache OUT/cache the answers of an earlier `ichnode evaluate --out OUT` are used again. Exit code 1 when a
    case could not be measured."""
    need_extra("nibabel", "A comparison")
    from ichnode.evaluate.cases import Excluded
    from ichnode.evaluate.compare import compare

    cohorts = read_cohorts(cohort, split)
    with tempfile.TemporaryDirectory() as passing:
        kept = cache or Path(passing)
        check_writable(kept)
        networks = [open_network(folder, device=device, threads=threads, cache=kept) for folder in (first, second)]
        answers = {one.card.name: [list(walked(one, split, each, kept)) for each in networks] for one in cohorts}
    compared = {name: compare(*pair) for name, pair in answers.items()}
    if as_json:
        print_json({name: [asdict(row) for row in rows] for name, rows in compared.items()})
    for name, rows in compared.items() if not as_json else ():
        OUT.print(f"{name}, {split}: A = {first}, B = {second}", style="bold", markup=False, soft_wrap=True)
        OUT.print(_table(rows), markup=False)
    is_whole = True
    for pair in answers.values():
        for folder, given in zip((first, second), pair, strict=True):
            excluded = [answer for answer in given if isinstance(answer, Excluded)]
            tell_left_out(excluded, f" by {folder}")
            is_whole = is_whole and not excluded
    raise typer.Exit(Exit.OK if is_whole else Exit.NO)


def _sets(folder: Path) -> list[Path]:
    """``folder`` itself when it is a set of weights, else those directly below it."""
    from ichnode.model.weights import CARD_FILE

    if (folder / CARD_FILE).exists():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"*/{CARD_FILE}"))


def _verified(folder: Path) -> dict[str, Any]:
    from ichnode.model.network import PARAMETERS
    from ichnode.model.weights import load_network, read_card

    try:
        card = read_card(folder)
        parameters = list(load_network(folder).parameters())
    except ConfigError as error:
        return {"folder": str(folder), "ok": False, "text": str(error)}
    count = sum(one.numel() for one in parameters)
    if count != PARAMETERS or not all(bool(one.isfinite().all()) for one in parameters):
        text = f"{count:,} parameters, {PARAMETERS:,} are right, and each must be a finite number"
        return {"folder": str(folder), "ok": False, "text": text}
    text = f"{card.name} {card.version}, sha256 {card.sha256[:12]}…, {count:,} parameters"
    return {"folder": str(folder), "ok": True, "text": text}


def _table(rows: "tuple[Paired, ...]") -> Table:
    table = Table("", "n", "A, median", "B, median", "median B − A", "p", "A better", "B better", box=None)
    for row in rows:
        unit = f" {row.unit}" if row.unit else ""
        p = "–" if row.p is None else f"{row.p:.3f}"
        medians = (f"{row.first:.3f}{unit}", f"{row.second:.3f}{unit}", f"{row.difference:+.3f}{unit}")
        table.add_row(row.label, str(row.n), *medians, p, str(row.first_wins), str(row.second_wins))
    return table
