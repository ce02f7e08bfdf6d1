"""What the headers of a series say that the gates ask for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom.dataset import Dataset

from ichnode.domain.contrast import NO_CONTRAST


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """``contrast_agent``: "" where none is named. ``thickness_mm``: SliceThickness, once a value, ascending.
    ``missing``: slices known not to have arrived."""

    contrast_agent: str = ""
    thickness_mm: tuple[float, ...] = ()
    missing: int = 0


NOTHING_STATED: Final = Stated()


def stated(datasets: Sequence[Dataset], missing: int = 0) -> Stated:
    """What the headers say; what they write so that it cannot be read, they do not say."""
    agents = [agent for dataset in datasets for agent in _agents(dataset)]
    return Stated(
        contrast_agent=next((agent for agent in agents if agent.upper() not in NO_CONTRAST), ""),
        thickness_mm=tuple(sorted({mm for dataset in datasets for mm in _thickness_mm(dataset)})),
        missing=missing,
    )


def _agents(dataset: Dataset) -> Iterator[str]:
    yield str(_read(dataset, "ContrastBolusAgent") or "").strip()
    for item in _read(dataset, "ContrastBolusAgentSequence") or ():
        yield str(_read(item, "CodeMeaning") or "").strip()


def _thickness_mm(dataset: Dataset) -> Iterator[float]:
    """Of a classic image; of an Enhanced one, in its functional groups. Source: PS3.3 C.7.6.16.2.1."""
    shared = list(_read(dataset, "SharedFunctionalGroupsSequence") or ())
    each = list(_read(dataset, "PerFrameFunctionalGroupsSequence") or ())
    measures = [item for group in shared + each for item in _read(group, "PixelMeasuresSequence") or ()]
    for item in [dataset, *measures]:
        try:
            mm = float(_read(item, "SliceThickness") or 0)
        except (TypeError, ValueError):
            continue
        if mm > 0:
            yield mm


def _read(dataset: Dataset, keyword: str) -> Any:
    """The attribute's value; None where it is absent, or written so that it cannot be read."""
    try:
        return dataset.get(keyword)
    except (ValueError, TypeError, OverflowError):
        return None
