"""The network inputs of a cohort, made once: in parallel processes, resumable, only what has changed."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from ichnode.cohort.parallel import in_processes
from ichnode.cohort.prepared import INDEX_FILE, Entry, Prepared, is_whole, read_index, write_case, write_index
from ichnode.cohort.read import outcome_of, read_case, source_digest
from ichnode.cohort.table import CARD_FILE, TABLE_FILE, Card, Case, Cohort, read_cohort, write_card
from ichnode.domain.errors import ConfigError, Rejected, Retryable
from ichnode.domain.flags import Flag
from ichnode.image.prepare import PRESETS, window
from ichnode.image.resample import resample

PACKAGE: Final = Path(__file__).parents[1]
# What decides on the bytes of a prepared case: a change in any of these files makes all cases again.
CODE: Final = (
    "domain/geometry.py",
    "image/frames.py",
    "image/load.py",
    "image/pixels.py",
    "image/prepare.py",
    "image/resample.py",
    "image/strip.py",
    "findings/expansion.py",
    "cohort/read.py",
    "cohort/prepare.py",
    "cohort/prepared.py",
)

Told = Callable[[str, str], None]  # a case's name and what went wrong with it, "" when it is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a cohort. ``failed``: case to reason. ``made`` and ``kept`` count cases; ``size_bytes`` of all."""

    entries: tuple[Entry, ...]
    made: int
    kept: int
    failed: Mapping[str, str]
    size_bytes: int


def prepare_cohort(cohort: Cohort, out: Path, preset: str, *, jobs: int, told: Told) -> Outcome:
    """Writes the network input of every case, the index and the card to ``out``; ``told`` hears of each case.

    A case whose images, outcome and code have not changed is kept; one that is no longer in the cohort is removed. The
    index is written after every case, so that a run that was cut goes on where it stopped. One run at a time.

    Raises ConfigError for a preset that is not known, and for a folder that is a cohort itself.
    """
    if preset not in PRESETS:
        raise ConfigError(f"There is no preset {preset!r}.", hint=f"There are {', '.join(PRESETS)}.")
    if (out / TABLE_FILE).exists():
        raise ConfigError(f"{out} is a cohort itself.", hint="Name another folder for the network inputs, or none.")
    out.mkdir(parents=True, exist_ok=True)
    for part in out.glob("*.[0-9]*.part"):  # a run that was killed while it wrote
        part.unlink()
    before = {entry.name: entry for entry in _made_before(out)}
    entries: dict[str, Entry] = {}
    failed: dict[str, str] = {}
    kept = 0
    tasks = [
        _Task(case=case, card=cohort.card, out=out, preset=preset, old=before.get(case.name)) for case in cohort.cases
    ]
    with closing(in_processes(_prepared, tasks, jobs)) as results:
        for task, result in results:
            name = task.case.name
            if result.entry is None:
                failed[name] = result.fault
            else:
                kept += result.kept
                entries[name] = result.entry
                write_index(out, {**before, **entries}.values())
            told(name, result.fault)
    for name in before.keys() - entries.keys():
        (out / f"{name}.npz").unlink(missing_ok=True)
    write_index(out, entries.values())
    write_card(out / CARD_FILE, cohort.card)
    return Outcome(
        entries=tuple(entries[name] for name in sorted(entries)),
        made=len(entries) - kept,
        kept=kept,
        failed=failed,
        size_bytes=sum((out / name).stat().st_size for name in (INDEX_FILE, *(f"{name}.npz" for name in entries))),
    )


def _made_before(out: Path) -> tuple[Entry, ...]:
    try:
        return read_index(out)
    except ConfigError:  # none, a damaged one, or one of an older version: all is made again
        return ()


def prepared_folder(cohort: Path, preset: str) -> Path:
    """Where the network inputs of a cohort's folder lie unless another place is named."""
    return cohort / f"prepared-{preset}"


def prepared_folders(folders: Sequence[Path], preset: str) -> tuple[Path, ...]:
    """The network inputs of each folder, which is a cohort or has been made from one.

    Raises ConfigError that names the cases of a cohort which have not been prepared as they are now.
    """
    return tuple(_made_from(folder, preset) if (folder / TABLE_FILE).exists() else folder for folder in folders)


def _made_from(folder: Path, preset: str) -> Path:
    made = prepared_folder(folder, preset)
    hint = f"Run `ichnode cohort prepare --cohort {folder} --preset {preset}` first."
    if not (made / INDEX_FILE).exists():
        raise ConfigError(f"The cohort {folder} has not been prepared for the network.", hint=hint)
    cohort = read_cohort(folder)
    wanted = {case.name: case for case in cohort.cases}
    there = {entry.name: entry for entry in read_index(made)}
    both = wanted.keys() & there.keys()
    faults = {
        "not prepared": wanted.keys() - both,
        "changed since": {name for name in both if not _is_of(there[name], wanted[name], cohort.card, preset)},
        "no longer in it": there.keys() - both,
    }
    said = [f"{what}: {', '.join(sorted(names))}" for what, names in faults.items() if names]
    if faults["not prepared"]:
        hint += " A case that it cannot prepare has to leave cohort.csv."
    if said:
        raise ConfigError(f"The cohort {folder} is not what was prepared of it ({'; '.join(said)}).", hint=hint)
    return made


def _is_of(entry: Entry, case: Case, card: Card, preset: str) -> bool:
    """Whether ``entry`` was made from ``case`` as it is now."""
    try:
        source = _digest(case, card, preset)
    except Rejected:  # which file it misses, `cohort prepare` says
        return False
    now = replace(entry, patient=case.patient, split=case.split, onset_h=case.onset_h, source=source)
    return now == entry


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    case: Case
    card: Card
    out: Path
    preset: str
    old: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """``entry`` is None for a case that failed, and ``fault`` says why; ``kept``: nothing had to be made."""

    entry: Entry | None
    kept: bool = False
    fault: str = ""


def _prepared(task: _Task) -> _Done:
    case, old = task.case, task.old
    try:
        source = _digest(case, task.card, task.preset)
        if old is not None and old.source == source and is_whole(task.out, old):
            entry = replace(old, patient=case.patient, split=case.split, onset_h=case.onset_h)
            return _Done(entry=entry, kept=True)
        return _Done(entry=_made(task, source))
    except (Rejected, Retryable) as error:
        return _Done(entry=None, fault=str(error))


def _made(task: _Task, source: str) -> Entry:
    case = task.case
    labelled = read_case(case, task.card)
    seen = window(labelled.volume, PRESETS[task.preset])
    bleed = resample(labelled.bleed, labelled.volume.geometry, seen.geometry, fill=0) > 0.5
    outcome = outcome_of(case, task.card, labelled.bleed_ml)
    sha256 = write_case(task.out, case.name, Prepared(hu=seen.hu, brain=seen.brain, bleed=bleed))
    return Entry(
        name=case.name,
        patient=case.patient,
        split=case.split,
        preset=task.preset,
        volume_ml=round(labelled.bleed_ml, 3),
        expanded=outcome,
        onset_h=case.onset_h,
        fallback=Flag.QF_STRIP in seen.flags,
        source=source,
        sha256=sha256,
    )


def _digest(case: Case, card: Card, preset: str) -> str:
    parts = (source_digest(case, card), preset, _code_digest())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def _code_digest() -> str:
    digest = hashlib.sha256()
    for name in CODE:
        digest.update((PACKAGE / name).read_bytes())
    return digest.hexdigest()
