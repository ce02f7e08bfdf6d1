"""A cohort of phantoms: specifications, splits and folders of many."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ichnode.cohort.parallel import in_processes
from ichnode.cohort.table import CARD_FILE, SPLITS, TABLE_FILE, Card, read_card, write_cohort
from ichnode.domain.errors import ConfigError
from ichnode.phantom.spec import VERSION, PhantomSpec
from ichnode.phantom.write import TRUTH, case_of, ensure_phantom, is_written

CARD: Final = Card(
    name="phantoms",
    description=(
        f"Synthetic heads of ichnode, version {VERSION}: no patient. Expansion follows an invented rule on planted "
        "markers: whatever is learnt from it proves a path, never a prognosis."
    ),
    source="ichnode phantom",
    licence="Apache-2.0",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One phantom of a cohort."""

    spec: PhantomSpec
    name: str
    split: str


def members(specs: Sequence[PhantomSpec], shares: Mapping[str, float]) -> tuple[Member, ...]:
    """Names the phantoms after their seeds and deals them to the splits by ``shares``, in turn, so that every split has
    its share of any stretch of seeds.

    Raises ConfigError for an unknown split or a share that is negative or not a number, or when all are 0.
    """
    if unknown := sorted(set(shares) - set(SPLITS)):
        raise ConfigError(f"There is no split {unknown[0]!r}.", hint=f"Splits: {', '.join(SPLITS)}.")
    total = sum(shares.values())
    if not math.isfinite(total) or total <= 0 or min(shares.values()) < 0:
        raise ConfigError("The shares of the splits must be positive numbers.", hint="For example train=0.8,val=0.2.")
    given = dict.fromkeys(shares, 0)
    found = []
    for number, spec in enumerate(specs, start=1):
        split = max(shares, key=lambda name: shares[name] / total * number - given[name])
        given[split] += 1
        found.append(Member(spec=spec, name=f"phantom-{spec.seed:06d}", split=split))
    return tuple(found)


def write_population(group: Sequence[Member], folder: Path, *, jobs: int) -> Iterator[tuple[Member, bool]]:
    """Makes what is missing in ``folder``, a phantom a process; yields each with whether it had to be made.

    At the end the table of the cohort is written: a cut run leaves whole phantoms and no table, and goes on when it is
    run again.

    Raises ConfigError for a folder that is another cohort.
    """
    if (folder / CARD_FILE).exists() and read_card(folder / CARD_FILE).source != CARD.source:
        raise ConfigError(f"{folder} is another cohort.", hint="Name a new or an empty folder.")
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for member in group:
        if is_written(member.spec, folder / member.name):
            yield member, False
        else:
            missing.append((member, folder / member.name))
    if missing:
        (folder / TABLE_FILE).unlink(missing_ok=True)  # it may describe others of the same names
    with closing(in_processes(_make, missing, jobs)) as made:
        for (member, _), is_new in made:
            yield member, is_new
    write_cohort(folder, CARD, [case_of(each.spec, each.name, each.split, folder / each.name) for each in group])


def left_over(group: Sequence[Member], folder: Path) -> tuple[str, ...]:
    """Names of the phantoms in ``folder`` that are not of ``group``: made by an earlier run, and not in the table."""
    names = {path.parent.name for path in folder.glob(f"phantom-*/{TRUTH}")}
    return tuple(sorted(names - {member.name for member in group}))


def _make(one: tuple[Member, Path]) -> bool:
    member, place = one
    return ensure_phantom(member.spec, place)
