"""A series in a nutshell: what rules ask of it, boiled down from the facts of its instances."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, median_low
from typing import Final, TypeVar

from ichnode.domain.contrast import NO_CONTRAST
from ichnode.domain.facts import InstanceFacts, Vector3, Vector6
from ichnode.domain.geometry import MIN_GAP_MM

T = TypeVar("T")

SAME_DIRECTION: Final = 1e-2  # direction cosines that differ by less belong to one stack
REPEATED: Final = 1.5  # images a position from which on a series holds several passes over the same place


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """One series as the rules see it; where its instances differ, what most of them say.

    ``id`` is any number that names it. ``image_type`` holds the values that at least half of the images bear, and
    their single words. ``axial`` is |normal · z|, in [0, 1], None without an orientation. ``slices`` counts distinct
    positions (images, where there are none); ``thickness_mm`` is the slice thickness, else the median distance.
    ``repeats``: several images at each position. ``contrast_agent`` is empty when the header denies contrast.
    """

    id: int
    calling_ae: str = ""
    sop_class_uid: str = ""
    modality: str = ""
    image_type: frozenset[str] = frozenset()
    body_part: str = ""
    description: str = ""
    series_description: str = ""
    kernel: str = ""
    thickness_mm: float | None = None
    axial: float | None = None
    slices: int = 0
    repeats: bool = False
    contrast_agent: str = ""
    is_lossy: bool = False
    number: int | None = None
    missing: int = 0

    @property
    def name(self) -> str:
        """How a sentence speaks of it."""
        return "another series" if self.number is None else f"series {self.number}"


def series_facts(
    instances: Sequence[InstanceFacts],
    *,
    series_id: int,
    sop_class_uid: str,
    calling_ae: str = "",
    missing: int = 0,
) -> SeriesFacts:
    """Boils the facts of a series down. ``instances`` are one or more, in any order."""
    description = _most(f.description for f in instances)
    positions = heights_mm(instances)
    images = sum(max(1, len(f.positions)) for f in instances)
    orientation = stack_orientation(instances)
    thickness = [f.thickness_mm for f in instances if f.thickness_mm is not None]
    gaps = [b - a for a, b in pairwise(positions)]
    agents = [f.contrast_agent for f in instances if f.contrast_agent.strip().upper() not in NO_CONTRAST]
    return SeriesFacts(
        id=series_id,
        calling_ae=calling_ae,
        sop_class_uid=sop_class_uid,
        modality=_most(f.modality for f in instances),
        image_type=_common_words(instances),
        body_part=_most(f.body_part for f in instances),
        description=" / ".join(filter(None, (_most(f.study_description for f in instances), description))),
        series_description=description.split(" / ")[0],
        kernel=_most(f.kernel for f in instances),
        thickness_mm=median_low(thickness) if thickness else median(gaps) if gaps else None,
        axial=None if orientation is None else min(1.0, abs(normal(orientation)[2])),
        slices=len(positions) or images,
        repeats=bool(positions) and images >= REPEATED * len(positions) and images > len(positions) + 1,
        contrast_agent=agents[0] if agents else "",
        is_lossy=any(f.is_lossy for f in instances),
        number=_most(f.series_number for f in instances),
        missing=missing,
    )


def stack_orientation(instances: Sequence[InstanceFacts]) -> Vector6 | None:
    """The orientation of most images; None where none has any."""
    return _most(found) if (found := [f.orientation for f in instances if f.orientation is not None]) else None


def heights_mm(instances: Sequence[InstanceFacts]) -> list[float]:
    """Distinct distances along the normal, ascending, mm, of the images that lie in the stack's own orientation."""
    orientation = stack_orientation(instances)
    if orientation is None:
        return []
    axis = normal(orientation)
    heights = sorted(
        sum(a * p for a, p in zip(axis, position, strict=True))
        for f in instances
        if f.orientation is not None and is_parallel(f.orientation, orientation)
        for position in f.positions
    )
    return [h for i, h in enumerate(heights) if i == 0 or h - heights[i - 1] >= MIN_GAP_MM]


def is_parallel(one: Vector6, other: Vector6) -> bool:
    """Whether two images lie in the same orientation."""
    return all(abs(a - b) < SAME_DIRECTION for a, b in zip(one, other, strict=True))


def normal(orientation: Vector6) -> Vector3:
    """Row cosine × column cosine. Source: PS3.3 C.7.6.2.1.1."""
    a, b, c, d, e, f = orientation
    return b * f - c * e, c * d - a * f, a * e - b * d


def _most(values: Iterable[T]) -> T:
    return Counter(values).most_common(1)[0][0]


def _common_words(instances: Sequence[InstanceFacts]) -> frozenset[str]:
    counts: Counter[str] = Counter()
    for facts in instances:
        counts.update({word for value in facts.image_type for word in (value, *value.split())})
    return frozenset(word for word, count in counts.items() if 2 * count >= len(instances))
