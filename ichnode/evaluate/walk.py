"""Goes through a split of a cohort and keeps every answer on disk, so that an evaluation that was cut goes on."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Final, TypeVar

from pydantic import TypeAdapter, ValidationError

import ichnode
from ichnode.analyse import Network
from ichnode.cohort.read import source_digest
from ichnode.cohort.table import Card, Case, Cohort
from ichnode.domain.errors import Rejected
from ichnode.evaluate.cases import Baseline, Excluded, Measured, baseline_of, measure_case

RESTS_ON: Final = (  # the code behind an answer: a new look of the page measures nothing anew
    "analyse.py",
    "cohort/read.py",
    "domain",
    "findings",
    "image",
    "model",
    "evaluate/agreement.py",
    "evaluate/cases.py",
    "evaluate/pictures.py",
)

Answer = TypeVar("Answer", Measured, Baseline)


def walk(cohort: Cohort, split: str, network: Network, kept: Path) -> Iterator[Measured | Excluded]:
    """Every case of ``split`` in the order of the table; a case that cannot be measured is Excluded with its reason.

    ``kept``: folder of the answers so far. An answer is taken from there when the bytes of the case, the weights, their
    operating point, the runtime and our code are the same as when it was made.
    """
    speaker = _speaker(network)
    for case in cohort.split(split):
        made = partial(measure_case, case, cohort.card, network)
        yield _answer(Measured, case, cohort.card, f"measured {speaker}", kept, made)


def baselines(cohort: Cohort, split: str, kept: Path) -> Iterator[Baseline | Excluded]:
    """Labelled volume and outcome of the cases of ``split`` whose outcome is known; an unreadable one is Excluded."""
    for case in cohort.split(split):
        if case.expanded is not None or case.followup_mask is not None:
            yield _answer(Baseline, case, cohort.card, "baseline", kept, partial(baseline_of, case, cohort.card))


def _answer(
    kind: type[Answer], case: Case, card: Card, what: str, kept: Path, make: Callable[[], Answer]
) -> Answer | Excluded:
    adapter = TypeAdapter(kind)
    try:
        path = kept / f"{case.name}-{_digest(case, card, what)[:24]}.json"
        known = _known(path, adapter)
        answer = make() if known is None else known
    except Rejected as error:
        return Excluded(name=case.name, reason=str(error))
    if known is not None:
        return known
    kept.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(adapter.dump_json(answer))
    part.replace(path)
    return answer


def _known(path: Path, adapter: TypeAdapter[Answer]) -> Answer | None:
    try:
        return adapter.validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):  # not there, or of another version of its fields
        return None


def _speaker(network: Network) -> str:
    card = network.card
    return json.dumps([card.sha256, card.preset, card.threshold, card.min_component_ml, network.runtime.name])


def _digest(case: Case, card: Card, what: str) -> str:
    """sha256, hex, of all that an answer rests on; paths do not count, so that a cohort may be moved."""
    told = [source_digest(case, card), case.name, case.onset_h, what, _code_digest()]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@cache
def _code_digest() -> str:
    root = Path(ichnode.__file__).parent
    digest = hashlib.sha256()
    for name in RESTS_ON:
        place = root / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
