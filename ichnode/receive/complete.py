"""Whether a series has arrived completely: a judgement on its slices, the clock, its senders and known counts."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from ichnode.domain.facts import InstanceFacts
from ichnode.receive.series_facts import heights_mm, normal, stack_orientation

HOLE: Final = 1.6  # a gap this many times what is usual around it lacks a slice; real spacing steps stay below
MOST_MISSING: Final = 100_000  # more is not believed: the headers or the PACS are wrong, and the number goes no further
NEIGHBOURS: Final = 3  # gaps on either side that say what is usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``quiet_s``: silence after which a series is looked at. ``give_up_s``: silence after which an incomplete one is
    taken as it is."""

    quiet_s: float = 60
    give_up_s: float = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What is known of a series that is being received.

    ``quiet_s``: seconds without a slice. ``is_open``: an association still sends it. ``was_cut``: the last one that did
    broke off. ``counted``: images that the PACS has of it. ``stated``: images that its headers say it has (see
    ``stated_count``).
    """

    instances: Sequence[InstanceFacts]
    quiet_s: float
    is_open: bool
    was_cut: bool
    counted: int | None = None
    stated: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Complete:
    """Every slice is there, as far as can be known."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Not yet."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incomplete:
    """Slices are missing and nobody seems to send them: at least ``missing``."""

    missing: int
    why: str


def judge(arrival: Arrival, *, limits: Limits) -> Complete | Wait | Incomplete:
    """Judges one series.

    A known count that is reached decides at once, even while the association is open; one that is not reached, a hole
    in the positions or a broken association keep the series waiting until ``give_up_s``.
    """
    n = len(arrival.instances)
    if n == arrival.counted:
        return Complete(why=f"all {n} that the PACS counts")
    if n == arrival.stated:
        return Complete(why=f"all {n} that the headers state")
    quiet_s = arrival.quiet_s
    gave_up = quiet_s >= limits.give_up_s
    if quiet_s < limits.quiet_s:
        return Wait(why="slices came a moment ago")
    if arrival.is_open and not gave_up:
        return Wait(why="its association is still open")
    missing, why = _shortage(arrival)
    if not missing:
        return Complete(why=f"{_images(n)} without a gap, quiet for {quiet_s:.0f} s")
    if not gave_up:
        return Wait(why=why)
    return Incomplete(missing=min(missing, MOST_MISSING), why=f"{why}; given up after {quiet_s:.0f} s")


def missing_slices(instances: Sequence[InstanceFacts]) -> int:
    """Slices that are missing between the first and the last one, judged by their distances along the normal.

    A gap is a hole when it is at least 1.6 times what is usual on *both* sides of it (the median of up to three gaps
    each; at the ends of the stack the one side there is): where the spacing changes once, as between the skull base
    and the vertex, one side agrees with the gap. A gap of at least 1.6 times the slice thickness on both sides is one
    too, for when every second slice is missing all gaps agree; unless the instance numbers of the two slices follow
    each other, which proves that nothing lay between. A missing first or last slice cannot be seen here. At most
    100,000 are counted.
    """
    heights = heights_mm(instances)
    gaps = [b - a for a, b in pairwise(heights)]
    beside = _slices_at(instances, heights)
    missing = 0
    for i, gap in enumerate(gaps):
        low, high = beside[i], beside[i + 1]
        if low and high and _follow_each_other(low, high):
            continue
        usual = _usual(gaps, i)
        thick = max((f.thickness_mm for f in (low, high) if f and f.thickness_mm), default=None)
        expected = min((e for e in (usual, thick) if e is not None and gap >= HOLE * e), default=None)
        if expected is not None:
            missing += max(1, round(min(gap / expected, MOST_MISSING)) - 1)
    return min(missing, MOST_MISSING)


def stated_count(instances: Sequence[InstanceFacts], claimed: Collection[int | None]) -> int | None:
    """Images that the headers say the series has; None where they do not say, or cannot be believed.

    ImagesInAcquisition (0020,1002) counts an acquisition, so it is believed only where the whole series says the same
    and has one acquisition, no other series of the study claims the same one, and the series does not hold more
    already. ``claimed``: the acquisition numbers of all other series of the study, also of those that settled long ago;
    None for images that state none, which are all taken for one acquisition.
    """
    claims = {(f.expected_count, f.acquisition_number) for f in instances}
    if len(claims) != 1:
        return None
    count, acquisition = claims.pop()
    if count is None or count < len(instances):
        return None
    return None if acquisition in claimed else count


def _shortage(arrival: Arrival) -> tuple[int, str]:
    """How many images are missing at least, and how that is known."""
    n = len(arrival.instances)
    holes = missing_slices(arrival.instances)
    if arrival.counted is not None and arrival.counted > n:
        return arrival.counted - n, f"{n} of the {arrival.counted} that the PACS counts"
    if arrival.stated is not None and arrival.stated > n:
        return arrival.stated - n, f"{n} of the {arrival.stated} that the headers state"
    if holes:
        return holes, f"{holes} missing between the {n} that came"
    if arrival.was_cut:
        return 1, f"the association broke off, or images were refused for want of room, after {_images(n)}"
    return 0, ""


def _slices_at(instances: Sequence[InstanceFacts], heights: Sequence[float]) -> list[InstanceFacts | None]:
    """For each height, the single-frame image there; None where a multi-frame image holds it."""
    orientation = stack_orientation(instances)
    if orientation is None:
        return [None] * len(heights)
    axis = normal(orientation)
    single = {
        sum(a * p for a, p in zip(axis, f.positions[0], strict=True)): f for f in instances if len(f.positions) == 1
    }
    return [single.get(height) for height in heights]


def _follow_each_other(low: InstanceFacts, high: InstanceFacts) -> bool:
    if low.instance_number is None or high.instance_number is None:
        return False
    return abs(low.instance_number - high.instance_number) == 1


def _usual(gaps: Sequence[float], i: int) -> float | None:
    """What a gap at ``i`` has to be compared with: the larger of the two sides' medians; None for a single gap."""
    sides = [side for side in (gaps[max(0, i - NEIGHBOURS) : i], gaps[i + 1 : i + 1 + NEIGHBOURS]) if side]
    return max((median(side) for side in sides), default=None)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"
