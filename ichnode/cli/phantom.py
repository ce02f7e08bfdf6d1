"""``ichnode phantom``: a cohort of synthetic heads with exact truth. Room ``phantom`` needs the extra "train"."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ichnode.cli.context import ERR, OUT, AsJson, check_writable, need_extra, print_json
from ichnode.domain.errors import ConfigError

CORES: Final = len(os.sched_getaffinity(0))
SCAN: Final = "Scan: changes neither heads nor bleeds"
SHOWN: Final = 3  # names in a message
BLEEDS: Final = "Heads and bleeds"


def phantom(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of the cohort, made if not there.")],
    count: Annotated[int, typer.Option(min=1, help="How many phantoms.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first; the others follow.")] = 1,
    bleed: Annotated[
        float, typer.Option(min=0, max=1, help="Share of heads with a bleed; 0 for none.", rich_help_panel=BLEEDS)
    ] = 1.0,
    volume_ml: Annotated[
        float | None, typer.Option(min=0.3, max=150, help="Volume of every bleed.", rich_help_panel=BLEEDS)
    ] = None,
    markers: Annotated[
        str | None,
        typer.Option(help='Markers of every bleed, "a,b", or "none"; else they are drawn.', rich_help_panel=BLEEDS),
    ] = None,
    followup: Annotated[
        bool, typer.Option("--followup", help="Add a follow-up scan with the bleed grown.", rich_help_panel=BLEEDS)
    ] = False,
    craniotomy: Annotated[
        float, typer.Option(min=0, max=1, help="Share of heads that lack a bone flap.", rich_help_panel=BLEEDS)
    ] = 0.0,
    split: Annotated[str, typer.Option(help="Shares of the splits.")] = "train=0.8,val=0.2",
    thickness: Annotated[float, typer.Option(help="Slice thickness, mm.", rich_help_panel=SCAN)] = 5.0,
    tilt: Annotated[float, typer.Option(help="Gantry tilt, degrees.", rich_help_panel=SCAN)] = 0.0,
    unequal: Annotated[
        bool, typer.Option("--unequal", help="Slices closer at the base than at the top.", rich_help_panel=SCAN)
    ] = False,
    vendors: Annotated[
        str | None, typer.Option(help="Makers of the scanners, drawn from: GE,Siemens,...", rich_help_panel=SCAN)
    ] = None,
    matrix: Annotated[int, typer.Option(help="Pixels a side: 512, 256 or 128.", rich_help_panel=SCAN)] = 512,
    jobs: Annotated[int, typer.Option(min=1, help="Processes at work at a time.", show_default="the cores")] = CORES,
    as_json: AsJson = False,
) -> None:
    """Make synthetic heads with exact truth: CT images, masks, truth.json, and the cohort's table.

    The same seed gives the same bytes; what is there already is kept, so that a cut run goes on."""
    need_extra("nibabel", "A phantom")
    from ichnode.phantom.population import left_over, members, write_population
    from ichnode.phantom.spec import draw_spec
    from ichnode.phantom.vendors import VENDORS

    specs = [
        draw_spec(
            one,
            bleed_share=bleed,
            volume_ml=volume_ml,
            markers=None if markers is None else frozenset(_names(markers) if markers != "none" else ()),
            thickness_mm=thickness,
            tilt_deg=tilt,
            unequal=unequal,
            vendors=tuple(VENDORS) if vendors is None else _names(vendors),
            craniotomy_share=craniotomy,
            followup=followup,
            matrix=matrix,
        )
        for one in range(seed, seed + count)
    ]
    group = members(specs, _shares(split))
    check_writable(out)
    made = 0
    parts = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*parts, console=ERR, transient=True) as bar:
        task = bar.add_task("making", total=len(group))
        for _, is_new in write_population(group, out, jobs=jobs):
            made += is_new
            bar.advance(task)
    others = left_over(group, out)
    if as_json:
        print_json({"out": str(out), "made": made, "kept": len(group) - made, "left_over": others})
        return
    OUT.print(f"{out}: {made} made, {len(group) - made} kept.", markup=False, soft_wrap=True)
    if others:
        told = f"{len(others)} of an earlier run lie there too, not in the table: {', '.join(others[:SHOWN])}"
        OUT.print(f"{told}{', ...' if len(others) > SHOWN else '.'}", markup=False, style="yellow", soft_wrap=True)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _shares(text: str) -> dict[str, float]:
    """ "train=0.8,val=0.2" as a dictionary. Raises ConfigError."""
    shares = {}
    for part in text.split(","):
        name, _, share = (word.strip() for word in part.partition("="))
        if name in shares:
            raise ConfigError(f"The split {name!r} has two shares.", hint="For example train=0.8,val=0.2.")
        try:
            shares[name] = float(share)
        except ValueError as error:
            raise ConfigError(f"{part!r} is no share of a split.", hint="For example train=0.8,val=0.2.") from error
    return shares
