"""``ichnode audit``: is the audit trail whole, and what does it say."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from xml.etree.ElementTree import Element, fromstring

import typer

from ichnode.app.trail import trail_folder, trail_of
from ichnode.cli.context import OUT, AsJson, Exit, NothingFound, options, print_json, queue
from ichnode.domain.errors import ConfigError
from ichnode.trail import events
from ichnode.trail.files import TrailFolder
from ichnode.trail.records import Record
from ichnode.trail.trail import user
from ichnode.trail.verify import newest
from ichnode.trail.verify import verify as verify_chain

app = typer.Typer(help="The audit trail: is it whole, and what does it say.", no_args_is_help=True)


@app.command()
def verify(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="An archived trail; else this node's."),
    ] = None,
    first: Annotated[int, typer.Option(min=1, help="The oldest record here, after archiving.")] = 1,
    head: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBER:HASH", help="A record's hash as the journal has it; may be said again."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Is every record there, unchanged and in its place? What is wrong is said with file and line. Exit code 1 then.

    Whoever may write all its files can forge the whole chain; heads noted elsewhere (--head) and the copies at the
    syslog server tell. docs/reference/audit.md says what else cannot be seen.
    """
    root = folder or trail_folder(options(context).load()).root
    if not root.is_dir():
        raise NothingFound(f"There is no audit trail in {root}.", hint="`audit.enabled` switches it on.")
    verdict = verify_chain(TrailFolder(root=root), first=first, known=dict(map(_noted, head or ())))
    if as_json:
        print_json(asdict(verdict) | {"is_whole": verdict.is_whole})
    else:
        for finding, style in [(f, "bold red") for f in verdict.faults] + [(n, "yellow") for n in verdict.notes]:
            where = f"{finding.file}, line {finding.line}" if finding.line else finding.file
            OUT.print(f"{where}: {finding.text}", style=style, markup=False, soft_wrap=True)
        word = "whole" if verdict.is_whole else "NOT whole"
        text = f"{verdict.records} records, {word}; the head is {verdict.head.number}:{verdict.head.sha256}"
        OUT.print(text, markup=False, soft_wrap=True)
    raise typer.Exit(Exit.OK if verdict.is_whole else Exit.NO)


@app.command()
def show(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, help="So many of the newest records.")] = 20,
    study: Annotated[str | None, typer.Option(help="Only those about this Study Instance UID.")] = None,
    as_json: AsJson = False,
) -> None:
    """The newest records, a line each; --json has the messages themselves. That it was read is a record too."""
    config = options(context).load()
    folder = trail_folder(config)
    records = newest(folder, last, about=study)
    with queue(config) as db:
        trail_of(config, db, "audit").write(events.log_read, user(), folder.root.as_uri())
    if not records:
        raise NothingFound("The audit trail has no such record.")
    if as_json:
        print_json([{"number": r.number, "sha256": r.sha256, "message": r.message.decode()} for r in records])
    for record in [] if as_json else records:
        OUT.print(_in_words(record), markup=False, soft_wrap=True)
    raise typer.Exit(Exit.OK)


def _noted(text: str) -> tuple[int, str]:
    found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text)
    if found is None:
        raise ConfigError(f"{text} is no head.", hint="It is a number, a colon and 64 digits: `ichnode audit verify`.")
    return int(found[1]), found[2]


def _in_words(record: Record) -> str:
    root = fromstring(record.message)
    event = _the(root, "EventIdentification")
    what = [code.get("originalText", "") for code in [_the(event, "EventID"), *event.findall("EventTypeCode")]]
    who = [_person(participant) for participant in root.findall("ActiveParticipant")]
    told = event.findtext("EventOutcomeDescription")
    whose = [thing.get("ParticipantObjectID", "") for thing in root.findall("ParticipantObjectIdentification")]
    parts: tuple[object, ...] = (
        record.number,
        event.get("EventDateTime"),
        ", ".join(what),
        " and ".join(who),
        told,
        *whose,
    )
    return "  ".join(str(part) for part in parts if part)


def _person(participant: Element) -> str:
    """Who took part, and where from; a person's name says that already."""
    name, at = str(participant.get("UserName") or participant.get("UserID")), participant.get("NetworkAccessPointID")
    return f"{name} at {at}" if at else name


def _the(parent: Element, tag: str) -> Element:
    found = parent.find(tag)
    return Element(tag) if found is None else found
