"""A cohort of phantoms: specifications, splits and folders of many."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from ichnode.cohort.table import Card, write_cohort
from ichnode.domain.errors import ConfigError
from ichnode.phantom.spec import VERSION, PhantomSpec
from ichnode.phantom.write import case_of, ensure_phantom, is_written

SPLITS: Final = ("train", "val", "test")
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

    Raises ConfigError for an unknown split or shares that are not positive.
    """
    if unknown := sorted(set(shares) - set(SPLITS)):
        raise ConfigError(f"There is no split {unknown[0]!r}.", hint=f"Splits: {', '.join(SPLITS)}.")
    total = sum(shares.values())
    if not shares or min(shares.values()) < 0 or total <= 0:
        raise ConfigError("The shares of the splits must be positive.", hint="For example train=0.8,val=0.2.")
    given = dict.fromkeys(shares, 0)
    found = []
    for number, spec in enumerate(specs, start=1):
        split = max(shares, key=lambda name: shares[name] / total * number - given[name])
        given[split] += 1
        found.append(Member(spec=spec, name=f"phantom-{spec.seed:06d}", split=split))
    return tuple(found)


def write_population(group: Sequence[Member], folder: Path, *, jobs: int) -> Iterator[tuple[Member, bool]]:
    """Makes what is missing in ``folder``, a phantom a process; yields each with whether it had to be made.

    At the end the table of the cohort is written: a cut run leaves whole phantoms, and goes on when it is run again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for member in group:
        if is_written(member.spec, folder / member.name):
            yield member, False
        else:
            missing.append(member)
    if missing:
        yield from _made(missing, folder, jobs)
    write_cohort(folder, CARD, [case_of(each.spec, each.name, each.split, folder / each.name) for each in group])


def _made(missing: Sequence[Member], folder: Path, jobs: int) -> Iterator[tuple[Member, bool]]:
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        started = {pool.submit(ensure_phantom, member.spec, folder / member.name): member for member in missing}
        try:
            for done in as_completed(started):
                yield started[done], done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
